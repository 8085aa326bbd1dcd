package packet

import "fieldgate/mqtt"

// Connect is the first packet of a client (MQTT 5.0 §3.1).
type Connect struct {
	Version     mqtt.Version
	Bridge      bool   // 3.1 and 3.1.1: bit 0x80 of the level, by which bridges ask mosquitto not to echo
	CleanStart  bool   // "clean session" before 5.0
	KeepAlive   uint16 // seconds; 0: none
	ClientID    string
	Username    string
	HasUsername bool
	Password    []byte // a view of the body
	HasPassword bool
	Will        *mqtt.Will // nil: none
	Props       ConnectProps
}

// ConnectProps are the properties of a CONNECT (MQTT 5.0 §3.1.2.11).
type ConnectProps struct {
	SessionExpiry       uint32 // seconds after the connection ends; 0xFFFFFFFF: never
	ReceiveMaximum      uint16 // 0: 65535
	MaxPacket           uint32 // bytes; 0: no limit
	TopicAliasMax       uint16
	RequestResponseInfo bool
	NoProblemInfo       bool // no reason strings and user properties but in PUBLISH, CONNACK, DISCONNECT
	Auth                *Authentication
	User                []mqtt.UserProperty
}

// The bits of the connect flags (MQTT 5.0 §3.1.2.3).
const (
	connectReserved   = 0x01
	connectCleanStart = 0x02
	connectWill       = 0x04
	connectWillQoS    = 0x18
	connectWillRetain = 0x20
	connectPassword   = 0x40
	connectUsername   = 0x80
)

const bridgeBit = 0x80

// Type implements Packet.
func (*Connect) Type() Type { return TypeConnect }

func (d *decoder) connect() *Connect {
	p := &Connect{}
	d.protocol(p)
	flags := d.u8("connect flags")
	d.connectFlags(flags, p.Version)
	p.CleanStart = flags&connectCleanStart != 0
	p.KeepAlive = d.u16("keep alive")
	if p.Version == mqtt.V5 {
		d.connectProps(&p.Props)
	}
	p.ClientID = d.string("client id")
	if flags&connectWill != 0 {
		p.Will = d.will(flags, p.Version)
	}
	// MQTT 3.1 §3.1 lets the length take precedence over the flags.
	absent := func() bool { return p.Version == mqtt.V31 && len(d.b) == 0 }
	if flags&connectUsername != 0 && !absent() {
		p.Username, p.HasUsername = d.string("user name"), true
	}
	if flags&connectPassword != 0 && !absent() {
		p.Password, p.HasPassword = d.binary("password"), true
		if p.Version == mqtt.V31 && !p.HasUsername {
			d.fail(mqtt.MalformedPacket, "password without a user name") // MQTT 3.1 §3.1: not valid
		}
	}
	return p
}

// protocol reads the name and the level, which together are the version.
// Another pair is UnsupportedProtocolVersion: a server may answer it with a
// CONNACK as of 3.1.1 [MQTT-3.1.2-2].
func (d *decoder) protocol(p *Connect) {
	name, level := d.string("protocol name"), d.u8("protocol level")
	if d.err != nil {
		return
	}
	p.Version = mqtt.Version(level)
	if p.Version&^bridgeBit < mqtt.V5 {
		p.Version &^= bridgeBit
		p.Bridge = level&bridgeBit != 0
	}
	switch {
	case name == "MQTT" && (p.Version == mqtt.V311 || p.Version == mqtt.V5):
	case name == "MQIsdp" && p.Version == mqtt.V31:
	default:
		if len(name) > 16 {
			name = name[:16]
		}
		d.fail(mqtt.UnsupportedProtocolVersion, "protocol %q level %d; this end speaks MQTT 3.1, 3.1.1 and 5.0", name, level)
	}
}

// connectFlags checks the flags against each other.
func (d *decoder) connectFlags(flags byte, v mqtt.Version) {
	if flags&connectWillQoS == connectWillQoS {
		d.fail(mqtt.MalformedPacket, "QoS of the will is 3") // [MQTT-3.1.2-12]
	}
	if v == mqtt.V31 {
		return // unused bits are just that in MQTT 3.1
	}
	if flags&connectReserved != 0 {
		d.fail(mqtt.MalformedPacket, "reserved connect flag is set") // [MQTT-3.1.2-3]
	}
	if flags&connectWill == 0 && flags&(connectWillQoS|connectWillRetain) != 0 {
		d.fail(mqtt.MalformedPacket, "QoS or retain of a will without a will") // [MQTT-3.1.2-11, -13]
	}
	if v == mqtt.V311 && flags&connectUsername == 0 && flags&connectPassword != 0 {
		d.fail(mqtt.MalformedPacket, "password without a user name") // 3.1.1 [MQTT-3.1.2-22]
	}
}

func (d *decoder) connectProps(c *ConnectProps) {
	var auth authReader
	props := d.properties(inConnect)
	for p, ok := props.next(d); ok; p, ok = props.next(d) {
		switch p.id {
		case propSessionExpiry:
			c.SessionExpiry = p.num
		case propReceiveMaximum:
			c.ReceiveMaximum = uint16(p.num)
		case propMaximumPacket:
			c.MaxPacket = p.num
		case propTopicAliasMax:
			c.TopicAliasMax = uint16(p.num)
		case propRequestResponseInfo:
			c.RequestResponseInfo = p.flag()
		case propRequestProblemInfo:
			c.NoProblemInfo = !p.flag()
		case propAuthMethod, propAuthData:
			auth.take(p)
		case propUser:
			c.User = append(c.User, p.user())
		}
	}
	c.Auth = auth.finish(d)
}

// Append implements Packet. The version is that of the CONNECT itself; v is
// not looked at.
func (p *Connect) Append(dst []byte, _ mqtt.Version) ([]byte, error) {
	e := begin(dst, TypeConnect, 0)
	switch p.Version {
	case mqtt.V31:
		e.string("MQIsdp", "protocol name")
	case mqtt.V311, mqtt.V5:
		e.string("MQTT", "protocol name")
	default:
		e.fail(mqtt.UnsupportedProtocolVersion, "protocol level %d", p.Version)
	}
	level := byte(p.Version)
	if p.Bridge && p.Version != mqtt.V5 {
		level |= bridgeBit
	}
	e.u8(level)
	e.u8(p.flags(&e))
	e.u16(p.KeepAlive)
	if p.Version == mqtt.V5 {
		e.connectProps(&p.Props)
	}
	e.string(p.ClientID, "client id")
	if p.Will != nil {
		e.will(p.Will, p.Version)
	}
	if p.HasUsername {
		e.string(p.Username, "user name")
	}
	if p.HasPassword {
		e.binary(p.Password, "password")
	}
	return e.finish()
}

func (p *Connect) flags(e *encoder) (flags byte) {
	set := func(bit byte, on bool) {
		if on {
			flags |= bit
		}
	}
	set(connectCleanStart, p.CleanStart)
	set(connectUsername, p.HasUsername)
	set(connectPassword, p.HasPassword)
	if p.Will != nil {
		if p.Will.Message.QoS > 2 {
			e.fail(mqtt.MalformedPacket, "QoS of the will is %d", p.Will.Message.QoS)
		}
		set(connectWill, true)
		set(byte(p.Will.Message.QoS)<<3, true)
		set(connectWillRetain, p.Will.Message.Retain)
	}
	if p.HasPassword && !p.HasUsername && p.Version != mqtt.V5 {
		e.fail(mqtt.MalformedPacket, "password without a user name; only MQTT 5.0 allows it")
	}
	return flags
}

func (e *encoder) connectProps(c *ConnectProps) {
	at := len(e.b)
	if c.SessionExpiry != 0 {
		e.propU32(propSessionExpiry, c.SessionExpiry)
	}
	if c.ReceiveMaximum != 0 {
		e.propU16(propReceiveMaximum, c.ReceiveMaximum)
	}
	if c.MaxPacket != 0 {
		e.propU32(propMaximumPacket, c.MaxPacket)
	}
	if c.TopicAliasMax != 0 {
		e.propU16(propTopicAliasMax, c.TopicAliasMax)
	}
	if c.RequestResponseInfo {
		e.propFlag(propRequestResponseInfo, true)
	}
	if c.NoProblemInfo {
		e.propFlag(propRequestProblemInfo, false)
	}
	e.propAuth(c.Auth)
	e.propUsers(c.User)
	e.insertLength(at)
}
