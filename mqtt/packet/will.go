package packet

import "fieldgate/mqtt"

// will reads the will in the payload of a CONNECT (MQTT 5.0 §3.1.3.2 to .4).
func (d *decoder) will(flags byte, v mqtt.Version) *mqtt.Will {
	w := &mqtt.Will{Message: mqtt.Message{
		QoS:    mqtt.QoS(flags & connectWillQoS >> 3),
		Retain: flags&connectWillRetain != 0,
	}}
	if v == mqtt.V5 {
		props := d.properties(inWill)
		for p, ok := props.next(d); ok; p, ok = props.next(d) {
			if p.id == propWillDelay {
				w.Delay = p.num
				continue
			}
			w.Message.Props = takeMessageProp(d, w.Message.Props, p)
		}
	}
	topic := d.text("topic of the will")
	if d.err == nil && len(topic) == 0 {
		d.fail(mqtt.TopicNameInvalid, "topic of the will is empty") // [MQTT-4.7.3-1]
	}
	d.topicName(topic, "topic of the will")
	w.Message.Topic = string(topic)
	w.Message.Payload = d.binary("payload of the will")
	return w
}

func (e *encoder) will(w *mqtt.Will, v mqtt.Version) {
	if v == mqtt.V5 {
		at := len(e.b)
		if w.Delay != 0 {
			e.propU32(propWillDelay, w.Delay)
		}
		if w.Message.Props != nil && len(w.Message.Props.SubscriptionIDs) > 0 {
			e.fail(mqtt.ProtocolError, "a will cannot carry subscription identifiers")
		}
		e.messageProps(w.Message.Props)
		e.insertLength(at)
	}
	if w.Message.Topic == "" {
		e.fail(mqtt.TopicNameInvalid, "topic of the will is empty")
	}
	e.topicName(w.Message.Topic, "topic of the will")
	e.binary(w.Message.Payload, "payload of the will")
}
