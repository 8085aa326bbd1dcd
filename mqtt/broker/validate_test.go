package broker

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"fieldgate/configs/conf"
)

func problems(c Config) (found []string) {
	c.Validate(func(p conf.Problem) { found = append(found, p.Code+" "+p.Key) })
	slices.Sort(found)
	return found
}

func TestValidate(t *testing.T) {
	users := usersFile(t)
	cert := filepath.Join(t.TempDir(), "no.crt")
	broken := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(broken, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	three := 3
	short := conf.Duration(time.Millisecond)
	acl := []ACL{{User: "*", Allow: []string{"read #"}}}
	for name, c := range map[string]struct {
		config Config
		want   []string
	}{
		"nothing":         {Config{}, nil},
		"good":            {Config{Auth: Auth{users}, ACL: acl, Listener: []Listener{{Name: "a", Bind: ":8883", TLS: &TLS{Auto: "self-signed"}}, {Name: "b", Bind: "unix:/run/x", AllowAnonymous: true}}}, nil},
		"open to all":     {Config{ACL: acl, Listener: []Listener{{Name: "a", Bind: ":1883", AllowAnonymous: true}}}, []string{"E0510 listener[0].allow_anonymous"}},
		"risk accepted":   {Config{ACL: acl, Listener: []Listener{{Name: "a", Bind: ":1883", AllowAnonymous: true, RiskAccepted: true}}}, nil},
		"clear passwords": {Config{ACL: acl, Auth: Auth{users}, Listener: []Listener{{Name: "a", Bind: "0.0.0.0:1883"}}}, []string{"E0511 listener[0].bind"}},
		"no way in":       {Config{ACL: acl, Listener: []Listener{{Name: "a", Bind: "127.0.0.1:1883"}}}, []string{"E0513 listener[0]"}},
		"no rights":       {Config{Auth: Auth{users}, Listener: []Listener{{Name: "a", Bind: ":8883", TLS: &TLS{Auto: "self-signed"}}}}, []string{"W0512 listener[0]"}},
		"twice":           {Config{Listener: []Listener{{Name: "a", Bind: "[::1]:1", AllowAnonymous: true}, {Name: "a", Bind: "[::1]:1", AllowAnonymous: true}}}, []string{"E0501 listener[1].name", "E0502 listener[1].bind"}},
		"no address":      {Config{Listener: []Listener{{Name: "a", Bind: "1883", AllowAnonymous: true}, {Name: "b", Bind: "unix:x", AllowAnonymous: true}, {Name: "c", Bind: "localhost:99999", AllowAnonymous: true}}}, []string{"E0514 listener[0].bind", "E0514 listener[1].bind", "E0514 listener[2].bind"}},
		"certificates":    {Config{Listener: []Listener{{Name: "a", Bind: "localhost:1", AllowAnonymous: true, TLS: &TLS{}}, {Name: "b", Bind: "localhost:2", AllowAnonymous: true, TLS: &TLS{CertFile: cert}}, {Name: "c", Bind: "localhost:3", AllowAnonymous: true, TLS: &TLS{CertFile: cert, KeyFile: cert, ClientCAFile: cert, UserFrom: "x"}}, {Name: "d", Bind: "localhost:4", AllowAnonymous: true, TLS: &TLS{Auto: "acme"}}}}, []string{"E0515 listener[2].tls.user_from", "E0515 listener[3].tls.auto", "E0516 listener[0].tls", "E0516 listener[1].tls", "E0517 listener[2].tls.cert_file", "E0517 listener[2].tls.client_ca_file"}},
		"rules":           {Config{ACL: []ACL{{Allow: []string{"read a"}}, {User: "*", Allow: []string{"allow a", "read a%u"}}, {User: "anna", Allow: nil}}}, []string{"E0505 acl[0].user", "E0506 acl[1].allow[0]", "E0506 acl[1].allow[1]", "W0507 acl[2]"}},
		"no users":        {Config{Auth: Auth{"/nonexistent/users"}}, []string{"E0508 auth.users_file"}},
		"broken users":    {Config{Auth: Auth{broken}}, []string{"E0508 auth.users_file"}},
		"numbers":         {Config{MaxClients: -1, MaxPacket: 1, MaxInflight: 70000, MaxQoS: &three, SysInterval: &short, WhenFull: "panic"}, []string{"E0503 max_clients", "E0503 max_inflight", "E0503 max_packet", "E0503 max_qos", "E0503 sys_interval", "E0504 when_full"}},
		"path":            {Config{Listener: []Listener{{Name: "a", Bind: "localhost:1", AllowAnonymous: true, MaxRate: -1, WebSocket: &WebSocket{Path: "x"}}}}, []string{"E0503 listener[0].max_rate", "E0509 listener[0].websocket.path"}},
	} {
		if got := problems(c.config); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
