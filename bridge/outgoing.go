package bridge

import (
	"bytes"
	"strconv"

	"fieldgate/buffer"
	"fieldgate/mqtt"
	"fieldgate/mqtt/encode"
)

// The user properties (MQTT 5) that go with every message up. A receiver that
// keeps the highest (gw-id, gw-epoch, gw-seq) drops repeats exactly; gw-origin
// and gw-hops keep gateways from sending messages in circles.
const (
	propID       = "gw-id"
	propEpoch    = "gw-epoch"
	propSeq      = "gw-seq" // "17", of a batch "17-59,61"
	propOrigin   = "gw-origin"
	propHops     = "gw-hops"
	propEncoding = "content-encoding"
)

// maxHops is how many gateways a message may pass.
const maxHops = 3

// marked reports that a sample's payload says that its clock was not set.
func marked(m *mqtt.Message) bool {
	if bytes.Contains(m.Payload, []byte(`"clock":"unsynced"`)) {
		return true
	}
	return m.Props != nil && userProperty(m.Props.User, "clock") == "unsynced"
}

// message is the publish for entries that the route has taken, of one topic.
// Entries that the format does not apply to come one at a time.
func (r *route) message(topic string, entries []buffer.Entry) (mqtt.Message, error) {
	first := &entries[0].Message
	out := mqtt.Message{Topic: topic, Payload: first.Payload, QoS: r.qos, Retain: first.Retain && !r.strip && len(entries) == 1 && (!groupPart(first) || r.target.uses("tag"))}
	if first.Props != nil {
		p := *first.Props
		p.SubscriptionIDs, p.User = nil, foreign(p.User)
		out.Props = &p
	} else {
		out.Props = &mqtt.Properties{}
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
		if err := r.encode(&out, enc, entries); err != nil {
			return out, err
		}
	}
	out.Props.User = r.identity(out.Props.User, first.Props, entries)
	return out, nil
}

// encode puts the payload of a format in.
func (r *route) encode(out *mqtt.Message, enc *encode.Encoder, entries []buffer.Entry) error {
	items := make([]encode.Item, len(entries))
	for i := range entries {
		items[i] = item(&entries[i])
		if enc == r.asIs { // as when it was published: no number yet, and no payload
			items[i] = encode.Item{Topic: items[i].Topic, Sample: items[i].Sample}
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
		out.Props.User = append(out.Props.User, mqtt.UserProperty{Name: propEncoding, Value: encoding})
	}
	return nil
}

// identity are the properties that name the message for receivers, after what
// the message has of its own.
func (r *route) identity(own []mqtt.UserProperty, props *mqtt.Properties, entries []buffer.Entry) []mqtt.UserProperty {
	origin, hops := r.gateway, 0
	if props != nil && len(props.User) > 0 {
		origin = orText(userProperty(props.User, propOrigin), r.gateway)
		hops = hopsOf(props.User)
	}
	all := make([]mqtt.UserProperty, len(own), len(own)+5)
	copy(all, own)
	return append(all,
		mqtt.UserProperty{Name: propID, Value: r.gateway},
		mqtt.UserProperty{Name: propEpoch, Value: strconv.FormatUint(uint64(entries[0].Epoch), 10)},
		mqtt.UserProperty{Name: propSeq, Value: numbers(entries)},
		mqtt.UserProperty{Name: propOrigin, Value: origin},
		mqtt.UserProperty{Name: propHops, Value: strconv.Itoa(hops + 1)},
	)
}

// numbers are the seqs of a message or batch.
func numbers(entries []buffer.Entry) string {
	if len(entries) == 1 {
		return strconv.FormatUint(entries[0].Seq, 10)
	}
	items := make([]encode.Item, len(entries))
	for i := range entries {
		items[i].Seq = entries[i].Seq
	}
	return encode.Seqs(items)
}

// foreign are the user properties that are not the bridge's own.
func foreign(user []mqtt.UserProperty) []mqtt.UserProperty {
	var out []mqtt.UserProperty
	for _, u := range user {
		switch u.Name {
		case propID, propEpoch, propSeq, propOrigin, propHops, propRefusedBy, propRefusedWhy:
		default:
			out = append(out, u)
		}
	}
	return out
}

func userProperty(user []mqtt.UserProperty, name string) string {
	for _, u := range user {
		if u.Name == name {
			return u.Value
		}
	}
	return ""
}

// hopsOf is how many gateways the message has passed.
func hopsOf(user []mqtt.UserProperty) int {
	n, err := strconv.Atoi(userProperty(user, propHops))
	if err != nil || n < 0 {
		return 0
	}
	return n
}
