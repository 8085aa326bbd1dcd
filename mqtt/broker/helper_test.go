package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// patience is how long a test waits for what must come: long, for the machine
// may have a lot else to do.
const patience = time.Minute

// TestMain checks that no test leaves a goroutine behind.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	if code == 0 {
		for wait := time.Now(); runtime.NumGoroutine() > before+1; time.Sleep(20 * time.Millisecond) {
			if time.Since(wait) > patience {
				buf := make([]byte, 1<<20)
				fmt.Fprintf(os.Stderr, "%d goroutines, %d before the tests:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
				code = 1
				break
			}
		}
	}
	os.Exit(code)
}

// logged collects what the broker logs.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

func textLog(l *logged) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// server is a broker under test.
type server struct {
	*Broker
	t    testing.TB
	log  *logged
	stop func()
}

func anyPort() []Listener {
	return []Listener{{Name: "local", Bind: "127.0.0.1:0", AllowAnonymous: true}}
}

// start runs a broker until the test ends, or stop is called.
func start(t testing.TB, cfg Config, store Store) *server {
	t.Helper()
	if cfg.Listener == nil {
		cfg.Listener = anyPort()
	}
	if cfg.SysInterval == nil {
		cfg.SysInterval = new(conf.Duration)
	}
	log := &logged{}
	b, err := New(cfg, Options{Store: store, Log: textLog(log), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return run(t, b, log)
}

func run(t testing.TB, b *Broker, log *logged) *server {
	t.Helper()
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	s := &server{Broker: b, t: t, log: log}
	s.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			buf := make([]byte, 1<<20)
			t.Errorf("broker does not stop:\n%s", buf[:runtime.Stack(buf, true)])
		}
	})
	t.Cleanup(s.stop)
	return s
}

func (s *server) addr() string {
	for _, l := range s.Stats().Listeners {
		return l.Address
	}
	return ""
}

// peer is a client of raw packets.
type peer struct {
	t  testing.TB
	nc net.Conn
	r  *packet.Reader
	v  mqtt.Version

	early []*packet.Publish // came while receive waited for PUBREL

	wrote, got atomic.Int64 // bytes
}

func (s *server) dial() *peer { return dialPeer(s.t, "tcp", s.addr()) }

func dialPeer(t testing.TB, network, addr string) *peer {
	t.Helper()
	nc, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	return newPeer(t, nc)
}

func newPeer(t testing.TB, nc net.Conn) *peer {
	t.Cleanup(func() { nc.Close() })
	p := &peer{t: t, nc: nc, v: mqtt.V5}
	p.r = packet.NewReader(counted{nc, &p.got}, 0)
	return p
}

// counted counts what is read.
type counted struct {
	io.Reader
	n *atomic.Int64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// connect opens a connection and expects CONNACK with success. Fields may be
// set by the options.
func (s *server) connect(v mqtt.Version, id string, options ...func(*packet.Connect)) *peer {
	s.t.Helper()
	p := s.dial()
	if a := p.connect(v, id, options...); a.Reason != mqtt.Success {
		s.t.Fatalf("CONNACK %v", a.Reason)
	}
	return p
}

func (p *peer) connect(v mqtt.Version, id string, options ...func(*packet.Connect)) *packet.Connack {
	p.t.Helper()
	p.v = v
	c := &packet.Connect{Version: v, ClientID: id, CleanStart: true}
	for _, o := range options {
		o(c)
	}
	p.send(c)
	return expect[*packet.Connack](p)
}

// durable makes a session that outlives the connection.
func durable(c *packet.Connect) {
	c.CleanStart = false
	c.Props.SessionExpiry = 3600
}

func (p *peer) send(packets ...packet.Packet) {
	p.t.Helper()
	var b []byte
	var err error
	for _, k := range packets {
		if b, err = k.Append(b, p.v); err != nil {
			p.t.Fatal(err)
		}
	}
	p.raw(b)
}

func (p *peer) raw(b []byte) {
	p.t.Helper()
	p.wrote.Add(int64(len(b)))
	p.nc.SetWriteDeadline(time.Now().Add(patience))
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// next reads a packet.
func (p *peer) next() (packet.Packet, error) {
	p.nc.SetReadDeadline(time.Now().Add(patience))
	h, body, err := p.r.Next()
	if err != nil {
		return nil, err
	}
	return packet.Decode(h, bytes.Clone(body), p.v)
}

func (p *peer) mustNext() packet.Packet {
	p.t.Helper()
	k, err := p.next()
	if err != nil {
		p.t.Fatalf("no packet: %v", err)
	}
	return k
}

// expect reads a packet of a type.
func expect[T packet.Packet](p *peer) T {
	p.t.Helper()
	k := p.mustNext()
	t, ok := k.(T)
	if !ok {
		p.t.Fatalf("got %T %+v, want %T", k, k, t)
	}
	return t
}

// ends expects the connection to be closed, after a DISCONNECT with the reason
// where the version has one; reason 0 accepts any.
func (p *peer) ends(reason mqtt.ReasonCode) {
	p.t.Helper()
	for {
		k, err := p.next()
		if err != nil {
			if isTimeout(err) {
				p.t.Fatal("connection stays open")
			}
			if reason != 0 && p.v == mqtt.V5 {
				p.t.Fatalf("closed (%v) without DISCONNECT %v", err, reason)
			}
			return
		}
		if d, ok := k.(*packet.Disconnect); ok {
			if reason != 0 && d.Reason != reason {
				p.t.Fatalf("DISCONNECT %v (%s), want %v", d.Reason, d.ReasonString, reason)
			}
			reason = 0
		}
	}
}

func (p *peer) subscribe(subs ...mqtt.Subscription) []mqtt.ReasonCode {
	p.t.Helper()
	p.send(&packet.Subscribe{PacketID: 1, Subscriptions: subs})
	return expect[*packet.Suback](p).Reasons
}

func sub(filter string, qos mqtt.QoS) mqtt.Subscription {
	return mqtt.Subscription{Filter: filter, QoS: qos}
}

func pub(topic, payload string, qos mqtt.QoS, id uint16) *packet.Publish {
	if qos == 0 {
		id = 0
	}
	return &packet.Publish{Topic: topic, Payload: []byte(payload), QoS: qos, PacketID: id}
}

// publish publishes and waits for the acknowledgement.
func (p *peer) publish(topic, payload string, qos mqtt.QoS, id uint16) {
	p.t.Helper()
	p.send(pub(topic, payload, qos, id))
	switch qos {
	case 1:
		if a := expect[*packet.Puback](p); a.PacketID != id || a.Reason.Failed() {
			p.t.Fatalf("PUBACK %+v", a)
		}
	case 2:
		if a := expect[*packet.Pubrec](p); a.PacketID != id || a.Reason.Failed() {
			p.t.Fatalf("PUBREC %+v", a)
		}
		p.send(&packet.Pubrel{PacketID: id})
		if a := expect[*packet.Pubcomp](p); a.PacketID != id || a.Reason.Failed() {
			p.t.Fatalf("PUBCOMP %+v", a)
		}
	}
}

// receive expects a PUBLISH and acknowledges it to the end.
func (p *peer) receive() *packet.Publish {
	p.t.Helper()
	var m *packet.Publish
	if len(p.early) > 0 {
		m, p.early = p.early[0], p.early[1:]
	} else {
		m = expect[*packet.Publish](p)
	}
	switch m.QoS {
	case 1:
		p.send(&packet.Puback{PacketID: m.PacketID})
	case 2:
		p.send(&packet.Pubrec{PacketID: m.PacketID})
		if r := p.pubrel(); r.PacketID != m.PacketID {
			p.t.Fatalf("PUBREL %d, want %d", r.PacketID, m.PacketID)
		}
		p.send(&packet.Pubcomp{PacketID: m.PacketID})
	}
	return m
}

// pubrel expects a PUBREL and puts messages that come before it aside.
func (p *peer) pubrel() *packet.Pubrel {
	p.t.Helper()
	for {
		switch k := p.mustNext().(type) {
		case *packet.Pubrel:
			return k
		case *packet.Publish:
			p.early = append(p.early, k)
		default:
			p.t.Fatalf("got %T, want PUBREL", k)
		}
	}
}

// silent expects nothing to come before the answer to a ping.
func (p *peer) silent() {
	p.t.Helper()
	p.send(&packet.Pingreq{})
	if k := p.mustNext(); k.Type() != packet.TypePingresp {
		p.t.Fatalf("got %T %+v, want nothing", k, k)
	}
}

// ping waits for the answer to a ping and puts messages that come before it aside.
func (p *peer) ping() {
	p.t.Helper()
	p.send(&packet.Pingreq{})
	for {
		switch k := p.mustNext().(type) {
		case *packet.Publish:
			p.early = append(p.early, k)
		case *packet.Pingresp:
			return
		}
	}
}

// leave disconnects and waits for the broker to notice.
func (p *peer) leave() {
	p.t.Helper()
	p.send(&packet.Disconnect{})
	p.gone()
}

func (p *peer) gone() {
	p.nc.SetReadDeadline(time.Now().Add(patience))
	io.Copy(io.Discard, p.nc)
	p.nc.Close()
}

// cut breaks the connection without a word.
func (p *peer) cut() {
	if t, ok := p.nc.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	p.nc.Close()
}

// waitFor waits for a condition.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// offline waits until a session has no connection.
func (s *server) offline(id string) {
	s.t.Helper()
	waitFor(s.t, id+" offline", func() bool {
		for _, c := range s.Clients() {
			if c.ID == id {
				return !c.Connected
			}
		}
		return true
	})
}

var errDisk = errors.New("disk on fire")

// faulty is a Store with faults.
type faulty struct {
	*memory
	mu     sync.Mutex
	fail   func(durable bool, changes []mqtt.StoreChange) error
	before func(durable bool, changes []mqtt.StoreChange)
}

func newFaulty() *faulty { return &faulty{memory: newMemory()} }

func (f *faulty) Apply(ctx context.Context, durable bool, changes []mqtt.StoreChange) error {
	f.mu.Lock()
	fail, before := f.fail, f.before
	f.mu.Unlock()
	if before != nil {
		before(durable, changes)
	}
	if fail != nil {
		if err := fail(durable, changes); err != nil {
			return err
		}
	}
	return f.memory.Apply(ctx, durable, changes)
}

func (f *faulty) set(fail func(bool, []mqtt.StoreChange) error, before func(bool, []mqtt.StoreChange)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail, f.before = fail, before
}
