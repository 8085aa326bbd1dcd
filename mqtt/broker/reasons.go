package broker

import (
	"fmt"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// What a reason code means here, in words for whoever looks for the mistake:
// the Reason String of MQTT 5. CONNACK and DISCONNECT have texts of their own.

// explains reports whether the client gets reason strings in the packets in
// which it may refuse them [MQTT-3.1.2-29].
func (c *conn) explains() bool { return c.version == mqtt.V5 && !c.quiet }

var publishReasons = map[mqtt.ReasonCode]string{
	mqtt.NotAuthorized:               "no right to write this topic",
	mqtt.QuotaExceeded:               "a limit of the broker is reached: retained messages, or the queue of a subscriber",
	mqtt.ImplementationSpecificError: "the message could not be stored",
	mqtt.TopicNameInvalid:            "the topic has too many levels",
}

var subscribeReasons = map[mqtt.ReasonCode]string{
	mqtt.NotAuthorized:            "no right to read what is under it",
	mqtt.QuotaExceeded:            "too many subscriptions",
	mqtt.TopicFilterInvalid:       "not a filter, or too many levels",
	mqtt.SharedSubsNotSupported:   "shared subscriptions are switched off",
	mqtt.WildcardSubsNotSupported: "wildcards are switched off",
}

// appendExplained appends a PUBACK or PUBREC that refuses, with its reason in
// words; nil where there are none, or the client takes no packet of the size
// [MQTT-3.4.2-2, -3.5.2-2].
func (c *conn) appendExplained(dst []byte, a *ack) []byte {
	text := publishReasons[a.reason]
	var p packet.Packet
	switch {
	case text == "":
		return nil
	case a.typ == packet.TypePuback:
		p = &packet.Puback{PacketID: a.id, Reason: a.reason, ReasonString: text}
	case a.typ == packet.TypePubrec:
		p = &packet.Pubrec{PacketID: a.id, Reason: a.reason, ReasonString: text}
	default:
		return nil
	}
	b, err := p.Append(dst, c.version)
	if err != nil || len(b)-len(dst) > c.maxPacket {
		return nil
	}
	return b
}

// longFilter is from which length on a filter is not quoted.
const longFilter = 256

// explainSuback says what is wrong with the first filter that is refused,
// where that fits [MQTT-3.9.2-1].
func (c *conn) explainSuback(answer *packet.Suback, subs []mqtt.Subscription) {
	if !c.explains() {
		return
	}
	for i, reason := range answer.Reasons {
		text := subscribeReasons[reason]
		if text == "" {
			continue
		}
		if f := subs[i].Filter; len(f) < longFilter {
			text = fmt.Sprintf("%s: %s", f, text)
		}
		answer.ReasonString = text
		if b, err := answer.Append(nil, c.version); err != nil || len(b) > c.maxPacket {
			answer.ReasonString = ""
		}
		return
	}
}
