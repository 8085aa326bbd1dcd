package packet

import "fieldgate/mqtt"

// Authentication is a step of an enhanced authentication (MQTT 5.0 §4.12).
type Authentication struct {
	Method string
	Data   []byte // nil: none
}

// authReader gathers the two authentication properties of a packet.
type authReader struct {
	auth      *Authentication
	hasMethod bool
	hasData   bool
}

func (a *authReader) take(p property) {
	if a.auth == nil {
		a.auth = &Authentication{}
	}
	if p.id == propAuthMethod {
		a.auth.Method, a.hasMethod = string(p.data), true
	} else {
		a.auth.Data, a.hasData = p.data, true
	}
}

// finish returns what was gathered. Data without a method is a protocol error
// (MQTT 5.0 §3.1.2.11.10).
func (a *authReader) finish(d *decoder) *Authentication {
	if a.hasData && !a.hasMethod {
		d.fail(mqtt.ProtocolError, "authentication data without an authentication method")
	}
	return a.auth
}

func (e *encoder) propAuth(a *Authentication) {
	if a == nil {
		return
	}
	e.u8(byte(propAuthMethod)) // written where empty too: its presence is what counts
	e.string(a.Method, "authentication method")
	e.propBinary(propAuthData, a.Data)
}
