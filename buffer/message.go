package buffer

import (
	"encoding/binary"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// How a message is stored: one byte of flags, one of QoS and kind, then only
// the fields that are there. Strings that repeat within a segment (topics,
// devices, units) are written once and referred to by number.

const (
	flagRetain = 1 << iota
	flagProps
	flagSample
	flagOrigin
	flagBoot    // the stamp is of another boot than the record before
	flagTargets // the targets differ from those of the segment
	flagFrom    // retained messages only
)

// words numbers the strings of one segment in the order they first appear.
// Number 0 means: a new word follows.
type words struct {
	index map[string]uint64
	list  []string
}

func (w *words) reset() {
	if w.index == nil {
		w.index = make(map[string]uint64, 64)
	}
	clear(w.index)
	w.list = w.list[:0]
}

func (w *words) append(dst []byte, s string) []byte {
	if n, ok := w.index[s]; ok {
		return binary.AppendUvarint(dst, n)
	}
	w.index[s] = uint64(len(w.index) + 1)
	return appendString(append(dst, 0), s)
}

func (w *words) read(r *wireReader) string {
	n := r.uvarint()
	if n == 0 {
		s := r.string()
		w.list = append(w.list, s)
		return s
	}
	if n > uint64(len(w.list)) {
		r.fail()
		return ""
	}
	return w.list[n-1]
}

// codec writes and reads messages one after another; stamps are differences
// to the one before. boot is the number of the boot we run in, which memory
// calls 0.
type codec struct {
	words words
	boot  uint32
	prev  clock.Stamp // with the stored boot number
}

func (c *codec) reset(boot uint32) {
	c.words.reset()
	c.boot, c.prev = boot, clock.Stamp{Boot: boot}
}

// stored is a stamp with the number of its boot.
func (c *codec) stored(s clock.Stamp) clock.Stamp {
	if s.Boot == 0 && !s.IsZero() {
		s.Boot = c.boot
	}
	return s
}

// loaded undoes stored.
func (c *codec) loaded(s clock.Stamp) clock.Stamp {
	if s.Boot == c.boot {
		s.Boot = 0
	}
	return s
}

// append writes one message. targets is written only where it differs from
// the segment's.
func (c *codec) append(dst []byte, m *mqtt.Message, targets, segTargets uint64) []byte {
	var flags byte
	stamp := c.stored(m.Stamp)
	if m.Retain {
		flags |= flagRetain
	}
	if m.Props != nil {
		flags |= flagProps
	}
	if m.Sample != nil {
		flags |= flagSample
	}
	if m.Origin != "" {
		flags |= flagOrigin
	}
	if m.From != nil {
		flags |= flagFrom
	}
	if stamp.Boot != c.prev.Boot {
		flags |= flagBoot
	}
	if targets != segTargets {
		flags |= flagTargets
	}
	dst = append(dst, flags, byte(m.QoS)|byte(m.Kind)<<2)
	if flags&flagBoot != 0 {
		dst = binary.AppendUvarint(dst, uint64(stamp.Boot))
	}
	dst = appendVarint(dst, stamp.Nanos-c.prev.Nanos)
	c.prev = stamp
	if flags&flagTargets != 0 {
		dst = binary.AppendUvarint(dst, targets)
	}
	dst = c.words.append(dst, m.Topic)
	dst = appendBytes(dst, m.Payload)
	if flags&flagOrigin != 0 {
		dst = c.words.append(dst, m.Origin)
	}
	if m.Props != nil {
		dst = c.appendProps(dst, m.Props)
	}
	if m.Sample != nil {
		dst = c.appendSample(dst, m.Sample)
	}
	if m.From != nil {
		dst = c.words.append(dst, m.From.User)
		dst = append(dst, bitIf(m.From.Local, 1)|bitIf(m.From.Cert, 2))
	}
	return dst
}

func (c *codec) read(r *wireReader, segTargets uint64) (m mqtt.Message, targets uint64) {
	flags, kind := r.byte(), r.byte()
	m.Retain = flags&flagRetain != 0
	m.QoS, m.Kind = mqtt.QoS(kind&3), mqtt.Kind(kind>>2)
	if flags&flagBoot != 0 {
		c.prev.Boot = uint32(r.uvarint())
	}
	c.prev.Nanos += r.varint()
	m.Stamp = c.loaded(c.prev)
	targets = segTargets
	if flags&flagTargets != 0 {
		targets = r.uvarint()
	}
	m.Topic = c.words.read(r)
	m.Payload = r.bytes()
	if flags&flagOrigin != 0 {
		m.Origin = c.words.read(r)
	}
	if flags&flagProps != 0 {
		m.Props = c.readProps(r)
	}
	if flags&flagSample != 0 {
		m.Sample = c.readSample(r)
	}
	if flags&flagFrom != 0 {
		m.From = &mqtt.Publisher{User: c.words.read(r)}
		b := r.byte()
		m.From.Local, m.From.Cert = b&1 != 0, b&2 != 0
	}
	return m, targets
}

func (c *codec) appendProps(dst []byte, p *mqtt.Properties) []byte {
	var flags byte
	if p.HasExpiry {
		flags |= 1
	}
	if p.CorrelationData != nil {
		flags |= 2
	}
	dst = append(dst, flags, p.PayloadFormat)
	if p.HasExpiry {
		dst = binary.AppendUvarint(dst, uint64(p.MessageExpiry))
	}
	dst = c.words.append(dst, p.ContentType)
	dst = c.words.append(dst, p.ResponseTopic)
	if p.CorrelationData != nil {
		dst = appendBytes(dst, p.CorrelationData)
	}
	dst = binary.AppendUvarint(dst, uint64(len(p.User)))
	for _, u := range p.User {
		dst = c.words.append(dst, u.Name)
		dst = appendString(dst, u.Value)
	}
	dst = binary.AppendUvarint(dst, uint64(len(p.SubscriptionIDs)))
	for _, id := range p.SubscriptionIDs {
		dst = binary.AppendUvarint(dst, uint64(id))
	}
	return dst
}

func (c *codec) readProps(r *wireReader) *mqtt.Properties {
	p := &mqtt.Properties{}
	flags := r.byte()
	p.PayloadFormat = r.byte()
	if flags&1 != 0 {
		p.HasExpiry, p.MessageExpiry = true, uint32(r.uvarint())
	}
	p.ContentType = c.words.read(r)
	p.ResponseTopic = c.words.read(r)
	if flags&2 != 0 {
		p.CorrelationData = append([]byte{}, r.bytes()...)
	}
	if n := r.count(); n > 0 {
		p.User = make([]mqtt.UserProperty, 0, n)
		for range n {
			p.User = append(p.User, mqtt.UserProperty{Name: c.words.read(r), Value: r.string()})
		}
	}
	if n := r.count(); n > 0 {
		p.SubscriptionIDs = make([]uint32, 0, n)
		for range n {
			p.SubscriptionIDs = append(p.SubscriptionIDs, uint32(r.uvarint()))
		}
	}
	return p
}

func (c *codec) appendSample(dst []byte, s *mqtt.Sample) []byte {
	dst = c.words.append(dst, s.Device)
	dst = c.words.append(dst, s.Tag)
	dst = c.words.append(dst, s.Unit)
	dst = appendString(dst, s.Value)
	dst = c.words.append(dst, s.Quality)
	dst = c.words.append(dst, s.Reason)
	dst = appendString(dst, s.Last)
	dst = c.appendStamp(dst, s.Time)
	return c.appendStamp(dst, s.LastTime)
}

func (c *codec) readSample(r *wireReader) *mqtt.Sample {
	s := &mqtt.Sample{}
	s.Device = c.words.read(r)
	s.Tag = c.words.read(r)
	s.Unit = c.words.read(r)
	s.Value = r.string()
	s.Quality = c.words.read(r)
	s.Reason = c.words.read(r)
	s.Last = r.string()
	s.Time = c.readStamp(r)
	s.LastTime = c.readStamp(r)
	return s
}

// appendStamp writes a second stamp of a record as 0 (unset), 1 and the
// difference to the record's own, or 2, boot and nanoseconds.
func (c *codec) appendStamp(dst []byte, s clock.Stamp) []byte {
	if s.IsZero() {
		return append(dst, 0)
	}
	s = c.stored(s)
	if s.Boot == c.prev.Boot {
		return appendVarint(append(dst, 1), s.Nanos-c.prev.Nanos)
	}
	return appendVarint(binary.AppendUvarint(append(dst, 2), uint64(s.Boot)), s.Nanos)
}

func (c *codec) readStamp(r *wireReader) clock.Stamp {
	switch r.byte() {
	case 0:
		return clock.Stamp{}
	case 1:
		return c.loaded(clock.Stamp{Boot: c.prev.Boot, Nanos: c.prev.Nanos + r.varint()})
	case 2:
		return c.loaded(clock.Stamp{Boot: uint32(r.uvarint()), Nanos: r.varint()})
	}
	r.fail()
	return clock.Stamp{}
}
