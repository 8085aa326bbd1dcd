package packet

import "fieldgate/mqtt"

// Auth is a step of an enhanced authentication (MQTT 5.0 §3.15).
type Auth struct {
	Reason       mqtt.ReasonCode // Success, ContinueAuthentication, Reauthenticate
	Auth         *Authentication
	ReasonString string
	User         []mqtt.UserProperty
}

// Type implements Packet.
func (*Auth) Type() Type { return TypeAuth }

func (d *decoder) auth(v mqtt.Version) *Auth {
	p := &Auth{}
	if v != mqtt.V5 {
		d.fail(mqtt.ProtocolError, "came before MQTT 5.0")
		return p
	}
	if len(d.b) == 0 { // §3.15.2.1: nothing means success
		return p
	}
	var auth authReader
	p.Reason = d.reason(d.u8("reason code"))
	props := d.properties(inAuth)
	for q, ok := props.next(d); ok; q, ok = props.next(d) {
		switch q.id {
		case propAuthMethod, propAuthData:
			auth.take(q)
		case propReasonString:
			p.ReasonString = string(q.data)
		case propUser:
			p.User = append(p.User, q.user())
		}
	}
	p.Auth = auth.finish(d)
	return p
}

// Append implements Packet.
func (p *Auth) Append(dst []byte, v mqtt.Version) ([]byte, error) {
	e := begin(dst, TypeAuth, 0)
	if v != mqtt.V5 {
		e.fail(mqtt.ProtocolError, "does not exist before MQTT 5.0")
	}
	if p.Reason == mqtt.Success && p.Auth == nil && p.ReasonString == "" && len(p.User) == 0 {
		return e.finish()
	}
	e.reason(p.Reason)
	at := len(e.b)
	e.propAuth(p.Auth)
	e.propString(propReasonString, p.ReasonString)
	e.propUsers(p.User)
	e.insertLength(at)
	return e.finish()
}
