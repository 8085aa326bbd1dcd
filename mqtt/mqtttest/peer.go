package mqtttest

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// Patience is how long a Peer waits for what must come. It is long: a loaded
// machine is slow, and a test that passes does not wait for its end.
const Patience = 30 * time.Second

// Peer is one end of a connection in the hands of a test. What does not go as
// the script says fails the test and ends the script's goroutine.
type Peer struct {
	T       testing.TB
	Conn    net.Conn
	Version mqtt.Version // how packets are written and read; a CONNECT sets it
	r       *packet.Reader
}

// NewPeer makes a peer of a connection, with MQTT 5.0.
func NewPeer(t testing.TB, nc net.Conn) *Peer {
	return &Peer{T: t, Conn: nc, Version: mqtt.V5, r: packet.NewReader(nc, 0)}
}

// Send sends packets in one write.
func (p *Peer) Send(packets ...packet.Packet) {
	p.T.Helper()
	var b []byte
	for _, q := range packets {
		if c, ok := q.(*packet.Connect); ok {
			p.Version = c.Version
		}
		var err error
		if b, err = q.Append(b, p.Version); err != nil {
			p.T.Fatalf("peer: encode %s: %v", q.Type(), err)
		}
	}
	p.SendRaw(string(b))
}

// SendRaw sends bytes, legal or not.
func (p *Peer) SendRaw(b string) {
	p.T.Helper()
	_ = p.Conn.SetWriteDeadline(time.Now().Add(Patience))
	if _, err := io.WriteString(p.Conn, b); err != nil {
		p.T.Fatalf("peer: send: %v", err)
	}
}

// Receive returns the next packet.
func (p *Peer) Receive() packet.Packet {
	p.T.Helper()
	q, err := p.next(Patience)
	if err != nil {
		p.T.Fatalf("peer: receive: %v", err)
	}
	return q
}

func (p *Peer) next(patience time.Duration) (packet.Packet, error) {
	_ = p.Conn.SetReadDeadline(time.Now().Add(patience))
	header, body, err := p.r.Next()
	if err != nil {
		return nil, err
	}
	q, err := packet.Decode(header, append([]byte(nil), body...), p.Version)
	if c, ok := q.(*packet.Connect); ok && err == nil {
		p.Version = c.Version
	}
	return q, err
}

// TryReceive returns the next packet, or nil if none comes within d.
func (p *Peer) TryReceive(d time.Duration) packet.Packet {
	p.T.Helper()
	q, err := p.next(d)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		p.T.Fatalf("peer: receive: %v", err)
	}
	return q
}

// Expect returns the next packet, which must be a P: Expect[*packet.Puback](p).
func Expect[P packet.Packet](p *Peer) P {
	p.T.Helper()
	q := p.Receive()
	want, ok := q.(P)
	if !ok {
		p.T.Fatalf("peer: got %s %+v, want %T", q.Type(), q, want)
	}
	return want
}

// ExpectClosed waits until the other end has closed; packets that still come
// are returned.
func (p *Peer) ExpectClosed() (rest []packet.Packet) {
	p.T.Helper()
	for {
		q, err := p.next(Patience)
		switch {
		case err == nil:
			rest = append(rest, q)
		case errors.Is(err, os.ErrDeadlineExceeded):
			p.T.Fatalf("peer: the connection is still open")
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrClosedPipe), errors.Is(err, syscall.ECONNRESET), errors.Is(err, net.ErrClosed):
			return rest
		default:
			p.T.Fatalf("peer: at the end: %v", err)
		}
	}
}

// Quiet fails the test if anything comes within d. Make d short: it is always
// waited for.
func (p *Peer) Quiet(d time.Duration) {
	p.T.Helper()
	if q := p.TryReceive(d); q != nil {
		p.T.Fatalf("peer: got %s %+v, want silence", q.Type(), q)
	}
}

// Accept plays the broker's part of the beginning: it reads the CONNECT and
// answers with a, or with a plain success if a is nil.
func (p *Peer) Accept(a *packet.Connack) *packet.Connect {
	p.T.Helper()
	c := Expect[*packet.Connect](p)
	if a == nil {
		a = &packet.Connack{}
	}
	p.Send(a)
	return c
}

// Connect plays the client's part of the beginning, and returns the CONNACK.
func (p *Peer) Connect(c *packet.Connect) *packet.Connack {
	p.T.Helper()
	p.Send(c)
	return Expect[*packet.Connack](p)
}
