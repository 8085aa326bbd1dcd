package packet

import "fieldgate/mqtt"

// Disconnect is the last packet of a connection (MQTT 5.0 §3.14). Before 5.0
// only clients send it, and it is empty.
type Disconnect struct {
	Reason           mqtt.ReasonCode
	SessionExpiry    uint32 // seconds; valid only with HasSessionExpiry; never from a server
	HasSessionExpiry bool
	ReasonString     string
	ServerReference  string
	User             []mqtt.UserProperty
}

// Type implements Packet.
func (*Disconnect) Type() Type { return TypeDisconnect }

func (d *decoder) disconnect(v mqtt.Version) *Disconnect {
	p := &Disconnect{}
	if v != mqtt.V5 || len(d.b) == 0 { // §3.14.2.1: no reason code means normal disconnection
		return p
	}
	p.Reason = d.reason(d.u8("reason code"))
	if len(d.b) == 0 {
		return p
	}
	props := d.properties(inDisconnect)
	for q, ok := props.next(d); ok; q, ok = props.next(d) {
		switch q.id {
		case propSessionExpiry:
			p.SessionExpiry, p.HasSessionExpiry = q.num, true
		case propReasonString:
			p.ReasonString = string(q.data)
		case propServerReference:
			p.ServerReference = string(q.data)
		case propUser:
			p.User = append(p.User, q.user())
		}
	}
	return p
}

// Append implements Packet.
func (p *Disconnect) Append(dst []byte, v mqtt.Version) ([]byte, error) {
	e := begin(dst, TypeDisconnect, 0)
	if v != mqtt.V5 {
		return e.finish()
	}
	at := len(e.b) + 1
	e.reason(p.Reason)
	if p.HasSessionExpiry {
		e.propU32(propSessionExpiry, p.SessionExpiry)
	}
	e.propString(propReasonString, p.ReasonString)
	e.propString(propServerReference, p.ServerReference)
	e.propUsers(p.User)
	switch {
	case len(e.b) > at:
		e.insertLength(at)
	case p.Reason == mqtt.Success && e.err == nil:
		e.b = e.b[:at-1] // the short form
	}
	return e.finish()
}
