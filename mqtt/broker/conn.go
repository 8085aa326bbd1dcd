package broker

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// conn is one network connection.
//
//	accepted -> CONNECT taken in -> attached to its session -> closing -> detached
//
// A goroutine of its own, in open, brings it to its session. From then on the
// loop reads and handles what comes on a plain socket, and on TLS and WebSocket
// a goroutine in live. Whoever reads (see socket.claim) owns everything that
// is not said to be guarded. Others append to out under the session's lock and
// then call flush.
type conn struct {
	b        *Broker
	l        *listener
	nc       net.Conn // closed once plain is set
	addr     net.Addr // the client's
	base     net.Conn // as accepted, beneath TLS and WebSocket
	plain    bool     // TCP or Unix socket in the loop's care
	ws       bool     // WebSocket
	sock     socket   // while plain
	s        *session // set once, when CONNECT is accepted
	in       input
	version  mqtt.Version
	since    clock.Stamp
	keep     time.Duration // one and a half keep-alives, 0: none
	last     atomic.Int64  // when the last whole packet came, as mono
	routes   map[string]*route
	aliasIn  []string
	batch    *batch
	cert     string // user name by the client's certificate
	from     *mqtt.Publisher
	will     *mqtt.Will // nil: none, or the client took its leave
	quiet    bool       // the client wants no reason strings but in CONNACK and DISCONNECT
	clean    bool       // DISCONNECT came
	assigned bool       // the client id is ours
	rate     bucket
	pause    time.Duration // by rate, before more is read
	holding  bool          // waitHeld has to look whether to read on
	denied   time.Time     // when a refused right was last logged

	storeBroken bool // this batch could not be committed
	refused     bool // a publish was refused that this version can only refuse by closing
	wantFill    bool
	subscribed  []*subscription // new in this batch: their retained messages are due

	// Guarded by session.mu.
	closing   bool
	reason    mqtt.ReasonCode
	out       *chunk        // nil: nothing to send
	writing   bool          // somebody is sending, and will look at out again
	flushDue  bool          // a batch will call flush
	flushed   chan struct{} // the same, until it is closed
	sent      tally         // deliveries, since flush last reported them
	sentMsgs  uint64
	maxPacket int
	maxOut    int
	window    int // deliveries that may be unacknowledged
	aliasMax  int
	aliasOut  map[string]uint16
	held      []*heldAcks   // acknowledgements that wait for slow subscribers, in order
	heldRoom  chan struct{} // the reader waits until fewer are held
	outRoom   chan struct{} // the reader waits until a buffer has gone out

	ended      atomic.Bool   // kick was called: stop handling what comes
	stopped    chan struct{} // closed with it
	done       chan struct{} // closed when the connection is detached
	recvMsgs   atomic.Uint64
	writesDone chan struct{} // closed when what was appended before kick has gone out
}

func newConn(b *Broker, l *listener, nc net.Conn) *conn {
	c := &conn{
		b: b, l: l, nc: nc, addr: nc.RemoteAddr(), done: make(chan struct{}), stopped: make(chan struct{}), since: clock.Now(),
		maxPacket: packet.MaxPacket, maxOut: b.set.Load().maxOut,
	}
	_, c.ws = nc.(*wsConn)
	c.in.c = c
	return c
}

// open shakes hands, reads CONNECT and attaches the connection to its session.
// false: it is over. live goes on, in a goroutine of its own where possible:
// the stack that TLS and a password check have grown is not kept for an idle
// client.
func (c *conn) open(ctx context.Context) bool {
	until := time.Now().Add(c.b.set.Load().connectTimeout)
	c.nc.SetDeadline(until)
	if t, ok := c.nc.(*tls.Conn); ok {
		if err := c.handshake(ctx, t); err != nil {
			c.l.handshakeFailed(c.nc, err)
			return false
		}
	}
	connect, err := c.readConnect()
	if err != nil {
		c.refuseConnect(err)
		return false
	}
	return c.admit(ctx, connect)
}

// live runs an attached connection to its end.
func (c *conn) live(ctx context.Context) {
	defer c.nc.Close()
	err := c.loop(ctx)
	c.detach(ctx, err)
	close(c.done)
	c.linger()
}

// loop handles packets until the connection ends.
func (c *conn) loop(ctx context.Context) error {
	if len(c.in.data) > 0 || c.wantFill { // what came behind CONNECT, what waits in the store
		if err := c.handleAll(ctx); err != nil {
			return err
		}
	}
	late := true
	for {
		if err := c.setDeadline(late); err != nil {
			return err
		}
		err := c.in.read()
		late = err != nil && isTimeout(err)
		switch {
		case c.ended.Load():
			return net.ErrClosed
		case late && c.keep > 0 && mono()-c.last.Load() >= int64(c.keep):
			c.kick(mqtt.KeepAliveTimeout, "")
			return mqtt.KeepAliveTimeout
		case late && !c.ws:
			continue
		case err != nil:
			return err
		}
		if err := c.handleAll(ctx); err != nil {
			return err
		}
	}
}

// setDeadline sets when the next read gives up. On a socket the deadline is
// moved only once it has passed, not with every packet, because moving it costs
// more than handling a packet does. On WebSocket its passing ends the
// connection, so there it is moved each time.
func (c *conn) setDeadline(late bool) error {
	if c.keep == 0 && !late || !late && !c.ws {
		return nil
	}
	until := time.Time{}
	if c.keep > 0 {
		until = time.Now().Add(time.Duration(c.last.Load()-mono()) + c.keep)
	}
	if err := c.nc.SetReadDeadline(until); err != nil {
		return err
	}
	if c.ended.Load() { // kick has set one of its own, perhaps before ours
		return net.ErrClosed
	}
	return nil
}

// handleAll handles the whole packets that have been read, as one batch.
func (c *conn) handleAll(ctx context.Context) error {
	bt := c.b.getBatch() // none is held while nothing comes
	return c.complete(ctx, bt, c.takeIn(bt, mono()))
}

// takeIn handles the whole packets that have been read, as far as that goes
// without waiting. The batch is the connection's until endBatch.
func (c *conn) takeIn(bt *batch, now int64) (failure error) {
	bt.conn, c.batch = c, bt
	packets, most := 0, c.l.maxPacket()
	for failure == nil && !c.ended.Load() {
		header, body, n, err := packet.Split(c.in.data, most)
		if err != nil {
			failure = err
			break
		}
		if n == 0 {
			break
		}
		c.in.data = c.in.data[n:]
		packets++
		failure = c.handle(header, body)
	}
	if packets > 0 {
		c.last.Store(now)
		c.b.stats.bytesReceived.Add(c.in.takeCount())
		c.b.stats.messagesReceived.Add(uint64(packets))
		if rate := c.l.maxRate(); rate > 0 {
			c.pause = c.rate.take(rate, packets, time.Now())
		}
	}
	return failure
}

// complete does what a batch has to wait for, answers, and waits for what else
// keeps the connection from reading on. An error ends it.
func (c *conn) complete(ctx context.Context, bt *batch, failure error) error {
	bt.finish(ctx)
	if c.wantFill {
		c.s.fill(bt)
		bt.flush()
	}
	err := c.verdict(bt, failure)
	c.endBatch(bt)
	c.b.putBatch(bt)
	if err != nil {
		return err
	}
	c.slowDown()
	return c.waitHeld(ctx)
}

// verdict ends a connection that did something wrong, or could not be answered.
func (c *conn) verdict(bt *batch, failure error) error {
	broken := c.storeBroken && (c.version != mqtt.V5 || bt.vital) || c.refused
	switch {
	case failure != nil:
		c.fail(failure)
		return failure
	case broken:
		c.kick(mqtt.ImplementationSpecificError, errUnacked.Error())
		return errUnacked
	}
	c.storeBroken = false
	return nil
}

// endBatch takes the batch from the connection, emptied but for the
// connections that are still to be flushed.
func (c *conn) endBatch(bt *batch) {
	bt.conn, c.batch = nil, nil
	bt.reset()
}

// slowDown waits where the client has sent more than the listener allows.
func (c *conn) slowDown() {
	if c.pause <= 0 {
		return
	}
	t := time.NewTimer(c.pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.stopped:
	}
	c.pause = 0
}

// handle handles one packet.
func (c *conn) handle(header byte, body []byte) error {
	if packet.TypeOf(header) == packet.TypePublish {
		return c.onPublish(header, body)
	}
	if id, ok := packet.PlainAck(header, body, c.version); ok {
		c.onPlainAck(packet.TypeOf(header), id)
		return nil
	}
	p, err := packet.Decode(header, body, c.version)
	if err != nil {
		return err
	}
	switch p := p.(type) {
	case *packet.Puback:
		c.onAck(packet.TypePuback, p.PacketID, p.Reason)
	case *packet.Pubrec:
		c.onAck(packet.TypePubrec, p.PacketID, p.Reason)
	case *packet.Pubcomp:
		c.onAck(packet.TypePubcomp, p.PacketID, p.Reason)
	case *packet.Pubrel:
		c.onPubrel(p.PacketID)
	case *packet.Subscribe:
		return c.onSubscribe(p)
	case *packet.Unsubscribe:
		return c.onUnsubscribe(p)
	case *packet.Pingreq:
		return c.batch.reply(&packet.Pingresp{})
	case *packet.Disconnect:
		return c.onDisconnect(p)
	case *packet.Auth:
		// Without an authentication method in CONNECT there is nothing to go on with [MQTT-4.12.0-7].
		return &packet.Error{Reason: mqtt.ProtocolError, Packet: packet.TypeAuth, Text: "no authentication method was agreed on"}
	default:
		return &packet.Error{Reason: mqtt.ProtocolError, Packet: packet.TypeOf(header), Text: "not from a client, or not now"}
	}
	return nil
}
