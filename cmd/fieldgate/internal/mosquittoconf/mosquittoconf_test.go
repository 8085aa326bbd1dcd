package mosquittoconf

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the expected texts anew")

// TestWrite turns whole files over.
func TestWrite(t *testing.T) {
	for name, want := range map[string]struct{ bridges, notes, refused int }{
		"aws": {1, 0, 0}, "plant": {2, 9, 0}, "psk": {1, 3, 2},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := os.Open("testdata/" + name + ".conf")
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			f, err := Read(in)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			res, err := Write(&out, f, name+".conf")
			if err != nil || res.Bridges != want.bridges || res.Notes != want.notes || len(res.Refused) != want.refused {
				t.Errorf("%+v, %v", res, err)
			}
			if strings.Contains(out.String(), "deadbeef") {
				t.Error("the key is in the output")
			}
			golden := "testdata/" + name + ".toml"
			if *update {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if out.String() != string(text) {
				t.Errorf("wrote\n%s\nwant\n%s", out.String(), text)
			}
		})
	}
}

// TestEveryOption: each option of mosquitto 2.0's mosquitto.conf(5) for
// bridges is taken over or has its sentence.
func TestEveryOption(t *testing.T) {
	const all = `address addresses bridge_attempt_unsubscribe bridge_bind_address bridge_max_packet_size bridge_outgoing_retain
bridge_protocol_version cleansession idle_timeout keepalive_interval local_clientid local_cleansession local_password local_username
notification_topic notifications notifications_local_only remote_clientid remote_password remote_username restart_timeout round_robin
start_type threshold topic try_private bridge_alpn bridge_cafile bridge_capath bridge_certfile bridge_identity bridge_insecure
bridge_keyfile bridge_psk bridge_require_ocsp bridge_tls_version bridge_reload_type bridge_tcp_keepalive bridge_tcp_user_timeout
clientid username password`
	for _, key := range strings.Fields(all) {
		if _, ok := options[key]; !ok {
			t.Errorf("%s has no place", key)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"connection\n":               "line 1: connection without a name",
		"# x\n\ntopic a out\n":       "line 3: topic stands before any connection",
		strings.Repeat("x", maxLine): "token too long",
	} {
		if _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

func TestParseTopic(t *testing.T) {
	for value, want := range map[string]string{
		"# both 1":           "out #→{#} in #→{#}",
		"+/a/# out 0 l/ r/":  "out l/+/a/#→r/{1}/a/{#}",
		`+/+ in 2 "" r/`:     "in r/+/+→{1}/{2}",
		`"" both 1 here far`: "out here→far in far→here",
		"a":                  "out a→a",
		"a up":               "unknown direction",
		"a out 3":            "unknown QoS",
		`"" out 0 a`:         "needs both prefixes",
		"a{b} out":           "{",
		"a out 0 b c d":      "a topic has",
	} {
		p, err := parseTopic(value)
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", value, err)
			}
			continue
		}
		var got []string
		if p.direction != "in" {
			got = append(got, "out "+p.local+p.pattern+"→"+p.template(p.remote))
		}
		if p.direction != "out" {
			got = append(got, "in "+p.remote+p.pattern+"→"+p.template(p.local))
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s, want %s", value, s, want)
		}
	}
}

func FuzzImport(f *testing.F) {
	for _, name := range []string{"aws", "plant", "psk"} {
		b, err := os.ReadFile("testdata/" + name + ".conf")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if _, err := Write(&out, file, "f"); err != nil {
			t.Fatal(err)
		}
	})
}
