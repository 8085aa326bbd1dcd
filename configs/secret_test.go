package configs

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// load runs one [[upstream]] with the given keys.
func loadUpstream(t *testing.T, env map[string]string, keys string) (*File, *Report) {
	t.Helper()
	return LoadText("f.toml", "[[upstream]]\nurl = \"mqtts://a.example\"\nusername = \"u\"\n"+keys, Options{Env: func(n string) (string, bool) {
		v, ok := env[n]
		return v, ok
	}})
}

func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	return path
}

func TestSecretSources(t *testing.T) {
	cred := write(t, "cloud", "from-systemd\n", 0o600)
	env := map[string]string{"PASSWORD": "from-env", "EMPTY": "", "CREDENTIALS_DIRECTORY": filepath.Dir(cred)}
	for _, c := range []struct {
		name, keys, want string
		codes            string
	}{
		{"literal", `password = "plain"`, "plain", "W0110"},
		{"environment", `password = "${PASSWORD}"`, "from-env", ""},
		{"unset", `password = "${NOBODY}"`, "", "E0109"},
		{"empty variable", `password = "${EMPTY}"`, "", "E0109"},
		{"credential", `password = "credential:cloud"`, "from-systemd", ""},
		{"missing credential", `password = "credential:other"`, "", "E0109"},
		{"credential with a path", `password = "credential:../cloud"`, "", "E0109"},
		{"credential without a name", `password = "credential:"`, "", "E0109"},
		{"not quite a variable", `password = "a${PASSWORD}"`, "a${PASSWORD}", "W0111 W0110"},
		{"number", `password = 1234`, "", "E0104"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, r := loadUpstream(t, env, c.keys)
			var codes []string
			for _, p := range r.Problems {
				codes = append(codes, p.Code)
			}
			if got := strings.Join(codes, " "); got != c.codes {
				t.Errorf("codes %q, want %q\n%s", got, c.codes, rendered(r))
			}
			if got := f.Upstream[0].Password.Reveal(); got != c.want {
				t.Errorf("password %q, want %q", got, c.want)
			}
		})
	}
	_, r := loadUpstream(t, nil, `password = "credential:cloud"`)
	if len(r.Problems) != 1 || r.Problems[0].Code != "W0109" || !strings.Contains(r.Problems[0].Text, "CREDENTIALS_DIRECTORY") {
		t.Error(rendered(r))
	}
}

func TestSecretFiles(t *testing.T) {
	for _, c := range []struct {
		name, path, code string
	}{
		{"good", write(t, "p", "secret", 0o640), ""},
		{"open to all", write(t, "p", "secret", 0o644), "E0112"},
		{"missing", filepath.Join(t.TempDir(), "nothing"), "E0109"},
		{"a directory", t.TempDir(), "E0109"},
	} {
		_, r := loadUpstream(t, nil, "password_file = "+quote(c.path))
		got := ""
		if len(r.Problems) > 0 {
			got = r.Problems[0].Code
		}
		if got != c.code || len(r.Problems) > 1 {
			t.Errorf("%s: %s", c.name, rendered(r))
		}
		if c.code == "E0112" && !strings.Contains(rendered(r), "chmod 0640 ") {
			t.Errorf("no remedy: %s", rendered(r))
		}
	}
}

// Whatever is wrong, no report may hold a secret: not in its text, not in the
// line it shows, not in JSON.
func TestReportsHideSecrets(t *testing.T) {
	const secret = "hunter2-geheim"
	for _, keys := range []string{
		`password = "` + secret + `"`,
		`pasword = "` + secret + `"`,
		`password = "` + secret + `" x`,
		`password = "` + secret,
		`password = ` + secret,
		`password = 10` + secret,
		`password = 1.5` + secret + `:5`,
		`tls = { key_passphrase = 7` + secret + ` }`,
		`password = ["` + secret + `"]`,
		`password = '` + secret + `' # ` + "\nfoo = 1",
		`password = """` + secret + `"""` + "\nbad = 1",
		`device_secret = "` + secret + `"`,
		`url = "mqtt://u:` + secret + `@h"`,
		`urls = ["mqtt://u:` + secret + `@h", 5]`,
		`tls = { key_passphrase = "` + secret + `", x = 1 }`,
		`token = "` + secret + `"`,
		`proxy = "http://me:` + secret + `@proxy:1"` + "\nkeepalive = 1",
		`connect = { timeout = 1, password = "` + secret + `" }`,
		"password = \"\"\"\nfirst\n" + secret + "\n\"\"\" junk",
		"password = \"\"\"\n" + secret + "\n\"\"\"\nbad = 1",
	} {
		f, r := loadUpstream(t, nil, keys)
		var all bytes.Buffer
		if err := r.Render(&all, true); err != nil {
			t.Fatal(err)
		}
		if err := r.JSON(&all); err != nil {
			t.Fatal(err)
		}
		if err := r.Err(); err != nil {
			all.WriteString(err.Error())
		}
		if err := f.Show(&all); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(all.String(), secret) {
			t.Errorf("%s\n%s", keys, all.String())
		}
	}
}
