package tree

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/BurntSushi/toml"
)

var seeds = []string{
	"", "\n", "a = 1", "a.b.c = 1\na.b.d = 2", "[a]\nb = 1\n[a.c]\nd = 2",
	"[[a]]\nb = 1\n[[a]]\nb = 2\n[[a.c]]\nd = 1\n[a.c.e]\nf = 1\n[[a]]\n[[a.c]]\n",
	"a = { b = 1, c.d = 2, e = { f = [1, 2] } } # x",
	"a = [ { b = 1 }, { b = 2, c = [ { d = 1 } ] }, ]",
	"a = [ # one\n 1, # two\n [2, 3],\n\n]\nb = 2",
	`"quoted key" = 1` + "\n" + `'literal.key' = 2` + "\n" + `"\u00e9\x41\t\"" = 3` + "\n\"\" = 4",
	"a = \"\"\"\nline\n\\\"\"\" # not the end \"\"\"\"\"\nb = '''x\n''''' \nc = ''''''\nd=\"\"\"\"\"\"",
	"a = 1979-05-27 07:32:00Z\nb = 1979-05-27\nc = 07:32:00\nd = [1979-05-27, 1979-05-27 00:00:00]",
	"a = +inf\nb = -nan\nc = 1_000e6\nd = 0xdead_beef\ne = true\n",
	"[ a . \"b.c\" . 'd' ]\nx=1\r\n[e]\r\ny = 2\r\n",
	"\xef\xbb\xbfa = 1", "\xff\xfea = 1", "a = {\n b = 1, # c\n d = 2,\n}", "a = {}\nb = []\nc = [[]]\nd = [{}]",
	"Ā = 1", "a = 'x' # é\nb = \"锅炉 \\\\\"\n", "a.\"b\".c = { d.e.f = [ {g.h = 1} ] }",
	"[a.b]\n[a]\nc=1", "[[a.b]]\n[a]\nc=1\n[[a.b]]", "0.0.0=0\n0 =10", "=", "[", "a", "a = [", "a = {", "a = \"", "[[a]", "a=1 b=2",
}

// The library's own list of keys is the oracle: whatever it accepts, we must
// have walked to the end and seen the same keys in the same order.
func FuzzKeys(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	files, _ := filepath.Glob("../examples/*.toml")
	for _, name := range append(files, "../fieldgate.toml") {
		if text, err := os.ReadFile(name); err == nil {
			f.Add(string(text))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		doc, err := Parse(text)
		if errors.Is(err, ErrDepth) {
			return
		}
		var into map[string]any
		meta, bad := toml.Decode(text, &into)
		if bad != nil {
			return
		}
		if err != nil {
			t.Fatalf("the library accepts it, we stop: %v", err)
		}
		want := meta.Keys()
		if len(want) != len(doc.Entries) {
			t.Fatalf("%d keys, want %d: %v", len(doc.Entries), len(want), want)
		}
		for i, e := range doc.Entries {
			if !slices.Equal(e.Path, want[i]) {
				t.Fatalf("key %d is %q, want %q", i, e.Path, want[i])
			}
		}
		if len(doc.Twice) == 0 {
			sameShape(t, doc.Root, into)
		}
		checkSpans(t, text, doc.Root)
	})
}

// sameShape holds the tree against the decoded values: every table has the
// same keys, every array as many elements.
func sameShape(t *testing.T, n *Node, v any) {
	switch v := v.(type) {
	case map[string]any:
		if n.Kind != Table || len(n.Names) != len(v) {
			t.Fatalf("table %v has %d keys in the tree: %q", v, len(n.Names), n.Names)
		}
		for k, sub := range v {
			if n.Child(k) == nil {
				t.Fatalf("key %q is missing from the tree", k)
			}
			sameShape(t, n.Child(k), sub)
		}
	case []map[string]any:
		sameLen(t, n, len(v))
		for i, sub := range v {
			sameShape(t, n.Elems[i], sub)
		}
	case []any:
		sameLen(t, n, len(v))
		for i, sub := range v {
			sameShape(t, n.Elems[i], sub)
		}
	default:
		if n.Kind != Scalar {
			t.Fatalf("%v is kind %d in the tree", v, n.Kind)
		}
	}
}

func sameLen(t *testing.T, n *Node, want int) {
	if n.Kind != Array || len(n.Elems) != want {
		t.Fatalf("array has kind %d and %d elements, want %d", n.Kind, len(n.Elems), want)
	}
}

func checkSpans(t *testing.T, text string, n *Node) {
	for _, s := range []Span{n.Key, n.Value} {
		if s.Start < 0 || s.End < s.Start || s.End > len(text) {
			t.Fatalf("span %v leaves the text of %d bytes", s, len(text))
		}
	}
	for _, name := range n.Names {
		checkSpans(t, text, n.Child(name))
	}
	for _, e := range n.Elems {
		checkSpans(t, text, e)
	}
}
