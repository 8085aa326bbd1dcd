package buffer

import (
	"encoding/binary"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// encodeMessage writes one message by itself, sealed.
func (c *codec) encodeMessage(m *mqtt.Message, boot uint32) []byte {
	c.reset(boot)
	c.prev = clock.Stamp{} // so that the record names its boot
	return seal(c.append(make([]byte, 0, 32+messageSize(m)), m, 0, 0))
}

// decodeMessage reads what encodeMessage wrote. The payload is a view of body.
func decodeMessage(body []byte, boot uint32) (mqtt.Message, error) {
	raw, err := unseal(body)
	if err != nil {
		return mqtt.Message{}, err
	}
	r := wireReader{buf: raw}
	var c codec
	c.boot = boot
	m, _ := c.read(&r, 0)
	return m, r.err
}

// encodeSession writes a session but its id and its received packet ids.
func (c *codec) encodeSession(s *mqtt.SessionState, boot uint32) []byte {
	c.reset(boot)
	c.prev = clock.Stamp{}
	dst := appendString(nil, s.User)
	dst = append(dst, byte(s.Version), bitIf(s.Will != nil, 1))
	dst = binary.AppendUvarint(dst, uint64(s.Expiry))
	at := c.stored(s.Disconnected)
	dst = appendVarint(binary.AppendUvarint(dst, uint64(at.Boot)), at.Nanos)
	dst = binary.AppendUvarint(dst, uint64(len(s.Subscriptions)))
	for _, sub := range s.Subscriptions {
		dst = appendString(dst, sub.Filter)
		dst = append(dst, byte(sub.QoS)|bitIf(sub.NoLocal, 4)|bitIf(sub.RetainAsPublished, 8)|sub.RetainHandling<<4)
		dst = binary.AppendUvarint(dst, uint64(sub.ID))
	}
	if s.Will != nil {
		dst = binary.AppendUvarint(dst, uint64(s.Will.Delay))
		dst = c.append(dst, &s.Will.Message, 0, 0)
	}
	return seal(dst)
}

func decodeSession(body []byte, client string, boot uint32) (s mqtt.SessionState, err error) {
	raw, err := unseal(body)
	if err != nil {
		return s, err
	}
	var c codec
	c.boot = boot
	r := wireReader{buf: raw}
	s.ClientID, s.User = client, r.string()
	s.Version = mqtt.Version(r.byte())
	will := r.byte()&1 != 0
	s.Expiry = uint32(r.uvarint())
	s.Disconnected = c.loaded(clock.Stamp{Boot: uint32(r.uvarint()), Nanos: r.varint()})
	for range r.count() {
		sub := mqtt.Subscription{Filter: r.string()}
		b := r.byte()
		sub.QoS, sub.NoLocal, sub.RetainAsPublished, sub.RetainHandling = mqtt.QoS(b&3), b&4 != 0, b&8 != 0, b>>4
		sub.ID = uint32(r.uvarint())
		s.Subscriptions = append(s.Subscriptions, sub)
	}
	if will {
		w := &mqtt.Will{Delay: uint32(r.uvarint())}
		w.Message, _ = c.read(&r, 0)
		s.Will = w
	}
	return s, r.err
}
