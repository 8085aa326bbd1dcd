package client

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
	"fieldgate/mqtt/session"
)

// Conn is a connection that the broker has accepted. All methods may be called
// from any goroutine.
//
//	           fail, abort, the peer          reader and writer have ended,
//	running ───────────────────────► failed ─────────────────────────────► done
//	   │ Close, Disconnect              ▲    every unfinished call has its error
//	   └───────► closing ───────────────┘
//	             what waits is written, then DISCONNECT; the peer hangs up, or
//	             goodbye passes
//
// The reader owns the inbound side; s.mu guards the outbound side, which
// callers, the reader and late acks append to and the writer takes.
type Conn struct {
	cfg    Config
	nc     net.Conn
	r      *packet.Reader
	limits Limits
	s      *Session

	in       *session.AliasIn // the reader's
	lastRead atomic.Int64     // when something came, in nanoseconds since began
	held     atomic.Bool      // the reader waits for room of ours: nothing can be heard
	warned   bool             // the reader's: the broker has broken our Receive Maximum
	began    time.Time

	wake   chan struct{} // capacity 1: the writer has something to do
	failed chan struct{} // closed with err
	done   chan struct{}
	wrote  chan struct{} // closed when the writer has ended

	// Guarded by s.mu.
	out     []byte    // packets that wait to be written
	written []Receipt // of the messages of QoS 0 among them
	aliases *session.AliasOut
	calls   map[uint16]chan<- answer // SUBSCRIBE and UNSUBSCRIBE that wait
	closing bool                     // nothing more is appended; the writer ends when out is empty
	err     error                    // why the connection failed
	changed chan struct{}            // closed when there may be room again; nil: nobody waits
}

// Bounds of what waits to be written.
const (
	outLimit = 64 << 10 // messages wait beyond it
	outMax   = 1 << 20  // the reader waits beyond it
)

// maxOpen is how many messages a broker may have open to us before it counts
// as broken: all packet ids. What it may have open by ReceiveMaximum is a
// matter of flow control, see ready.
const maxOpen = 0xFFFF

// goodbye is how long Close waits for the rest to be written and the peer to
// hang up.
const goodbye = 2 * time.Second

func newConn(cfg Config, nc net.Conn) *Conn {
	c := &Conn{
		cfg: cfg, nc: nc, s: cfg.Session, began: time.Now(),
		wake: make(chan struct{}, 1), failed: make(chan struct{}), done: make(chan struct{}), wrote: make(chan struct{}),
		calls: map[uint16]chan<- answer{},
	}
	c.r = packet.NewReader(nc, min(cfg.MaxPacket, packet.MaxPacket))
	return c
}

// start begins the work after the CONNACK.
func (c *Conn) start() error {
	c.in = session.NewAliasIn(c.cfg.TopicAliasMax)
	c.aliases = session.NewAliasOut(uint16(min(max(c.cfg.AliasOut, 0), int(c.limits.AliasMax))))
	lost, err := c.s.attach(c, c.limits.SessionPresent)
	if err != nil {
		return err
	}
	c.s.mu.Lock()
	c.resendLocked()
	c.s.mu.Unlock()
	go c.write()
	go c.read(lost)
	return nil
}

// Limits returns what the broker announced.
func (c *Conn) Limits() Limits { return c.limits }

// Done is closed when the connection is over and everything of it has ended:
// its goroutines, and the calls and messages that do not go on with a Session.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err says why the connection ended, ErrClosed after Close. It is nil while
// the connection works.
func (c *Conn) Err() error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.err
}

// RemoteAddr is the address of the other end of the transport.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// Close says goodbye, so that the broker does not publish the will, and waits
// until the connection is done, for two seconds at most with a broker that
// does not answer. It must not be called from OnMessage or a done function.
func (c *Conn) Close() error { return c.Disconnect(mqtt.Success) }

// Disconnect is Close with a reason: DisconnectWithWill makes the broker publish
// the will.
func (c *Conn) Disconnect(reason mqtt.ReasonCode) error {
	c.s.mu.Lock()
	c.goodbyeLocked(reason, ErrClosed)
	c.s.mu.Unlock()
	timer := time.AfterFunc(goodbye, func() { _ = c.nc.Close() })
	defer timer.Stop()
	<-c.done
	return nil
}

// goodbyeLocked appends a DISCONNECT and lets nothing follow it.
func (c *Conn) goodbyeLocked(reason mqtt.ReasonCode, err error) {
	if c.closing || c.err != nil {
		return
	}
	p := packet.Disconnect{Reason: reason}
	// Before 5.0 a DISCONNECT has no reason, and would suppress the will.
	if c.limits.Version == mqtt.V5 || reason == mqtt.Success {
		if out, err := p.Append(c.out, c.limits.Version); err == nil {
			c.out = out
		}
	}
	c.closing = true
	c.failLocked(err)
	c.wakeWriter()
}

// failLocked records why the connection ends, once. Who waits is told.
func (c *Conn) failLocked(err error) {
	if c.err == nil {
		c.err = err
		close(c.failed)
	}
}

// fail ends the connection at once.
func (c *Conn) fail(err error) {
	c.s.mu.Lock()
	c.failLocked(err)
	c.s.mu.Unlock()
	_ = c.nc.Close()
}

func (c *Conn) wakeWriter() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// changedLocked wakes those that wait for room.
func (c *Conn) changedLocked() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// waitLocked waits, with the lock given up, until there may be room. The error
// is the context's or the connection's.
func (c *Conn) waitLocked(ctx context.Context) error {
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	ch := c.changed
	c.s.mu.Unlock()
	defer c.s.mu.Lock()
	select {
	case <-ch:
		return nil
	case <-c.failed:
		return nil // the caller looks at err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
