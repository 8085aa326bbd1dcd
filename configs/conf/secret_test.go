package conf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// Wherever a secret is printed, on its own or deep inside something else, its
// text does not come out.
func TestSecretIsHidden(t *testing.T) {
	const text = "hunter2"
	type Outer struct {
		Password Secret
		inner    struct{ key Secret }
		List     []Secret
		Map      map[string]Secret
		Pointer  *Secret
		Any      any
	}
	s := NewSecret(text)
	o := Outer{Password: s, List: []Secret{s}, Map: map[string]Secret{"a": s}, Pointer: &s, Any: s}
	o.inner.key = s

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb, s)
		fmt.Fprintf(&out, verb, &s)
		fmt.Fprintf(&out, verb, o)
		fmt.Fprintf(&out, verb, &o)
	}
	fmt.Fprint(&out, s, o, fmt.Errorf("login %v: %w", s, fmt.Errorf("%s", s)))
	if err := json.NewEncoder(&out).Encode(o); err != nil {
		t.Fatal(err)
	}
	if err := toml.NewEncoder(&out).Encode(map[string]any{"password": s}); err != nil {
		t.Fatal(err)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("login", "password", s, "all", o, "pointer", &s)
	}
	for _, form := range []string{text, fmt.Sprintf("%x", text), fmt.Sprintf("%q", text)} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the secret came out as %s:\n%s", form, out.String())
		}
	}
	if !strings.Contains(out.String(), "***") {
		t.Error("nothing was printed")
	}
}

func TestSecretText(t *testing.T) {
	var s Secret
	if !s.IsZero() || s.Reveal() != "" || s.String() != "" {
		t.Errorf("zero secret: %q", s.Reveal())
	}
	if err := s.UnmarshalText([]byte("abc")); err != nil || s.Reveal() != "abc" || s.IsZero() {
		t.Errorf("%q %v", s.Reveal(), err)
	}
	if !s.Equal(NewSecret("abc")) || s.Equal(NewSecret("x")) || !reflect.DeepEqual(s, NewSecret("abc")) || reflect.DeepEqual(s, NewSecret("x")) {
		t.Error("comparison")
	}
	if !NewSecret("").IsZero() || !reflect.DeepEqual(NewSecret(""), Secret{}) {
		t.Error("an empty secret is no secret")
	}
}

func TestUnder(t *testing.T) {
	var got []string
	bad := Bad(func(p Problem) { got = append(got, p.Key) }).Under("bus").Under("x")
	for _, key := range []string{"", "a", "[1]", "[1].b"} {
		bad(Problem{Key: key})
	}
	want := []string{"bus.x", "bus.x.a", "bus.x[1]", "bus.x[1].b"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
