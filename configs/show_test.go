package configs

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"fieldgate/bridge"
	"fieldgate/configs/conf"
	"fieldgate/drivers"
	"fieldgate/drivers/modbus"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// What Show writes is a configuration with the same meaning.
func TestShowLoadsBack(t *testing.T) {
	texts := map[string]*File{}
	for _, name := range exampleFiles(t) {
		texts[name], _ = Load(name, Options{SkipFiles: true})
	}
	texts["reference"], _ = LoadText("fieldgate.toml", Reference, Options{SkipFiles: true})
	texts["empty"], _ = LoadText("fieldgate.toml", "", Options{})
	texts["odd"], _ = LoadText("fieldgate.toml", odd, Options{SkipFiles: true})
	for name, f := range texts {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := f.Show(&b); err != nil {
				t.Fatal(err)
			}
			again, r := LoadText("shown.toml", b.String(), Options{SkipFiles: true})
			if name != "odd" && len(r.Problems) > 0 {
				t.Fatalf("%s\n%s", rendered(r), b.String())
			}
			for _, p := range r.Problems {
				if p.Code < "E0120" && !p.Warning() {
					t.Errorf("%s: %s", p.Code, p.Text)
				}
			}
			var c strings.Builder
			if err := again.Show(&c); err != nil {
				t.Fatal(err)
			}
			want, got := effective(t, f), effective(t, again)
			if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(File{}), cmpopts.EquateEmpty(), cmp.Comparer(sameSecret)); d != "" {
				t.Errorf("%s\n%s", d, b.String())
			}
		})
	}
}

const odd = `
[gateway]
name = "a \"quoted\" \\ name\twith\u0007 bell"
[[bus]]
name = "b"
tcp = "10.0.0.1"
[[device]]
name = "d"
bus = "b"
[[device.tag]]
name = "t"
reg = "h1"
enum = { "1.5" = "a b", -1 = true, 3 = 1.5 }
invalid = [1, 0xffff, "sunspec"]
scale = 1e-9
[[device.tag]]
name = "u"
reg = "h2"
write = {}
[[upstream]]
name = ""
url = "mqtt://a"
urls = []
`

func sameSecret(a, b conf.Secret) bool { return a.IsZero() == b.IsZero() }

// effective is the file with every default of the reference put in, so that a
// key left out and a key at its default are the same.
func effective(t *testing.T, f *File) *File {
	t.Helper()
	out := *f
	out.Include, out.root = nil, nil
	if out.Publish.Topic == "" && out.Gateway.Place == (drivers.Place{}) {
		out.Publish.Topic = "{gateway}/{device}/{tag}"
	}
	out.Upstream = slices.Clone(out.Upstream)
	for i := range out.Upstream {
		out.Upstream[i].Name = out.Upstream[i].ID()
	}
	fill(t, reflect.ValueOf(&out).Elem(), "")
	return &out
}

func fill(t *testing.T, v reflect.Value, path string) {
	for _, f := range fieldsOf(v.Type()) {
		p, sub := joinPath(path, f.name), v.Field(f.index)
		e, _ := element(f.typ)
		switch {
		case e.Kind() == reflect.Struct && !isText(e):
			switch sub.Kind() {
			case reflect.Slice:
				list := reflect.MakeSlice(sub.Type(), sub.Len(), sub.Len())
				reflect.Copy(list, sub)
				for i := range list.Len() {
					fill(t, list.Index(i), p)
				}
				sub.Set(list)
			case reflect.Struct:
				fill(t, sub, p)
			case reflect.Pointer:
				if !sub.IsNil() {
					c := reflect.New(sub.Type().Elem())
					c.Elem().Set(sub.Elem())
					fill(t, c.Elem(), p)
					sub.Set(c)
				}
			}
		case sub.IsZero() || sub.Kind() == reflect.Pointer && sub.IsNil():
			if text, ok := defaultOf(p); ok {
				l := newLoader(Options{SkipFiles: true})
				l.bind(l.parse("value.toml", "x = "+text).table["x"], sub, p)
			}
		}
	}
}

func TestShowHidesSecrets(t *testing.T) {
	t.Setenv("UP_PASSWORD", "from-the-environment")
	f, _ := LoadText("f.toml", `
[[upstream]]
url = "mqtt://a.example"
username = "u"
password = "literal-secret"
[[upstream]]
name = "b"
url = "mqtt://b.example"
username = "u"
password = "${UP_PASSWORD}"
`, Options{})
	var b strings.Builder
	if err := f.Show(&b); err != nil {
		t.Fatal(err)
	}
	if f.Upstream[0].Password.Reveal() != "literal-secret" || f.Upstream[1].Password.Reveal() != "from-the-environment" {
		t.Fatal("the secrets were not read")
	}
	for _, secret := range []string{"literal-secret", "from-the-environment"} {
		if strings.Contains(b.String(), secret) {
			t.Errorf("%s is shown:\n%s", secret, b.String())
		}
	}
	for _, want := range []string{`password = "***"  # hidden`, `password = "${UP_PASSWORD}"`, "level = \"info\"  # default"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s is missing:\n%s", want, b.String())
		}
	}
}

// A File made in Go can be shown as well.
func TestShowOfGo(t *testing.T) {
	f := Default()
	f.Bus = []modbus.Bus{{Name: "b", TCP: "10.0.0.1:502"}}
	f.Device = []modbus.Device{{Name: "d", Bus: "b", Tags: []modbus.Tag{{Name: "t", Reg: "h1"}}}}
	f.Upstream = []bridge.Config{{URL: "mqtt://a.example", Username: "u", Password: conf.NewSecret("hunter2")}}
	var b strings.Builder
	if err := f.Show(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "hunter2") {
		t.Error("the secret is shown")
	}
	back, r := LoadText("f.toml", b.String(), Options{})
	if !r.OK() || len(back.Device) != 1 || back.Device[0].Tags[0].Reg != "h1" {
		t.Errorf("%s\n%s", rendered(r), b.String())
	}
}

func TestFingerprint(t *testing.T) {
	a, _ := LoadText("a.toml", Reference, Options{SkipFiles: true})
	b, _ := LoadText("b.toml", Reference, Options{SkipFiles: true})
	if a.Fingerprint() != b.Fingerprint() || len(a.Fingerprint()) != 12 {
		t.Errorf("%s and %s", a.Fingerprint(), b.Fingerprint())
	}
	b.Device[0].Poll++
	b.root = nil
	if a.Fingerprint() == b.Fingerprint() {
		t.Error("another file, the same fingerprint")
	}
}
