package broker

import (
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
	"fieldgate/scripts/peertest"
)

// hashes of the password "secret", one of each kind.
func hashes(t testing.TB) map[string]string {
	salt := []byte("0123456789ab")
	sum6 := sha512.Sum512(append([]byte("secret"), salt...))
	sum7, err := pbkdf2.Key(sha512.New, "secret", salt, 101, 64)
	if err != nil {
		t.Fatal(err)
	}
	crypted, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	argon, err := HashPassword("secret")
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	return map[string]string{
		"six": "$6$" + b64(salt) + "$" + b64(sum6[:]), "seven": "$7$101$" + b64(salt) + "$" + b64(sum7),
		"bcrypt": string(crypted), "argon": argon,
	}
}

func usersFile(t testing.TB) string {
	t.Helper()
	var lines strings.Builder
	lines.WriteString("# users\n\n")
	for name, hash := range hashes(t) {
		fmt.Fprintf(&lines, "%s:%s\n", name, hash)
	}
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPasswords(t *testing.T) {
	u, err := readUsers(usersFile(t))
	if err != nil {
		t.Fatal(err)
	}
	for name := range hashes(t) {
		for range 2 { // the second time from memory
			if !u.check(nil, name, []byte("secret")) {
				t.Errorf("%s: the right password is refused", name)
			}
		}
		for _, wrong := range []string{"", "Secret", "secret "} {
			if u.check(nil, name, []byte(wrong)) {
				t.Errorf("%s: %q is accepted", name, wrong)
			}
		}
	}
	if u.check(nil, "nobody", []byte("secret")) || u.check(nil, "", nil) {
		t.Error("an unknown user is accepted")
	}
}

// Files that mosquitto_passwd wrote.
func TestPasswordsOfMosquitto(t *testing.T) {
	tool := peertest.Need(t, "mosquitto_passwd")
	path := filepath.Join(t.TempDir(), "users")
	for i, args := range [][]string{{"-c", "-b", "-H", "sha512", path, "six", "secret"}, {"-b", "-H", "sha512-pbkdf2", path, "seven", "secret"}} {
		if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
			t.Fatalf("%d: %v: %s", i, err, out)
		}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	u, err := readUsers(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"six", "seven"} {
		if !u.check(nil, name, []byte("secret")) || u.check(nil, name, []byte("wrong")) {
			t.Errorf("user %s of mosquitto_passwd", name)
		}
	}
}

func TestPasswordFileErrors(t *testing.T) {
	for name, c := range map[string][2]string{
		"no colon":        {"anna", "1: no name"},
		"plain password":  {"anna:secret", "none of"},
		"twice":           {"a:" + "$2b$04$abcdefghijklmnopqrstuuJ1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x" + "\na:x", "there twice"},
		"huge iterations": {"a:$7$999999999$AAAA$AAAA", "iterations"},
		"huge argon":      {"a:$argon2id$v=19$m=4194304,t=1,p=1$AAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAA", "out of bounds"},
		"old argon":       {"a:$argon2id$v=16$m=8,t=1,p=1$AAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAA", "version"},
		"huge bcrypt":     {"a:$2b$31$abcdefghijklmnopqrstuuJ1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x", "bcrypt"},
		"no salt":         {"a:$6$$AAAA", "none of"},
	} {
		if _, err := parseUsers(strings.NewReader(c[0])); err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, nil, 0o604); err != nil {
		t.Fatal(err)
	}
	os.Chmod(path, 0o604)
	if _, err := readUsers(path); err == nil || !strings.Contains(err.Error(), "chmod") {
		t.Errorf("a file for everybody: %v", err)
	}
}

func FuzzUsers(f *testing.F) {
	for _, h := range hashes(f) {
		f.Add("a:" + h)
	}
	f.Add("a:$7$1$AA==$AA==\n#x\nb:$6$$")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := parseUsers(strings.NewReader(text))
		if err != nil {
			return
		}
		for name, hash := range u.hashes {
			if p, err := parseHash(hash); err != nil || name == "" || p.iterations > maxPBKDF2Iterations || p.memory > maxArgonMemory {
				t.Errorf("user %q: %+v, %v", name, p, err)
			}
		}
	})
}

func TestACL(t *testing.T) {
	a, err := newACL([]ACL{
		{User: "anna", Allow: []string{"read a/#", "write a/+/set", "deny a/secret/#", "readwrite own/%u/%c"}},
		{User: "anonymous", Allow: []string{"read open/#"}},
		{User: "*", Allow: []string{"read $SYS/#", "write clients/%c/up", "deny block/%u"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who   identity
		want  access
		topic string
		ok    bool
	}{
		{identity{user: "anna", client: "c"}, accessRead, "a/b", true},
		{identity{user: "anna", client: "c"}, accessRead, "a", true},
		{identity{user: "anna", client: "c"}, accessWrite, "a/b", false},
		{identity{user: "anna", client: "c"}, accessWrite, "a/b/set", true},
		{identity{user: "anna", client: "c"}, accessRead, "a/secret/x", false},
		{identity{user: "anna", client: "c"}, accessRead, "a/secret", false},
		{identity{user: "anna", client: "c"}, accessRead, "$SYS/x", false}, // the first match decides
		{identity{user: "anna", client: "c"}, accessWrite, "own/anna/c", true},
		{identity{user: "anna", client: "d"}, accessWrite, "own/anna/c", false},
		{identity{user: "anna", client: "#"}, accessWrite, "own/anna/#", false},
		{identity{user: "anna", client: "+"}, accessRead, "own/anna/x", false},
		{identity{user: "anna", client: "c/d"}, accessRead, "own/anna/c/d", false},
		{identity{client: "c"}, accessRead, "open/x", true},
		{identity{client: "c", local: true}, accessRead, "a/b", false},
		{identity{user: "bert", client: "b"}, accessRead, "$SYS/broker/uptime", true},
		{identity{user: "bert", client: "b"}, accessWrite, "clients/b/up", true},
		{identity{user: "bert", client: "+"}, accessWrite, "clients/b/up", false},
		{identity{user: "bert", client: "b"}, accessRead, "a/b", false},
		{identity{user: "+", client: "b"}, accessRead, "$SYS/x", false}, // a deny that cannot be worked out denies
	} {
		if got := a.allowed(c.who, c.want, c.topic); got != c.ok {
			t.Errorf("%+v %d %s: %v, want %v", c.who, c.want, c.topic, got, c.ok)
		}
	}
	none, _ := newACL(nil)
	if none.allowed(identity{user: "x"}, accessRead, "a") || !none.allowed(identity{user: "x", local: true}, accessWrite, "a") {
		t.Error("without rules only local clients may do anything")
	}
	for _, c := range []struct {
		filter string
		ok     bool
	}{{"a/#", true}, {"#", true}, {"a/secret/x", false}, {"a/secret/#", false}, {"a/secret/+", false}, {"a/+/x", true}, {"b", false}, {"+", true}, {"own/anna/c", true}, {"own/+/c", true}, {"own/bert/c", false}, {"$SYS/#", false}} {
		if got := a.subscribable(identity{user: "anna", client: "c"}, c.filter); got != c.ok {
			t.Errorf("subscribe %s: %v, want %v", c.filter, got, c.ok)
		}
	}
	for _, wrong := range []string{"", "read", "read ", "allow a", "read a/#/b", "read a%u/b", "read %cx"} {
		if _, err := parseRule(wrong); err == nil {
			t.Errorf("rule %q is accepted", wrong)
		}
	}
}

func login(user, password string) func(*packet.Connect) {
	return func(c *packet.Connect) {
		c.Username, c.HasUsername, c.Password, c.HasPassword = user, true, []byte(password), true
	}
}

// Rights hold at subscribe, publish, delivery and resume, and after a reload.
func TestRights(t *testing.T) {
	cfg := Config{
		Listener: []Listener{{Name: "l", Bind: "127.0.0.1:0"}},
		Auth:     Auth{UsersFile: usersFile(t)},
		ACL:      []ACL{{User: "six", Allow: []string{"readwrite #"}}, {User: "*", Allow: []string{"read a/#", "deny a/x", "write in"}}},
	}
	s := start(t, cfg, nil)
	for name, c := range map[string]struct {
		option func(*packet.Connect)
		want   mqtt.ReasonCode
	}{
		"nothing":        {func(*packet.Connect) {}, mqtt.NotAuthorized},
		"wrong password": {login("six", "wrong"), mqtt.BadUserNameOrPassword},
		"no password":    {func(c *packet.Connect) { c.Username, c.HasUsername = "six", true }, mqtt.BadUserNameOrPassword},
		"unknown":        {login("nobody", "secret"), mqtt.BadUserNameOrPassword},
		"empty name":     {login("", "secret"), mqtt.NotAuthorized},
		"password only":  {func(c *packet.Connect) { c.Password, c.HasPassword = []byte("secret"), true }, mqtt.NotAuthorized},
	} {
		if a := s.dial().connect(mqtt.V5, "x", c.option); a.Reason != c.want {
			t.Errorf("%s: %v, want %v", name, a.Reason, c.want)
		}
	}
	r := s.connect(mqtt.V5, "r", durable, login("seven", "secret"))
	if got := r.subscribe(sub("#", 1), sub("b", 1), sub("a/x", 1), sub("$SYS/#", 1)); !slices.Equal(got, []mqtt.ReasonCode{1, mqtt.NotAuthorized, mqtt.NotAuthorized, mqtt.NotAuthorized}) {
		t.Errorf("SUBACK %v", got)
	}
	w := s.connect(mqtt.V5, "w", login("six", "secret"))
	for _, topic := range []string{"b", "a/x", "a/y"} {
		w.publish(topic, "x", 1, 1)
	}
	if m := r.receive(); m.Topic != "a/y" {
		t.Errorf("got %s", m.Topic)
	}
	r.silent()
	r.send(pub("out", "x", 1, 1))
	if a := expect[*packet.Puback](r); a.Reason != mqtt.NotAuthorized {
		t.Errorf("PUBACK %v", a.Reason)
	}
	r.publish("in", "x", 1, 2)
	old := s.connect(mqtt.V311, "old", login("bcrypt", "secret"))
	old.publish("out", "x", 1, 1) // acknowledged, and passed on to nobody
	if got := s.Retained("out"); len(got) != 0 {
		t.Error("published without the right to")
	}
	if c := s.Clients(); c[0].ID != "old" || c[0].LastDenied != "out" {
		t.Errorf("last denied: %+v", c[0])
	}
	// What waits for a session is checked again when it is sent.
	r.leave()
	w.publish("a/y", "waits", 1, 3)
	w.publish("a/z", "waits", 1, 4)
	cfg.ACL = []ACL{{User: "six", Allow: []string{"readwrite #"}}, {User: "*", Allow: []string{"read a/z"}}}
	cfg.Listener[0].Bind = "127.0.0.1:0"
	if err := s.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	r = s.connect(mqtt.V5, "r", durable, login("seven", "secret"))
	if m := r.receive(); m.Topic != "a/z" {
		t.Errorf("got %s after the right was taken away", m.Topic)
	}
	w.publish("a/y", "x", 1, 5)
	w.publish("a/z", "x", 1, 6)
	if m := r.receive(); m.Topic != "a/z" {
		t.Errorf("got %s", m.Topic)
	}
	// Nobody else gets a session or its messages, and nobody is thrown out by a stranger.
	if a := s.dial().connect(mqtt.V5, "r", durable, login("argon", "secret")); a.Reason != mqtt.NotAuthorized {
		t.Errorf("a stranger takes over: %v", a.Reason)
	}
	r.leave()
	thief := s.dial()
	if a := thief.connect(mqtt.V5, "r", durable, login("argon", "secret")); a.Reason != mqtt.Success || a.SessionPresent {
		t.Errorf("a stranger resumes: %+v", a)
	}
	// A user that is gone is sent away; a wrong file changes nothing.
	if err := os.WriteFile(cfg.Auth.UsersFile, []byte("six:nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(cfg); err == nil {
		t.Error("a wrong users file is accepted")
	}
	w.publish("a/z", "x", 1, 7)
	if err := os.WriteFile(cfg.Auth.UsersFile, []byte("six:"+hashes(t)["six"]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	thief.ends(mqtt.NotAuthorized)
	w.publish("a/z", "x", 1, 8)
}

// Names with wildcards get no rights that belong to others.
func TestProbe11WildcardsInNames(t *testing.T) {
	s := start(t, Config{ACL: []ACL{{User: "anonymous", Allow: []string{"readwrite own/%c/#"}}}}, nil)
	for _, id := range []string{"+", "#", "a/b", "+/x"} {
		c := s.connect(mqtt.V5, id)
		for _, filter := range []string{"own/+/#", "own/#", "#", "own/" + id} {
			if mqtt.CheckFilter(filter) == nil {
				if got := c.subscribe(sub(filter, 0)); got[0] != mqtt.NotAuthorized {
					t.Errorf("client %q subscribes to %s: %v", id, filter, got)
				}
			}
		}
		c.leave()
	}
	c := s.connect(mqtt.V5, "plain")
	if got := c.subscribe(sub("own/plain/#", 0), sub("own/+/#", 1)); got[0] != 0 || got[1] != 1 {
		t.Errorf("SUBACK %v", got)
	}
	d := s.connect(mqtt.V5, "other")
	d.publish("own/other/x", "x", 1, 1)
	c.silent()
}

func TestTakeOverFightIsReported(t *testing.T) {
	s := start(t, Config{}, nil)
	for range takeoverReport + 1 {
		s.connect(mqtt.V5, "same")
	}
	waitFor(t, "the report", func() bool { return s.log.has("two clients fight") })
	if n := s.Stats().Takeovers; n != takeoverReport {
		t.Errorf("%d take-overs", n)
	}
}
