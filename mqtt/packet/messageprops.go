package packet

import "fieldgate/mqtt"

// takeMessageProp puts a property of an application message into props, which
// are made with the first one that says something.
func takeMessageProp(d *decoder, props *mqtt.Properties, p property) *mqtt.Properties {
	if props == nil {
		if p.id == propPayloadFormat && p.num == 0 || p.id == propContentType && len(p.data) == 0 {
			return nil // means the same as none
		}
		props = &mqtt.Properties{}
	}
	switch p.id {
	case propPayloadFormat:
		props.PayloadFormat = byte(p.num)
	case propMessageExpiry:
		props.MessageExpiry, props.HasExpiry = p.num, true
	case propContentType:
		props.ContentType = string(p.data)
	case propResponseTopic:
		if len(p.data) == 0 {
			d.fail(mqtt.TopicNameInvalid, "response topic is empty") // [MQTT-4.7.3-1]
		}
		d.topicName(p.data, "response topic") // [MQTT-3.3.2-14]
		props.ResponseTopic = string(p.data)
	case propCorrelationData:
		props.CorrelationData = append([]byte{}, p.data...)
	case propSubscriptionID:
		props.SubscriptionIDs = append(props.SubscriptionIDs, p.num)
	case propUser:
		props.User = append(props.User, p.user())
	}
	return props
}

func (e *encoder) messageProps(p *mqtt.Properties) {
	if p == nil {
		return
	}
	if p.PayloadFormat > 1 {
		e.fail(mqtt.ProtocolError, "payload format indicator is %d, must be 0 or 1", p.PayloadFormat)
	}
	if p.PayloadFormat == 1 {
		e.propFlag(propPayloadFormat, true)
	}
	if p.HasExpiry {
		e.propU32(propMessageExpiry, p.MessageExpiry)
	}
	e.propString(propContentType, p.ContentType)
	if p.ResponseTopic != "" {
		e.u8(byte(propResponseTopic))
		e.topicName(p.ResponseTopic, "response topic")
	}
	e.propBinary(propCorrelationData, p.CorrelationData)
	for _, id := range p.SubscriptionIDs {
		if id == 0 {
			e.fail(mqtt.ProtocolError, "subscription identifier is 0")
		}
		e.propVarint(propSubscriptionID, id)
	}
	e.propUsers(p.User)
}

// messagePropsSize is the number of bytes that messageProps appends.
func messagePropsSize(p *mqtt.Properties) (n int) {
	if p == nil {
		return 0
	}
	if p.PayloadFormat == 1 {
		n += 2
	}
	if p.HasExpiry {
		n += 5
	}
	if p.ContentType != "" {
		n += 3 + len(p.ContentType)
	}
	if p.ResponseTopic != "" {
		n += 3 + len(p.ResponseTopic)
	}
	if p.CorrelationData != nil {
		n += 3 + len(p.CorrelationData)
	}
	for _, id := range p.SubscriptionIDs {
		n += 1 + varintSize(int(id))
	}
	for _, u := range p.User {
		n += 5 + len(u.Name) + len(u.Value)
	}
	return n
}
