package drivers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
	"fieldgate/mqtt/encode"
)

// Bounds of a set message.
const (
	maxSetPayload = 4 << 10
	maxSetID      = 64
	maxSetTTL     = time.Hour
)

// setRequest is what a set message asks for.
type setRequest struct {
	value Value
	id    string
	ttl   time.Duration // 0: not given
}

// parseSet reads the payload of a set message: a plain value, or
// {"value":…,"id":…,"ttl_s":…}.
func parseSet(payload []byte) (setRequest, error) {
	payload = bytes.TrimSpace(payload)
	switch {
	case len(payload) == 0:
		return setRequest{}, Refuse(CodePayload, "empty payload; send a value as 72.5 or {\"value\":72.5}")
	case len(payload) > maxSetPayload:
		return setRequest{}, Refuse(CodePayload, "payload of %d bytes; at most %d", len(payload), maxSetPayload)
	case !utf8.Valid(payload):
		return setRequest{}, Refuse(CodePayload, "payload is not UTF-8 text")
	case payload[0] != '{':
		v := ParseValue(string(payload))
		if v.IsNull() {
			return setRequest{}, Refuse(CodePayload, "null cannot be written")
		}
		return setRequest{value: v}, nil
	}
	var doc struct {
		Value json.RawMessage `json:"value"`
		ID    any             `json:"id"`
		TTL   *float64        `json:"ttl_s"`
	}
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		return setRequest{}, Refuse(CodePayload, "payload is not JSON: %v", err)
	}
	if dec.More() {
		return setRequest{}, Refuse(CodePayload, "payload holds more than one JSON document")
	}
	var set setRequest
	switch id := doc.ID.(type) {
	case nil:
	case string:
		set.id = id
	case json.Number:
		set.id = id.String()
	default:
		return setRequest{}, Refuse(CodePayload, "id must be a text or a number")
	}
	if len(set.id) > maxSetID {
		id := set.id[:maxSetID]
		return setRequest{id: strings.ToValidUTF8(id, "")}, Refuse(CodePayload, "id is longer than %d bytes", maxSetID)
	}
	if doc.TTL != nil {
		if !(*doc.TTL > 0) || *doc.TTL > maxSetTTL.Seconds() {
			return set, Refuse(CodePayload, "ttl_s must be more than 0 and at most %d", int(maxSetTTL.Seconds()))
		}
		set.ttl = time.Duration(*doc.TTL * float64(time.Second))
	}
	v, ok := FromJSON(doc.Value)
	if !ok || v.IsNull() {
		return set, Refuse(CodePayload, `"value" must be a number, a text, true or false`)
	}
	set.value = v
	return set, nil
}

// deadline is the moment after which a command is not executed any more: the
// shortest of what the payload, the message and our own limit say, counted
// from when the message entered our broker.
func (s *Supervisor) deadline(m *mqtt.Message, ttl time.Duration) (clock.Stamp, error) {
	if ttl == 0 {
		ttl = s.opt.CommandTTL
	}
	if m.Props != nil && m.Props.HasExpiry {
		ttl = min(ttl, time.Duration(m.Props.MessageExpiry)*time.Second)
	}
	now, from := clock.Now(), m.Stamp
	switch {
	case from.IsZero():
		from = now
	case from.Boot != 0: // stored before this start: an offline queue is never executed
		return from, Refuse(CodeExpired, "the command is from before the gateway's start")
	}
	until := from.Add(ttl)
	if !now.Before(until) {
		return until, Refuse(CodeExpired, "the command is %s old and was valid for %s", now.Sub(from).Round(time.Millisecond), ttl)
	}
	return until, nil
}

// reply says where a command's answer goes.
type reply struct {
	topic       string
	correlation []byte
	qos         mqtt.QoS
	origin      string
}

// replyTo honours Response Topic and Correlation Data [MQTT-3.3.2-14], unless
// the answer would itself be a command or a value: a client must not be able
// to write through us where it could not write itself.
func (s *Supervisor) replyTo(m *mqtt.Message, fallback, origin string) (reply, error) {
	r := reply{topic: fallback, qos: m.QoS, origin: origin}
	if m.Props == nil || m.Props.ResponseTopic == "" {
		return r, nil
	}
	r.correlation = m.Props.CorrelationData
	wanted := m.Props.ResponseTopic
	if err := mqtt.CheckTopic(wanted); err != nil {
		return r, Refuse(CodeResponse, "response topic: %v", err)
	}
	s.mu.Lock()
	_, isValue := s.topics[wanted]
	s.mu.Unlock()
	if isValue || strings.HasPrefix(wanted, "$") || strings.HasSuffix(wanted, "/set") || s.isOwn(wanted, m.Origin) {
		return r, Refuse(CodeResponse, "response topic %q is one of the gateway's own", wanted)
	}
	r.topic = wanted
	return r, nil
}

// isOwn reports a topic of the gateway's own that a sender may not be answered
// at. A command from an upstream is answered where its bridge waits for the
// result: {base}/upstream/NAME/reply/N.
func (s *Supervisor) isOwn(topic, origin string) bool {
	rest, own := strings.CutPrefix(topic, s.mapping.Base()+"/")
	if !own || strings.HasPrefix(rest, "cmd/response/") {
		return false
	}
	upstream, fromUpstream := strings.CutPrefix(origin, "upstream:")
	return !fromUpstream || !strings.HasPrefix(rest, "upstream/"+upstream+"/reply/")
}

var jsonProps = encode.Payload{ContentType: encode.TypeJSON, Text: true}.Properties()

// answer sends a document to where a reply goes.
func (s *Supervisor) answer(r reply, doc any) {
	payload, err := json.Marshal(doc)
	if err != nil {
		payload = fmt.Appendf(nil, `{"status":"error","code":%q,"error":"the answer cannot be written as JSON"}`, CodeRequest)
	}
	m := mqtt.Message{Topic: r.topic, Payload: payload, QoS: r.qos, Kind: mqtt.KindCommandResult, Origin: r.origin, Props: jsonProps}
	if r.correlation != nil {
		p := *jsonProps
		p.CorrelationData = r.correlation
		m.Props = &p
	}
	s.send(m)
}
