package mqtttest

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return nc
}

// A scripted client and a scripted server speak with each other.
func TestPeers(t *testing.T) {
	s := Serve(t, func(p *Peer) {
		if c := p.Accept(&packet.Connack{SessionPresent: true}); c.ClientID != "c" || p.Version != mqtt.V311 {
			t.Errorf("%+v, version %d", c, p.Version)
		}
		Expect[*packet.Pingreq](p)
		p.SendRaw("\xD0\x00")
	}, func(p *Peer) {
		p.ExpectClosed()
	})
	p := NewPeer(t, dial(t, s.Address()))
	if a := p.Connect(&packet.Connect{Version: mqtt.V311, ClientID: "c"}); !a.SessionPresent {
		t.Errorf("%+v", a)
	}
	p.Send(&packet.Pingreq{})
	Expect[*packet.Pingresp](p)
	p.ExpectClosed()
	_ = dial(t, s.Address()).Close()
	s.Wait()
}

func TestMeddlerWrite(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	m := &Meddler{Conn: near, CutWrite: 4, OnWrite: func(b []byte) []byte { b[0] ^= 1; return b }}
	got := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(far)
		got <- string(b)
	}()
	if n, err := m.Write([]byte("abc")); n != 3 || err != nil {
		t.Errorf("write: %d, %v", n, err)
	}
	sent := []byte("def")
	if n, err := m.Write(sent); n != 1 || !errors.Is(err, ErrCut) || string(sent) != "def" {
		t.Errorf("write across the cut: %d, %v, %q", n, err, sent)
	}
	if b := <-got; b != "`bce" {
		t.Errorf("%q came", b)
	}
}

func TestMeddlerRead(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	m := &Meddler{Conn: near, Slice: 2, CutRead: 3}
	go func() { _, _ = far.Write([]byte("abcd")) }()
	b := make([]byte, 10)
	for _, want := range []string{"ab", "c"} {
		if n, err := m.Read(b); string(b[:n]) != want || err != nil {
			t.Errorf("read: %q, %v; want %q", b[:n], err, want)
		}
	}
	if _, err := m.Read(b); !errors.Is(err, ErrCut) {
		t.Errorf("read after the cut: %v", err)
	}
}

func TestLink(t *testing.T) {
	s := Serve(t, func(p *Peer) { _, _ = io.Copy(p.Conn, p.Conn) })
	k := NewLink(t, s.Address())
	nc := dial(t, k.Address())
	echo := func(nc net.Conn, text string) error {
		if _, err := io.WriteString(nc, text); err != nil {
			return err
		}
		b := make([]byte, len(text))
		_, err := io.ReadFull(nc, b)
		if err == nil && string(b) != text {
			t.Errorf("%q", b)
		}
		return err
	}
	if err := echo(nc, "one"); err != nil {
		t.Fatal(err)
	}
	k.Stall()
	answered := make(chan error, 1)
	go func() { answered <- echo(nc, "two") }()
	select {
	case err := <-answered:
		t.Fatalf("through a stalled link: %v", err)
	case <-time.After(20 * time.Millisecond): // what is wrong may be missed on a slow machine, what is right never fails
	}
	k.Restore()
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	k.Cut()
	if err := echo(nc, "three"); err == nil {
		t.Error("through a cut link")
	}
	nc2, err := net.Dial("tcp", k.Address())
	if err == nil {
		defer nc2.Close()
		if err := echo(nc2, "four"); err == nil {
			t.Error("a new connection through a link that is down")
		}
	}
	k.Restore()
	if err := echo(dial(t, k.Address()), "five"); err != nil {
		t.Error(err)
	}
}
