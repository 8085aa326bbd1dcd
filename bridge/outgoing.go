package bridge

import (
	"bytes"

	"fieldgate/buffer"
	"fieldgate/mqtt"
	"fieldgate/mqtt/encode"
)

// marked reports that a sample's payload says that its clock was not set.
func marked(m *mqtt.Message) bool {
	if bytes.Contains(m.Payload, []byte(`"clock":"unsynced"`)) {
		return true
	}
	return m.Props != nil && userProperty(m.Props.User, "clock") == "unsynced"
}

// message is the publish for entries that the route has taken, of one topic.
// Entries that the format does not apply to come one at a time. v5 says that
// its properties, which are l's, will go with it.
func (r *route) message(l *letter, topic string, entries []buffer.Entry, v5 bool) (mqtt.Message, error) {
	first := &entries[0].Message
	out := mqtt.Message{Topic: topic, Payload: first.Payload, QoS: r.qos, Retain: first.Retain && !r.strip && len(entries) == 1 && (!groupPart(first) || r.target.uses("tag"))}
	out.Props = &l.props
	if first.Props != nil {
		l.props = *first.Props
		l.props.SubscriptionIDs, l.props.User = nil, foreign(l.props.User)
	} else {
		l.props = mqtt.Properties{}
	}
	if r.reply {
		out.Props.ResponseTopic = ""
	}
	enc := r.enc
	if !r.encodes(first) {
		enc = nil
		if late(first, r.wall) || groupPart(first) {
			enc = r.asIs
		}
	}
	if enc != nil {
		if err := r.encode(&out, enc, entries, v5); err != nil {
			return out, err
		}
	}
	r.mark(l, first.Props, entries)
	return out, nil
}

// encode puts the payload of a format in.
func (r *route) encode(out *mqtt.Message, enc *encode.Encoder, entries []buffer.Entry, v5 bool) error {
	items := make([]encode.Item, len(entries))
	for i := range entries {
		items[i] = item(&entries[i])
		if enc == r.asIs { // as when it was published: no number yet, and no payload
			items[i] = encode.Item{Topic: items[i].Topic, Sample: items[i].Sample}
		}
		if v5 && r.format == encode.Columns { // the smallest: the mark says it already
			items[i].Epoch, items[i].Seq = 0, 0
		}
	}
	p, err := enc.Encode(items...)
	if err != nil {
		return err
	}
	body, encoding, err := encode.Compress(r.compress, p.Body)
	if err != nil {
		return err
	}
	out.Payload, out.Props.ContentType, out.Props.PayloadFormat = body, p.ContentType, 0
	if p.Text && encoding == "" {
		out.Props.PayloadFormat = 1
	}
	if items[0].Sample != nil {
		out.Props.User = nil // they described the payload that this one replaces
	}
	out.Props.User = append(out.Props.User, p.User...)
	if encoding != "" {
		out.Props.ContentType += "+" + encoding // a structured suffix, RFC 6839
	}
	return nil
}
