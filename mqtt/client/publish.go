package client

import (
	"context"
	"fmt"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// Publish sends a message. With QoS 0 it returns when the message is written;
// else when the broker has acknowledged it, and the error is *Refused where
// the broker said no. Where the context or the connection ends first, the
// message may arrive or not; with a Session that goes on it will. Refusal tells
// the one from the other.
func (c *Conn) Publish(ctx context.Context, m mqtt.Message) error {
	done := make(chan error, 1)
	if err := c.PublishAsync(ctx, m, func(err error) { done <- err }); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.done:
	}
	select {
	case err := <-done:
		return err
	default:
		return fmt.Errorf("not acknowledged yet, goes on with the session: %w", endedError{c.Err()})
	}
}

// PublishAsync sends a message. It blocks only while the broker's window is
// full or the connection does not take more, and returns when the message is
// in the connection's hands; messages leave in the order of the returns.
//
// Where it returns nil, done is called once: with nil when the broker has
// acknowledged (QoS 0: when it is written), with *Refused where the broker
// said no, with ErrSessionLost where no answer will come. It is called from a
// goroutine of the connection, which it must not hold up; with a Session that
// goes on, it may be called by a later connection. Where PublishAsync returns
// an error, nothing was sent and done is not called.
//
// The payload must not be changed before done. Before 5.0 properties are left
// out.
func (c *Conn) PublishAsync(ctx context.Context, m mqtt.Message, done func(error)) error {
	err := c.Put(ctx, &m, receiptFunc(done))
	c.Flush()
	return err
}

// Receipt is told how a message ended, as the done of PublishAsync is.
type Receipt interface{ Done(err error) }

type receiptFunc func(error)

// Done implements Receipt.
func (f receiptFunc) Done(err error) { f(err) }

// Put is PublishAsync for many messages: they leave with the next Flush, in as
// few writes as can be, or before it where they fill the buffer or something
// else is sent. Nothing of m but the payload is kept on a connection without
// Config.Session.
func (c *Conn) Put(ctx context.Context, m *mqtt.Message, r Receipt) error {
	if m.Props != nil && len(m.Props.SubscriptionIDs) > 0 { // [MQTT-3.3.4-6]
		plain, props := *m, *m.Props
		props.SubscriptionIDs, plain.Props = nil, &props
		m = &plain
	}
	if err := c.checkMessage(m); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for c.err == nil && (len(c.out) >= outLimit || m.QoS > 0 && !c.s.window.Room()) {
		c.wakeWriter() // what fills it may have been put without a flush
		if err := c.waitLocked(ctx); err != nil {
			return err
		}
	}
	if c.err != nil {
		return endedError{c.err}
	}
	return c.appendMessageLocked(m, r)
}

// Flush sends what was put.
func (c *Conn) Flush() { c.wakeWriter() }

func (c *Conn) appendMessageLocked(m *mqtt.Message, r Receipt) error {
	p := packet.Publish{Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain, Props: m.Props}
	if m.QoS > 0 {
		p.PacketID = 1 // for now: an id is taken when it is certain that the message encodes
	}
	c.aliasLocked(&p)
	at := len(c.out)
	out, err := p.Append(c.out, c.limits.Version)
	if err != nil {
		c.aliases.Forget(m.Topic)
		return err
	}
	if m.QoS == 0 {
		c.out = out
		c.written = append(c.written, r)
		return nil
	}
	o := outgoing{receipt: r}
	if !c.s.private { // else it is never sent again
		kept := *m
		o.message = &kept
	}
	x := c.s.window.Add(m.QoS, o)
	if x == nil {
		c.aliases.Forget(m.Topic)
		return overLimit(mqtt.QuotaExceeded, "all 65535 packet ids are in use")
	}
	id := at + packet.PacketIDOffset(out[at:])
	out[id], out[id+1] = byte(x.ID>>8), byte(x.ID)
	c.out = out
	return nil
}

// aliasLocked lets an alias stand for the topic, if the packet still fits.
func (c *Conn) aliasLocked(p *packet.Publish) {
	const aliasSize = 3
	if c.limits.MaxPacket > 0 && p.Size(c.limits.Version)+aliasSize > c.limits.MaxPacket {
		return
	}
	alias, known := c.aliases.Alias(p.Topic)
	p.TopicAlias = alias
	if known {
		p.Topic = ""
	}
}

// resendLocked sends again what a resumed session has left, as much as the
// window and the buffer take.
func (c *Conn) resendLocked() {
	for len(c.out) < outLimit && c.err == nil {
		x := c.s.window.Resend()
		if x == nil {
			return
		}
		if x.Released() {
			c.appendLocked(&packet.Pubrel{PacketID: x.ID})
			continue
		}
		m := x.Value.message
		if err := c.checkMessage(m); err != nil { // the broker takes less than it did
			c.s.window.Drop(x)
			c.written = append(c.written, receiptFunc(func(error) { x.Value.receipt.Done(err) }))
			c.wakeWriter()
			continue
		}
		p := packet.Publish{Dup: true, PacketID: x.ID, Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain, Props: m.Props}
		c.aliasLocked(&p)
		c.appendLocked(&p)
	}
}

// checkMessage holds a message against the standard and the broker's limits.
func (c *Conn) checkMessage(m *mqtt.Message) error {
	l := &c.limits
	if err := mqtt.CheckTopic(m.Topic); err != nil {
		return overLimit(mqtt.TopicNameInvalid, "cannot publish to %q: %v", clip(m.Topic), err)
	}
	if m.QoS > l.MaxQoS {
		return overLimit(mqtt.QoSNotSupported, "the broker takes QoS up to %d, the message has %d", l.MaxQoS, m.QoS)
	}
	if m.Retain && !l.RetainAvailable {
		return overLimit(mqtt.RetainNotSupported, "the broker does not take retained messages")
	}
	if l.MaxPacket == 0 {
		return nil
	}
	p := packet.Publish{Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Props: m.Props}
	if n := p.Size(l.Version); n > l.MaxPacket {
		return overLimit(mqtt.PacketTooLarge, "the broker takes packets of up to %d bytes, the message needs %d", l.MaxPacket, n)
	}
	return nil
}

// clip shortens a text for an error.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
