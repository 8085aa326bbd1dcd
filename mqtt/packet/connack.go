package packet

import "fieldgate/mqtt"

// Connack answers a CONNECT (MQTT 5.0 §3.2).
type Connack struct {
	SessionPresent bool
	Reason         mqtt.ReasonCode // before 5.0 the return codes 1 to 5 are translated
	Props          ConnackProps
}

// ConnackProps are the properties of a CONNACK (MQTT 5.0 §3.2.2.3).
type ConnackProps struct {
	SessionExpiry     uint32   // seconds; valid only with HasSessionExpiry
	HasSessionExpiry  bool     // else what the client asked for
	ReceiveMaximum    uint16   // 0: 65535
	MaxQoS            mqtt.QoS // valid only with HasMaxQoS
	HasMaxQoS         bool     // else 2
	NoRetain          bool
	MaxPacket         uint32 // bytes; 0: no limit
	AssignedClientID  string
	TopicAliasMax     uint16
	ReasonString      string
	NoWildcards       bool
	NoSubscriptionIDs bool
	NoShared          bool
	ServerKeepAlive   uint16 // seconds; valid only with HasKeepAlive
	HasKeepAlive      bool   // else what the client asked for
	ResponseInfo      string
	ServerReference   string
	Auth              *Authentication
	User              []mqtt.UserProperty
}

// Type implements Packet.
func (*Connack) Type() Type { return TypeConnack }

// returnCodes are the return codes of MQTT 3.1.1 §3.2.2.3 by their number.
var returnCodes = [...]mqtt.ReasonCode{
	mqtt.Success, mqtt.UnsupportedProtocolVersion, mqtt.ClientIDNotValid,
	mqtt.ServerUnavailable, mqtt.BadUserNameOrPassword, mqtt.NotAuthorized,
}

// returnCode is the return code that says most nearly what the reason says.
func returnCode(c mqtt.ReasonCode) byte {
	switch c {
	case mqtt.Banned, mqtt.BadAuthenticationMethod:
		c = mqtt.NotAuthorized
	}
	for i, r := range returnCodes {
		if r == c {
			return byte(i)
		}
	}
	return 3 // server unavailable
}

func (d *decoder) connack(v mqtt.Version) *Connack {
	p := &Connack{}
	flags, code := d.u8("acknowledge flags"), d.u8("reason code")
	if v != mqtt.V31 { // reserved in MQTT 3.1
		if flags > 1 {
			d.fail(mqtt.MalformedPacket, "reserved acknowledge flag is set") // [MQTT-3.2.2-1]
		}
		p.SessionPresent = flags&1 != 0
	}
	if v == mqtt.V5 {
		p.Reason = d.reason(code)
		d.connackProps(&p.Props)
	} else if int(code) < len(returnCodes) {
		p.Reason = returnCodes[code]
	} else {
		d.fail(mqtt.ProtocolError, "return code %d", code)
	}
	if p.SessionPresent && p.Reason != mqtt.Success {
		d.fail(mqtt.ProtocolError, "session present in a refusal") // [MQTT-3.2.2-6]
	}
	return p
}

func (d *decoder) connackProps(c *ConnackProps) {
	var auth authReader
	props := d.properties(inConnack)
	for p, ok := props.next(d); ok; p, ok = props.next(d) {
		switch p.id {
		case propSessionExpiry:
			c.SessionExpiry, c.HasSessionExpiry = p.num, true
		case propReceiveMaximum:
			c.ReceiveMaximum = uint16(p.num)
		case propMaximumQoS:
			c.MaxQoS, c.HasMaxQoS = mqtt.QoS(p.num), true
		case propRetainAvailable:
			c.NoRetain = !p.flag()
		case propMaximumPacket:
			c.MaxPacket = p.num
		case propAssignedClientID:
			c.AssignedClientID = string(p.data)
		case propTopicAliasMax:
			c.TopicAliasMax = uint16(p.num)
		case propReasonString:
			c.ReasonString = string(p.data)
		case propWildcardAvailable:
			c.NoWildcards = !p.flag()
		case propSubIDsAvailable:
			c.NoSubscriptionIDs = !p.flag()
		case propSharedAvailable:
			c.NoShared = !p.flag()
		case propServerKeepAlive:
			c.ServerKeepAlive, c.HasKeepAlive = uint16(p.num), true
		case propResponseInfo:
			c.ResponseInfo = string(p.data)
		case propServerReference:
			c.ServerReference = string(p.data)
		case propAuthMethod, propAuthData:
			auth.take(p)
		case propUser:
			c.User = append(c.User, p.user())
		}
	}
	c.Auth = auth.finish(d)
}

// Append implements Packet.
func (p *Connack) Append(dst []byte, v mqtt.Version) ([]byte, error) {
	e := begin(dst, TypeConnack, 0)
	flags := byte(0)
	if p.SessionPresent && v != mqtt.V31 {
		flags = 1
	}
	if p.SessionPresent && p.Reason != mqtt.Success {
		e.fail(mqtt.ProtocolError, "session present in a refusal") // [MQTT-3.2.2-6]
	}
	e.u8(flags)
	if v == mqtt.V5 {
		e.reason(p.Reason)
		e.connackProps(&p.Props)
	} else {
		e.u8(returnCode(p.Reason))
	}
	return e.finish()
}

func (e *encoder) connackProps(c *ConnackProps) {
	at := len(e.b)
	if c.HasSessionExpiry {
		e.propU32(propSessionExpiry, c.SessionExpiry)
	}
	if c.ReceiveMaximum != 0 {
		e.propU16(propReceiveMaximum, c.ReceiveMaximum)
	}
	if c.HasMaxQoS && c.MaxQoS < 2 { // 2 is said by silence (MQTT 5.0 §3.2.2.3.4)
		e.propFlag(propMaximumQoS, c.MaxQoS == 1)
	}
	if c.MaxPacket != 0 {
		e.propU32(propMaximumPacket, c.MaxPacket)
	}
	e.propString(propAssignedClientID, c.AssignedClientID)
	if c.TopicAliasMax != 0 {
		e.propU16(propTopicAliasMax, c.TopicAliasMax)
	}
	e.propString(propReasonString, c.ReasonString)
	e.propNot(propRetainAvailable, c.NoRetain)
	e.propNot(propWildcardAvailable, c.NoWildcards)
	e.propNot(propSubIDsAvailable, c.NoSubscriptionIDs)
	e.propNot(propSharedAvailable, c.NoShared)
	if c.HasKeepAlive {
		e.propU16(propServerKeepAlive, c.ServerKeepAlive)
	}
	e.propString(propResponseInfo, c.ResponseInfo)
	e.propString(propServerReference, c.ServerReference)
	e.propAuth(c.Auth)
	e.propUsers(c.User)
	e.insertLength(at)
}

// propNot writes that something is not available; that it is, is the default.
func (e *encoder) propNot(id propID, not bool) {
	if not {
		e.propFlag(id, false)
	}
}
