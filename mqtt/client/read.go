package client

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
	"fieldgate/mqtt/session"
)

var pingreq = []byte{byte(packet.TypePingreq) << 4, 0}

// read is the reading goroutine. It ends the connection's business too.
func (c *Conn) read(lost []outgoing) {
	finish(lost, ErrSessionLost)
	err := c.receive()
	c.giveUp(err)
	<-c.wrote
	lost = c.s.detach(c)
	c.s.mu.Lock()
	err = endedError{c.err}
	dones, calls := c.written, c.calls
	c.written, c.calls = nil, nil
	for id := range calls {
		c.s.ids.Free(id)
	}
	c.s.mu.Unlock()
	for _, r := range dones {
		r.Done(err)
	}
	finish(lost, fmt.Errorf("%w: %w", ErrSessionLost, err))
	for _, call := range calls {
		call <- answer{err: err}
	}
	close(c.done)
}

// giveUp ends the connection after the reader's error. What the peer did wrong
// is told to it, if it understands [MQTT-4.13.1-1].
func (c *Conn) giveUp(err error) {
	var code mqtt.ReasonCode
	var refused *Refused
	if errors.As(err, &code) && !errors.As(err, &refused) && c.limits.Version == mqtt.V5 {
		c.s.mu.Lock()
		c.goodbyeLocked(code, err)
		c.s.mu.Unlock()
		select {
		case <-c.wrote:
		case <-time.After(goodbye):
		}
	}
	c.fail(err)
}

// receive handles packets until something fails.
func (c *Conn) receive() error {
	for {
		c.holdUp()
		come := c.r.Buffered() // and when, lastRead says
		header, body, err := c.r.Next()
		if err == io.EOF {
			return fmt.Errorf("the broker closed the connection: %w", err)
		}
		if err != nil {
			return err
		}
		if !come {
			c.lastRead.Store(int64(time.Since(c.began)))
		}
		switch {
		case packet.TypeOf(header) == packet.TypePublish:
			err = c.publish(header, body)
		case header == pubackHeader && len(body) == 2:
			err = c.plainPuback(body)
		default:
			err = c.control(header, body)
		}
		if err != nil {
			return err
		}
	}
}

// holdUp keeps the reader from reading while the peer sends and does not read
// our answers, and while the application has more messages unacknowledged than
// ReceiveMaximum. A broker of 5.0 should never come so far, but mosquitto
// 2.0.11 does: it sends several messages for each PUBACK. The standard's answer
// is to disconnect (MQTT 5.0 §3.3.4), and would be so again after each
// reconnect; to read no more is as safe, and brokers before 5.0, who are not
// told our maximum, need it anyway.
func (c *Conn) holdUp() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if over := c.overLocked(); over && !c.warned && c.limits.Version == mqtt.V5 {
		c.warned = true
		c.cfg.Log.Warn("broker exceeds the receive maximum; reading is held back", "receive_maximum", c.cfg.ReceiveMaximum)
	}
	for c.err == nil && (len(c.out) > outMax || c.overLocked()) {
		c.held.Store(true)
		_ = c.waitLocked(context.Background()) // which only the connection's end cuts short, and err says so
	}
	if c.held.Swap(false) {
		c.lastRead.Store(int64(time.Since(c.began)))
	}
}

func (c *Conn) overLocked() bool { return c.s.receiver.Waiting() > int(c.cfg.ReceiveMaximum) }

// publish takes in a message.
func (c *Conn) publish(header byte, body []byte) error {
	var p packet.PublishView
	if err := packet.DecodePublish(header, body, c.limits.Version, &p); err != nil {
		return err
	}
	topic := string(p.Topic)
	if p.TopicAlias != 0 {
		var err error
		if topic, err = c.in.Resolve(p.TopicAlias, topic); err != nil {
			return err
		}
	}
	ack := func() {}
	if p.QoS > 0 {
		in, fresh, err := c.takeIn(&p)
		if err != nil || !fresh {
			return err
		}
		ack = func() { c.s.ack(in) }
	}
	if c.cfg.OnMessage == nil {
		ack()
		return nil
	}
	c.cfg.OnMessage(&mqtt.Message{
		Topic: topic, Payload: bytes.Clone(p.Payload), QoS: p.QoS, Retain: p.Retain, Props: p.Props,
	}, ack)
	return nil
}

func (c *Conn) takeIn(p *packet.PublishView) (in *session.Incoming, fresh bool, err error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	in, fresh, err = c.s.receiver.Publish(p.PacketID, p.QoS)
	if err == nil && !fresh {
		c.answerLocked()
	}
	return in, fresh, err
}

// ack notes that the application is done with a message, and answers on the
// connection of now, which may be another than the message came on.
func (s *Session) ack(in *session.Incoming) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.receiver.Ack(in)
	if s.conn != nil && s.conn.err == nil {
		s.conn.answerLocked()
		s.conn.changedLocked()
	}
}

// answerLocked writes what is ready. The receiver has counted it down by then,
// so that the peer's next message is never too early.
func (c *Conn) answerLocked() {
	for in := c.s.receiver.Ready(); in != nil; in = c.s.receiver.Ready() {
		if in.QoS == 1 {
			c.appendLocked(&packet.Puback{PacketID: in.ID})
		} else {
			c.appendLocked(&packet.Pubrec{PacketID: in.ID})
		}
	}
}

// appendLocked appends a packet of our own making, which always encodes.
func (c *Conn) appendLocked(p packet.Packet) {
	if c.closing || c.err != nil {
		return
	}
	out, err := p.Append(c.out, c.limits.Version)
	if err != nil {
		c.failLocked(err)
	}
	c.out = out
	c.wakeWriter()
}

// pubackHeader is the first byte of a PUBACK.
const pubackHeader = byte(packet.TypePuback) << 4

// plainPuback takes in a PUBACK that says yes and nothing else, the packet of
// which there are as many as messages.
func (c *Conn) plainPuback(body []byte) error {
	ack := packet.Ack{PacketID: binary.BigEndian.Uint16(body)}
	if ack.PacketID == 0 {
		return c.control(pubackHeader, body)
	}
	return c.acknowledged(&ack, "PUBACK")
}

// control handles every packet but PUBLISH.
func (c *Conn) control(header byte, body []byte) error {
	p, err := packet.Decode(header, body, c.limits.Version)
	if err != nil {
		return err
	}
	switch p := p.(type) {
	case *packet.Puback:
		return c.acknowledged((*packet.Ack)(p), "PUBACK")
	case *packet.Pubrec:
		return c.acknowledged((*packet.Ack)(p), "PUBREC")
	case *packet.Pubcomp:
		return c.acknowledged((*packet.Ack)(p), "PUBCOMP")
	case *packet.Pubrel:
		c.released(p.PacketID)
		return nil
	case *packet.Suback:
		return c.answered(p.PacketID, answer{reasons: p.Reasons, text: p.ReasonString})
	case *packet.Unsuback:
		return c.answered(p.PacketID, answer{reasons: p.Reasons, text: p.ReasonString})
	case *packet.Pingresp:
		return nil
	case *packet.Disconnect:
		if c.limits.Version == mqtt.V5 {
			return &Refused{connectionRefused, p.Reason, p.ReasonString, p.ServerReference}
		}
	}
	return fmt.Errorf("the broker sent %s: %w", p.Type(), mqtt.ProtocolError)
}

// acknowledged goes on with a message of ours.
func (c *Conn) acknowledged(p *packet.Ack, kind string) error {
	c.s.mu.Lock()
	x, err := c.exchangeLocked(p, kind)
	var receipt Receipt
	if x != nil && x.Ended() {
		receipt = x.Value.receipt
		c.s.window.Reuse(x)
	}
	c.resendLocked()
	c.changedLocked()
	c.s.mu.Unlock()
	if err != nil || receipt == nil {
		return err
	}
	if p.Reason.Failed() && kind != "PUBCOMP" { // a PUBCOMP can only say that the id is not known any more
		receipt.Done(&Refused{Packet: "PUBLISH", Reason: p.Reason, Text: p.ReasonString})
		return nil
	}
	receipt.Done(nil)
	return nil
}

func (c *Conn) exchangeLocked(p *packet.Ack, kind string) (*session.Exchange[outgoing], error) {
	switch kind {
	case "PUBACK":
		return c.s.window.Puback(p.PacketID)
	case "PUBCOMP":
		return c.s.window.Pubcomp(p.PacketID)
	}
	x, err := c.s.window.Pubrec(p.PacketID, p.Reason)
	switch {
	case err != nil || x != nil && x.Ended():
	case x != nil:
		c.appendLocked(&packet.Pubrel{PacketID: p.PacketID})
	case !p.Reason.Failed():
		c.appendLocked(&packet.Pubrel{PacketID: p.PacketID, Reason: mqtt.PacketIDNotFound})
	}
	return x, err
}

// released ends a message of QoS 2 that came to us.
func (c *Conn) released(id uint16) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	reason := mqtt.Success
	if !c.s.receiver.Pubrel(id) {
		reason = mqtt.PacketIDNotFound
	}
	c.appendLocked(&packet.Pubcomp{PacketID: id, Reason: reason})
}
