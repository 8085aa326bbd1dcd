package broker

import (
	"net"
	"strconv"
	"testing"

	"fieldgate/mqtt"
	"fieldgate/scripts/peertest"
)

// A listener on loopback can be opened to every address, and closed again, by
// a reload; one that fails leaves the old one as it was.
func TestReloadToEveryAddress(t *testing.T) {
	port := strconv.Itoa(peertest.FreePort(t))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	inside := Listener{Name: "l", Bind: "127.0.0.1:" + port, AllowAnonymous: true}
	everywhere := inside
	everywhere.Bind = "0.0.0.0:" + port
	s := start(t, Config{Listener: []Listener{inside}}, nil)
	p := s.connect(mqtt.V5, "p")
	bad := Config{Listener: []Listener{everywhere, {Name: "taken", Bind: taken.Addr().String(), AllowAnonymous: true}}}
	if err := s.Reload(bad); err == nil {
		t.Fatal("a configuration with an address that is taken is accepted")
	}
	p.silent()
	dialPeer(t, "tcp", inside.Bind).connect(mqtt.V5, "still")
	for _, l := range []Listener{everywhere, inside, everywhere} {
		if err := s.Reload(Config{Listener: []Listener{l}}); err != nil {
			t.Fatalf("%s: %v", l.Bind, err)
		}
		q := dialPeer(t, "tcp", "127.0.0.1:"+port)
		q.connect(mqtt.V5, "q")
		q.silent()
	}
	p.ends(mqtt.AdministrativeAction)
}
