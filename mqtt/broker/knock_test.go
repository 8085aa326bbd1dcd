package broker

import (
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
	"fieldgate/scripts/peertest"
)

// heard collects events.
type heard struct {
	mu   sync.Mutex
	list []Event
}

func (h *heard) take(ev Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, ev)
}

func (h *heard) texts(code string) (list []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, ev := range h.list {
		if ev.Code == code {
			list = append(list, ev.Text)
		}
	}
	return list
}

// turnedAway reports whether somebody who says something at an address is sent
// away without an answer; refused: nobody is there at all.
func turnedAway(t *testing.T, addr string) (away, refused bool) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		refused = errors.Is(err, syscall.ECONNREFUSED)
		return !refused, refused // a reset may come while dialling
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	nc.Write([]byte{0x10, 12, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 0}) // may fail: it is already over
	n, err := io.ReadFull(nc, make([]byte, 1))
	return n == 0 && err != nil && !isTimeout(err), false
}

// Somebody on the network who tries a port that listens on loopback only is
// sent away and told of, once; whoever is on this machine notices nothing.
// 127.0.0.7 is the network here.
func TestKnockFromTheNetwork(t *testing.T) {
	port := strconv.Itoa(peertest.FreePort(t))
	said, events := &logged{}, &heard{}
	lan := []net.IP{net.IPv4(127, 0, 0, 7)}
	b := newKnocked(t, Config{Listener: []Listener{{Name: "local", Bind: "127.0.0.1:" + port, AllowAnonymous: true}}}, said, events, &lan)
	s := run(t, b, said)
	s.connect(mqtt.V5, "c").silent()
	at := "127.0.0.7:" + port
	waitFor(t, "the door", func() bool { _, refused := turnedAway(t, at); return !refused })
	for range 5 {
		if away, _ := turnedAway(t, at); !away {
			t.Error("somebody is let in, or hears an answer")
		}
	}
	want := " tried :" + port + ", which listens on loopback only; add a [[broker.listener]] for the network and a user (fieldgate passwd add NAME)"
	waitFor(t, "a word about it", func() bool { return len(events.texts("W0520")) > 0 && said.has("W0520") })
	if got := events.texts("W0520"); len(got) != 1 || !strings.HasSuffix(got[0], want) || net.ParseIP(strings.TrimSuffix(got[0], want)) == nil {
		t.Errorf("events %q, want one that ends with %q", got, want)
	}
	waitFor(t, "six that are counted as refused", func() bool { return s.Stats().ConnectsRefused >= 6 })
	// The address goes away, and another comes.
	b.mu.Lock()
	lan[0] = net.IPv4(127, 0, 0, 8)
	b.mu.Unlock()
	b.knocks.refresh()
	if _, refused := turnedAway(t, at); !refused {
		t.Error("the door of an address that is gone stays open")
	}
	if away, _ := turnedAway(t, "127.0.0.8:"+port); !away {
		t.Error("no door on the new address")
	}
	s.stop()
	if _, refused := turnedAway(t, "127.0.0.8:"+port); !refused {
		t.Error("the door outlives the broker")
	}
}

// newKnocked makes a broker that takes the addresses for those of its network.
func newKnocked(t *testing.T, cfg Config, said *logged, events *heard, lan *[]net.IP) *Broker {
	t.Helper()
	b, err := New(cfg, Options{Log: textLog(said), Events: events.take})
	if err != nil {
		t.Fatal(err)
	}
	b.knocks.addresses = func() []net.IP { return *lan } // with Broker.mu held
	return b
}

// A reload opens the listener to the network, with its whole port: the doors
// make room, and are back when it is closed again. Where the file says so
// there are none.
func TestKnockMakesRoom(t *testing.T) {
	port, no := strconv.Itoa(peertest.FreePort(t)), false
	said, events := &logged{}, &heard{}
	lan := []net.IP{net.IPv4(127, 0, 0, 7)}
	inside := Listener{Name: "l", Bind: "127.0.0.1:" + port, AllowAnonymous: true}
	everywhere, there := inside, inside
	everywhere.Bind, there.Bind, there.Name = "0.0.0.0:"+port, "127.0.0.7:"+port, "there"
	b := newKnocked(t, Config{Listener: []Listener{inside}}, said, events, &lan)
	s := run(t, b, said)
	at := "127.0.0.7:" + port
	waitFor(t, "the door", func() bool { _, refused := turnedAway(t, at); return !refused })
	serves := func() bool {
		nc, err := net.Dial("tcp", at)
		if err != nil {
			return false
		}
		p := newPeer(t, nc)
		p.v = mqtt.V311
		b, _ := (&packet.Connect{Version: p.v, ClientID: "x", CleanStart: true}).Append(nil, p.v)
		nc.Write(b)
		_, err = p.next()
		nc.Close()
		return err == nil
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := s.Reload(Config{Listener: []Listener{everywhere, {Name: "taken", Bind: taken.Addr().String()}}}); err == nil {
		t.Fatal("an address that is taken is accepted")
	}
	if away, _ := turnedAway(t, at); !away {
		t.Error("no door after a reload that failed")
	}
	for i, c := range []struct {
		cfg          Config
		serves, away bool
	}{
		{Config{Listener: []Listener{everywhere}}, true, false},
		{Config{Listener: []Listener{inside}}, false, true},
		{Config{Listener: []Listener{there}}, true, false},
		{Config{Listener: []Listener{inside}}, false, true},
		{Config{Listener: []Listener{inside}, LANHint: &no}, false, false},
	} {
		if err := s.Reload(c.cfg); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		away, refused := turnedAway(t, at)
		if c.serves != serves() || !c.serves && (away != c.away || refused == c.away) {
			t.Errorf("%d: away %v refused %v, want %+v", i, away, refused, c)
		}
	}
	// Another program that has the port there keeps it.
	ln, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := s.Reload(Config{Listener: []Listener{inside}}); err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", at); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	if nc, err := ln.Accept(); err != nil {
		t.Error(err)
	} else {
		nc.Close()
	}
}

// Whoever scans from many addresses fills neither the memory nor the log.
func TestKnocksAreBounded(t *testing.T) {
	events := &heard{}
	lan := []net.IP{}
	b := newKnocked(t, Config{}, &logged{}, events, &lan)
	at := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1883}
	for i := range 10 * maxKnockers {
		b.knocks.report(at, &net.TCPAddr{IP: net.IPv4(10, 0, byte(i>>8), byte(i)), Port: 40000})
	}
	if n := len(events.texts("W0520")); n != maxKnockers {
		t.Errorf("%d reports", n)
	}
	for who := range b.knocks.told {
		b.knocks.told[who] = time.Now().Add(-2 * knockEvery)
	}
	b.knocks.report(at, &net.TCPAddr{IP: net.ParseIP("2001:db8::7"), Port: 40000})
	if got := events.texts("W0520"); len(got) != maxKnockers+1 || !strings.HasPrefix(got[maxKnockers], "2001:db8::7 tried :1883,") {
		t.Errorf("after an hour: %q", got[len(got)-1])
	}
	if n := len(b.knocks.told); n != 1 {
		t.Errorf("%d are remembered", n)
	}
}
