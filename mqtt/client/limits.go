package client

import (
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// Limits is what the broker said in its CONNACK (MQTT 5.0 §3.2.2.3), with the
// standard's defaults where it said nothing. Before 5.0 brokers say nothing.
type Limits struct {
	Version           mqtt.Version // that was agreed on, after a fall-back
	SessionPresent    bool         // the broker goes on with an earlier session
	SessionKept       bool         // it keeps ours beyond the connection
	SessionExpiry     uint32       // seconds that it does so
	AssignedClientID  string       // "": the one we sent
	ReceiveMaximum    uint16       // messages of QoS > 0 that we may have open
	MaxQoS            mqtt.QoS
	RetainAvailable   bool
	MaxPacket         int           // bytes; 0: no limit
	AliasMax          uint16        // topic aliases that we may use
	KeepAlive         time.Duration // that applies; 0: none
	WildcardAvailable bool
	SubIDsAvailable   bool
	SharedAvailable   bool
	ResponseInfo      string
	ServerReference   string
	User              []mqtt.UserProperty
}

// limitsOf puts together what was asked and what was answered.
func limitsOf(c *packet.Connect, a *packet.Connack) Limits {
	p := &a.Props
	l := Limits{
		Version:           c.Version,
		SessionPresent:    a.SessionPresent,
		SessionExpiry:     c.Props.SessionExpiry,
		AssignedClientID:  p.AssignedClientID,
		ReceiveMaximum:    or(p.ReceiveMaximum, 0xFFFF),
		MaxQoS:            2,
		RetainAvailable:   !p.NoRetain,
		MaxPacket:         int(min(p.MaxPacket, packet.MaxPacket)),
		AliasMax:          p.TopicAliasMax,
		KeepAlive:         time.Duration(c.KeepAlive) * time.Second,
		WildcardAvailable: !p.NoWildcards,
		SubIDsAvailable:   !p.NoSubscriptionIDs && c.Version == mqtt.V5,
		SharedAvailable:   !p.NoShared && c.Version == mqtt.V5,
		ResponseInfo:      p.ResponseInfo,
		ServerReference:   p.ServerReference,
		User:              p.User,
	}
	if p.HasMaxQoS {
		l.MaxQoS = p.MaxQoS
	}
	if p.HasKeepAlive { // [MQTT-3.2.2-21]
		l.KeepAlive = time.Duration(p.ServerKeepAlive) * time.Second
	}
	if p.HasSessionExpiry {
		l.SessionExpiry = p.SessionExpiry
	}
	if c.Version != mqtt.V5 && !c.CleanStart {
		l.SessionExpiry = 0xFFFFFFFF // as long as the broker likes
	}
	l.SessionKept = l.SessionExpiry > 0
	return l
}
