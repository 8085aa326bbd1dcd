package mqtt

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCheckTopic(t *testing.T) {
	deep := strings.Repeat("a/", MaxTopicLevels-1) + "a"
	for topic, want := range map[string]error{
		"a": nil, "/": nil, "//": nil, "a/b/c": nil, " ": nil, "/finance": nil, "$SYS/x": nil, "锅炉/温度": nil, deep: nil,
		strings.Repeat("x", 65535): nil,
		"":                         ErrTopicEmpty,
		strings.Repeat("x", 65536): ErrTopicLong,
		"a/\x00":                   ErrTopicUTF8,
		"a/\xFF":                   ErrTopicUTF8,
		"\xED\xA0\x80":             ErrTopicUTF8, // a surrogate
		"\xC0\xAF":                 ErrTopicUTF8, // an overlong slash
		deep + "/a":                ErrTopicLevels,
		"a/+":                      ErrTopicWildcard,
		"a+b":                      ErrTopicWildcard,
		"#":                        ErrTopicWildcard,
	} {
		if err := CheckTopic(topic); !errors.Is(err, want) {
			t.Errorf("%.40q: %v, want %v", topic, err, want)
		}
	}
}

func TestCheckFilter(t *testing.T) {
	for filter, want := range map[string]error{
		"#": nil, "+": nil, "+/+": nil, "/+": nil, "a/#": nil, "a/+/#": nil, "+/tennis/#": nil, "/": nil, "$SYS/#": nil, "$share/g/a": nil, "a//#": nil,
		"": ErrTopicEmpty, "a#": ErrFilter, "a/b#": ErrFilter, "#/a": ErrFilter, "a/#/b": ErrFilter, "sport+": ErrFilter, "a/+b/c": ErrFilter,
		"++": ErrFilter, "##": ErrFilter, "+#": ErrFilter, "#/": ErrFilter,
		"a\x00": ErrTopicUTF8, "\xFF/#": ErrTopicUTF8, strings.Repeat("+/", MaxTopicLevels) + "#": ErrTopicLevels,
	} {
		if err := CheckFilter(filter); !errors.Is(err, want) {
			t.Errorf("%.40q: %v, want %v", filter, err, want)
		}
	}
}

func TestSplitShare(t *testing.T) {
	for filter, want := range map[string][2]string{
		"a/b": {"", "a/b"}, "$share/g/a/b": {"g", "a/b"}, "$share/g//": {"g", "/"}, "$share/g/#": {"g", "#"}, "$shared/g/a": {"", "$shared/g/a"},
		"$share": {"", "$share"},
	} {
		name, rest, err := SplitShare(filter)
		if name != want[0] || rest != want[1] || err != nil {
			t.Errorf("%q: %q %q %v", filter, name, rest, err)
		}
	}
	for _, filter := range []string{"$share/", "$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/g#/a"} {
		if _, _, err := SplitShare(filter); err != ErrShare {
			t.Errorf("%q: %v", filter, err)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		// MQTT 5.0 §4.7.1.2 and §4.7.1.3
		{"sport/tennis/player1/#", "sport/tennis/player1", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
		{"sport/tennis/player1/#", "sport/tennis/player2", false},
		{"sport/#", "sport", true},
		{"#", "a", true},
		{"#", "/", true},
		{"sport/tennis/+", "sport/tennis/player1", true},
		{"sport/tennis/+", "sport/tennis/player1/ranking", false},
		{"sport/+", "sport", false},
		{"sport/+", "sport/", true},
		{"+/+", "/finance", true},
		{"/+", "/finance", true},
		{"+", "/finance", false},
		{"+/tennis/#", "sport/tennis", true},
		{"+/tennis/#", "sport/tennis/x/y", true},
		{"sport/+/player1", "sport/tennis/player1", true},
		{"sport/+/player1", "sport/player1", false},
		// §4.7.2: topics that begin with $
		{"#", "$SYS/broker", false},
		{"+/monitor/Clients", "$SYS/monitor/Clients", false},
		{"$SYS/#", "$SYS/a", true},
		{"$SYS/monitor/+", "$SYS/monitor/Clients", true},
		{"a/#", "a/$x", true},
		{"a/+", "a/$x", true},
		// §4.7.3: case and slashes count
		{"ACCOUNTS", "Accounts", false},
		{"finance", "/finance", false},
		{"a/b", "a/b/", false},
		{"a/b/", "a/b", false},
		{"a//b", "a//b", true},
		{"a/+/b", "a//b", true},
		{"a/b", "a", false},
		{"a", "a/b", false},
		{"+/#", "a", true},
		{"a/+/#", "a", false},
	} {
		if got := Match(c.filter, c.topic); got != c.want {
			t.Errorf("%q, %q: %v", c.filter, c.topic, got)
		}
	}
}

// naiveMatch says the same as the standard's words, level by level.
func naiveMatch(filter, topic string) bool {
	f, n := strings.Split(filter, "/"), strings.Split(topic, "/")
	if strings.HasPrefix(topic, "$") && (f[0] == "+" || f[0] == "#") {
		return false
	}
	return naiveLevels(f, n)
}

func naiveLevels(f, n []string) bool {
	switch {
	case len(f) == 0:
		return len(n) == 0
	case f[0] == "#":
		return true // what is left, and no level at all
	case len(n) == 0:
		return false
	}
	return (f[0] == "+" || f[0] == n[0]) && naiveLevels(f[1:], n[1:])
}

func FuzzMatch(f *testing.F) {
	for _, c := range [][2]string{{"a/#", "a"}, {"+/b", "/b"}, {"#", "$SYS"}, {"a/+/c", "a/b/c"}, {"/#", "/"}, {"a/#", "a/"}, {"+", ""}, {"$SYS/+", "$SYS/x"}} {
		f.Add(c[0], c[1])
	}
	f.Fuzz(func(t *testing.T, filter, topic string) {
		if CheckFilter(filter) != nil || CheckTopic(topic) != nil {
			return
		}
		if got, want := Match(filter, topic), naiveMatch(filter, topic); got != want {
			t.Errorf("%q, %q: %v, want %v", filter, topic, got, want)
		}
		if !Match(topic, topic) {
			t.Errorf("%q does not match itself", topic)
		}
		if strings.HasPrefix(topic, "$") == Match("#", topic) {
			t.Errorf("# and %q", topic)
		}
	})
}

// All short filters against all short topics.
func TestMatchExhaustive(t *testing.T) {
	var words func(alphabet string, n int) []string
	words = func(alphabet string, n int) []string {
		if n == 0 {
			return []string{""}
		}
		list := []string{""}
		for _, w := range words(alphabet, n-1) {
			for _, c := range alphabet {
				list = append(list, w+string(c))
			}
		}
		return list
	}
	pairs := 0
	topics := words("a$/", 5)
	for _, filter := range words("a$/+#", 5) {
		if CheckFilter(filter) != nil {
			continue
		}
		for _, topic := range topics {
			if topic == "" {
				continue
			}
			pairs++
			if got, want := Match(filter, topic), naiveMatch(filter, topic); got != want {
				t.Fatalf("%q, %q: %v, want %v", filter, topic, got, want)
			}
		}
	}
	if pairs < 100_000 {
		t.Errorf("only %d pairs", pairs)
	}
}

// What passes the checks is what the wire allows.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{"", "a", "a/+", "#", "a#", "\x00", "\xFF", "/", "$share/g/a", "$share//a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := s != "" && len(s) <= 65535 && utf8.ValidString(s) && !strings.Contains(s, "\x00") && strings.Count(s, "/") < MaxTopicLevels
		if got, want := CheckTopic(s) == nil, text && !strings.ContainsAny(s, "+#"); got != want {
			t.Errorf("topic %q: %v, want %v", s, got, want)
		}
		levels := strings.Split(s, "/")
		want := text
		for i, l := range levels {
			if l != "+" && l != "#" && strings.ContainsAny(l, "+#") || l == "#" && i < len(levels)-1 {
				want = false
			}
		}
		if got := CheckFilter(s) == nil; got != want {
			t.Errorf("filter %q: %v, want %v", s, got, want)
		}
		if name, rest, err := SplitShare(s); err == nil && name != "" && "$share/"+name+"/"+rest != s {
			t.Errorf("share %q: %q %q", s, name, rest)
		}
	})
}

func TestReasonCode(t *testing.T) {
	for code, want := range map[ReasonCode]string{
		Success: "success (0x00)", NotAuthorized: "not authorized (0x87)", WildcardSubsNotSupported: "wildcard subscriptions not supported (0xA2)", 0x42: "reason 0x42",
	} {
		if code.Error() != want || fmt.Sprint(code) != want {
			t.Errorf("%q, want %q", code.Error(), want)
		}
	}
	seen := map[string]ReasonCode{}
	for code, text := range reasonText {
		if other, twice := seen[text]; twice || text == "" {
			t.Errorf("%#x and %#x are both %q", byte(code), byte(other), text)
		}
		seen[text] = code
		if code.Failed() != (code >= 0x80) {
			t.Errorf("%s: failed %v", code, code.Failed())
		}
	}
	if err := fmt.Errorf("publish: %w", QuotaExceeded); !errors.Is(err, QuotaExceeded) {
		t.Error("a code that is wrapped is not found")
	}
}

func TestKind(t *testing.T) {
	for k := KindMessage; k <= KindCommandResult; k++ {
		if got, ok := ParseKind(k.String()); !ok || got != k {
			t.Errorf("%d %q: %d, %v", k, k, got, ok)
		}
	}
	if _, ok := ParseKind("nothing"); ok || Kind(200).String() != "message" {
		t.Error("unknown kinds")
	}
}

func BenchmarkMatch(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Match("acme/+/boiler/#", "acme/shanghai/boiler/l2/meter1/power")
	}
}
