package broker

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// Class 6: wildcards in names (CVE-2017-7650). Those in client ids are
// TestProbe11WildcardsInNames; here user names, which a password file or a
// certificate brings.
func TestAttack06WildcardsInUserNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	hash := hashes(t)["six"]
	var lines strings.Builder
	names := []string{"+", "x#", "a/b", "plain"} // a line that begins with # is a comment
	for _, n := range names {
		fmt.Fprintf(&lines, "%s:%s\n", n, hash)
	}
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, Config{Auth: Auth{UsersFile: path}, ACL: []ACL{{User: "*", Allow: []string{"readwrite home/%u/#", "deny secret/%u"}}}}, nil)
	for _, n := range names {
		c := s.connect(mqtt.V5, "c", login(n, "secret"))
		want := mqtt.NotAuthorized
		if n == "plain" {
			want = mqtt.Success
		}
		if a := c.subscribe(sub("home/plain/x", 0)); a[0] != want {
			t.Errorf("user %q subscribes: %v", n, a[0])
		}
		c.send(pub("home/plain/x", "x", 1, 5))
		for {
			if a, ok := c.mustNext().(*packet.Puback); ok {
				if a.Reason.Failed() != want.Failed() {
					t.Errorf("user %q publishes: %v", n, a.Reason)
				}
				break
			}
		}
		c.leave()
	}
}

// Class 8: rights that were taken away (CVE-2021-34434, CVE-2018-12546,
// CVE-2026-6564, CVE-2026-49186): neither a session that waits, nor a share, a
// will, a retained message or a half-done QoS 2 exchange goes around them.
func TestAttack08RightsTakenAway(t *testing.T) {
	cfg := Config{Listener: []Listener{{Name: "l", Bind: "127.0.0.1:0"}}, Auth: Auth{UsersFile: usersFile(t)}, ACL: []ACL{{User: "*", Allow: []string{"readwrite #"}}}}
	s := start(t, cfg, newMemory())
	boss := s.connect(mqtt.V5, "boss", login("six", "secret"))
	boss.subscribe(sub("will/#", 1), sub("half", 2))
	victim := func(id string, options ...func(*packet.Connect)) *peer {
		return s.connect(mqtt.V5, id, append(options, durable, login("seven", "secret"))...)
	}
	away := victim("away")
	away.subscribe(sub("t", 1), sub("$share/g/shared", 1), sub("two", 2))
	online := victim("online")
	online.subscribe(sub("#", 1), sub("$share/g/shared", 1))
	bye := victim("bye", func(c *packet.Connect) {
		c.Will = &mqtt.Will{Message: mqtt.Message{Topic: "will/x", Payload: []byte("x")}}
	})
	boss.send(pub("two", "half done", 2, 9))
	for range 2 { // PUBREC and the copy of "#", in any order
		if k, ok := boss.mustNext().(*packet.Pubrec); ok {
			boss.send(&packet.Pubrel{PacketID: k.PacketID})
		}
	}
	half := expect[*packet.Publish](away)
	away.send(&packet.Pubrec{PacketID: half.PacketID})
	expect[*packet.Pubrel](away)
	online.receive()
	online.send(pub("half", "x", 2, 7))
	for k := online.mustNext(); k.Type() != packet.TypePubrec; k = online.mustNext() {
	}
	away.leave()
	boss.receive()
	boss.publish("t", "waits", 1, 1)
	online.receive()
	// All rights of "seven" go.
	cfg.ACL = []ACL{{User: "six", Allow: []string{"readwrite #"}}, {User: "*", Allow: []string{"write nothing"}}}
	if err := s.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	boss.send(&packet.Publish{Topic: "t", Payload: []byte("kept"), QoS: 1, PacketID: 2, Retain: true})
	expect[*packet.Puback](boss)
	for i := range 4 {
		boss.publish("shared", "x", 1, uint16(i+3))
	}
	online.send(&packet.Pubrel{PacketID: 7}) // an exchange that was begun may be ended; it brings nothing new
	expect[*packet.Pubcomp](online)
	online.silent()
	if a := online.subscribe(sub("t", 1), sub("#", 1), sub("+", 1), sub("$share/h/#", 1)); slices.ContainsFunc(a, func(r mqtt.ReasonCode) bool { return r != mqtt.NotAuthorized }) {
		t.Errorf("SUBACK %v", a)
	}
	online.silent() // nor what is retained
	bye.cut()
	s.offline("bye")
	boss.silent()
	away = victim("away")
	if k, ok := away.mustNext().(*packet.Pubrel); !ok || k.PacketID != half.PacketID {
		t.Errorf("the half-done exchange does not go on: %+v", k)
	}
	away.send(&packet.Pubcomp{PacketID: half.PacketID})
	away.silent()
	waitFor(t, "an empty queue", func() bool { n, _ := s.store.PendingCount("away"); return n == 0 })
}

// Class 14: credentials that are missing, empty or no text (CVE-2026-32696,
// CVE-2017-7653), with and without a password file. TestRights has those that are wrong.
func TestAttack14Credentials(t *testing.T) {
	for _, cfg := range []Config{{}, {Auth: Auth{UsersFile: usersFile(t)}}} {
		cfg.Listener = []Listener{{Name: "l", Bind: "127.0.0.1:0", MaxConnects: 10_000}}
		s := start(t, cfg, nil)
		fields := [][]byte{nil, {}, {0}, {0, 0}, {0, 1}, {0, 1, 0}, {0, 1, 0xFF}, {0, 2, 0xC3, 0x28}, {0xFF, 0xFF, 'x'}, {0, 3, 's', 'i', 'x'}}
		for _, v := range []byte{3, 4, 5} {
			for flags := range byte(4) {
				for _, user := range fields {
					for _, password := range fields {
						b := []byte{0, 4, 'M', 'Q', 'T', 'T', v, 2 | flags<<6, 0, 10}
						if v == 3 {
							b = []byte{0, 6, 'M', 'Q', 'I', 's', 'd', 'p', v, 2 | flags<<6, 0, 10}
						}
						if v == 5 {
							b = append(b, 0)
						}
						b = append(append(append(b, 0, 1, 'c'), user...), password...)
						p := s.dial()
						p.raw(whole(0x10, b...))
						p.nc.SetReadDeadline(time.Now().Add(patience))
						if h, body, err := p.r.Next(); isTimeout(err) || err == nil && (h != 0x20 || body[1] == 0) {
							t.Fatalf("version %d flags %#x user % x password % x: %#x % x, %v", v, flags<<6, user, password, h, body, err)
						}
						p.nc.Close()
					}
				}
			}
		}
		if n := s.Stats().Connects; n != 0 {
			t.Errorf("%d were let in", n)
		}
	}
}

// Class 15: files that others may read (CVE-2017-9868), or put a link in the place of.
func TestAttack15Files(t *testing.T) {
	path := usersFile(t)
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o640: true, 0o644: false, 0o602: false, 0o666: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := readUsers(path); (err == nil) != ok {
			t.Errorf("users file of mode %o: %v", mode, err)
		}
	}
	dir := t.TempDir()
	victim, key := filepath.Join(dir, "victim"), filepath.Join(dir, "k.key")
	if err := os.Symlink(victim, key); err != nil {
		t.Fatal(err)
	}
	if _, err := loadPair(&TLS{Auto: "self-signed", CertFile: filepath.Join(dir, "c.crt"), KeyFile: key}, "127.0.0.1:0"); err == nil {
		t.Error("a key is written through a link")
	}
	if _, err := os.Stat(victim); err == nil {
		t.Error("a link was followed")
	}
	os.Remove(key)
	if _, err := loadPair(&TLS{Auto: "self-signed", CertFile: filepath.Join(dir, "c.crt"), KeyFile: key}, "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key has mode %v, %v", info.Mode(), err)
	}
	sock := filepath.Join(dir, "m.sock")
	start(t, Config{Listener: []Listener{{Name: "u", Bind: "unix:" + sock, AllowAnonymous: true}}, ConnectTimeout: conf.Duration(time.Second)}, nil)
	if info, err := os.Stat(sock); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("the socket has mode %v, %v", info.Mode(), err)
	}
}
