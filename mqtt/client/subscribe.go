package client

import (
	"context"
	"fmt"
	"strings"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// answer is what a SUBSCRIBE or UNSUBSCRIBE waits for.
type answer struct {
	reasons []mqtt.ReasonCode
	text    string
	err     error
}

// Subscribe asks for messages, with one packet for all subscriptions, and
// waits for the broker's answer: a reason per subscription, in order, the
// granted QoS or a failure. A failure is not an error of this call.
//
// Subscription identifiers must be the same in all; before 5.0 they and the
// options but QoS are left out.
func (c *Conn) Subscribe(ctx context.Context, subs ...mqtt.Subscription) ([]mqtt.ReasonCode, error) {
	p := &packet.Subscribe{Subscriptions: subs}
	for i := range subs {
		if err := c.checkSubscription(&subs[i]); err != nil {
			return nil, err
		}
		if subs[i].ID != subs[0].ID {
			return nil, overLimit(mqtt.ProtocolError, "one SUBSCRIBE cannot carry the identifiers %d and %d", subs[0].ID, subs[i].ID)
		}
		p.ID = subs[i].ID
	}
	a, err := c.call(ctx, func(id uint16) packet.Packet { p.PacketID = id; return p })
	if err != nil {
		return nil, err
	}
	if len(a.reasons) != len(subs) {
		err := fmt.Errorf("SUBACK has %d reasons for %d subscriptions: %w", len(a.reasons), len(subs), mqtt.ProtocolError)
		c.fail(err)
		return nil, err
	}
	return a.reasons, nil
}

// Unsubscribe ends subscriptions and waits for the broker's answer: a reason
// per filter, in order; none before 5.0.
func (c *Conn) Unsubscribe(ctx context.Context, filters ...string) ([]mqtt.ReasonCode, error) {
	for _, f := range filters {
		if err := mqtt.CheckFilter(f); err != nil {
			return nil, overLimit(mqtt.TopicFilterInvalid, "filter %q: %v", clip(f), err)
		}
	}
	p := &packet.Unsubscribe{Filters: filters}
	a, err := c.call(ctx, func(id uint16) packet.Packet { p.PacketID = id; return p })
	return a.reasons, err
}

func (c *Conn) checkSubscription(s *mqtt.Subscription) error {
	l := &c.limits
	share, filter, err := mqtt.SplitShare(s.Filter)
	if err == nil {
		err = mqtt.CheckFilter(filter)
	}
	switch {
	case err != nil:
		return overLimit(mqtt.TopicFilterInvalid, "filter %q: %v", clip(s.Filter), err)
	case share != "" && !l.SharedAvailable && l.Version == mqtt.V5:
		return overLimit(mqtt.SharedSubsNotSupported, "the broker has no shared subscriptions, as %q", clip(s.Filter))
	case strings.ContainsAny(filter, "+#") && !l.WildcardAvailable:
		return overLimit(mqtt.WildcardSubsNotSupported, "the broker has no wildcards, as in %q", clip(s.Filter))
	case s.ID != 0 && !l.SubIDsAvailable && l.Version == mqtt.V5:
		return overLimit(mqtt.SubscriptionIDsNotSupported, "the broker has no subscription identifiers")
	}
	return nil
}

// call sends a packet and waits for the answer to its id.
func (c *Conn) call(ctx context.Context, make func(id uint16) packet.Packet) (answer, error) {
	ch, err := c.ask(ctx, make)
	if err != nil {
		return answer{}, err
	}
	select {
	case a := <-ch:
		return a, a.err
	case <-ctx.Done():
		return answer{}, context.Cause(ctx) // the id stays taken until the answer comes
	}
}

func (c *Conn) ask(ctx context.Context, build func(id uint16) packet.Packet) (<-chan answer, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for c.err == nil && len(c.out) >= outLimit {
		if err := c.waitLocked(ctx); err != nil {
			return nil, err
		}
	}
	if c.err != nil {
		return nil, endedError{c.err}
	}
	id, ok := c.s.ids.Take()
	if !ok {
		return nil, overLimit(mqtt.QuotaExceeded, "all 65535 packet ids are in use")
	}
	at := len(c.out)
	out, err := build(id).Append(c.out, c.limits.Version)
	if err == nil && c.limits.MaxPacket > 0 && len(out)-at > c.limits.MaxPacket {
		err = overLimit(mqtt.PacketTooLarge, "the broker takes packets of up to %d bytes, this one needs %d", c.limits.MaxPacket, len(out)-at)
	}
	if err != nil {
		c.s.ids.Free(id)
		return nil, err
	}
	ch := make(chan answer, 1)
	c.out, c.calls[id] = out, ch
	c.wakeWriter()
	return ch, nil
}

// answered passes an answer on to the call that waits for it.
func (c *Conn) answered(id uint16, a answer) error {
	c.s.mu.Lock()
	ch, ok := c.calls[id]
	if ok {
		delete(c.calls, id)
		c.s.ids.Free(id)
	}
	c.s.mu.Unlock()
	if !ok {
		return fmt.Errorf("an answer to packet %d, which asked nothing: %w", id, mqtt.ProtocolError)
	}
	ch <- a
	return nil
}
