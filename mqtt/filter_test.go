package mqtt

import "testing"

func TestOverlapAndCovers(t *testing.T) {
	for _, c := range []struct {
		a, b            string
		overlap, covers bool
	}{
		{"#", "a/b", true, true},
		{"a/#", "a", true, true},
		{"a/+", "a/b", true, true},
		{"a/b", "a/+", true, false},
		{"a/+/c", "+/b/c", true, false},
		{"a/b", "a/c", false, false},
		{"a/b/c", "a/b", false, false},
		{"a/b", "a/b/#", true, false},
		{"a/#", "a/+/c/#", true, true},
		{"+", "#", true, false},
		{"#", "$SYS/x", false, false},
		{"+/x", "$SYS/x", false, false},
		{"$SYS/#", "$SYS/x", true, true},
	} {
		if got := Overlap(c.a, c.b); got != c.overlap {
			t.Errorf("Overlap(%q, %q) = %v", c.a, c.b, got)
		}
		if got := Overlap(c.b, c.a); got != c.overlap {
			t.Errorf("Overlap(%q, %q) = %v", c.b, c.a, got)
		}
		if got := Covers(c.a, c.b); got != c.covers {
			t.Errorf("Covers(%q, %q) = %v", c.a, c.b, got)
		}
	}
}

// FuzzCovers compares the relations between filters with Match.
func FuzzCovers(f *testing.F) {
	f.Add("a/+/#", "a/b", "a/b/c")
	f.Add("+/b", "a/#", "a/b")
	f.Add("#", "$SYS/#", "$SYS/x")
	f.Add("a/#", "a", "a")
	f.Fuzz(func(t *testing.T, a, b, topic string) {
		if CheckFilter(a) != nil || CheckFilter(b) != nil || CheckTopic(topic) != nil {
			return
		}
		inA, inB := Match(a, topic), Match(b, topic)
		if inA && inB && !Overlap(a, b) {
			t.Errorf("%q and %q both match %q and do not overlap", a, b, topic)
		}
		if Covers(a, b) && inB && !inA {
			t.Errorf("%q covers %q, but not %q", a, b, topic)
		}
		if Overlap(a, b) != Overlap(b, a) {
			t.Errorf("overlap of %q and %q depends on their order", a, b)
		}
	})
}
