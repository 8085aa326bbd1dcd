package packet

import (
	"fieldgate/mqtt"
)

// reasons says in which packets a reason code may stand (MQTT 5.0 table 2-6).
// Codes of the other direction are allowed: what a server may not send, a
// client may.
var reasons = map[mqtt.ReasonCode]place{
	mqtt.Success: inConnack | 1<<TypePuback | 1<<TypePubrec | 1<<TypePubrel | 1<<TypePubcomp |
		1<<TypeSuback | 1<<TypeUnsuback | inDisconnect | inAuth,
	mqtt.GrantedQoS1:                 1 << TypeSuback,
	mqtt.GrantedQoS2:                 1 << TypeSuback,
	mqtt.DisconnectWithWill:          inDisconnect,
	mqtt.NoMatchingSubscribers:       1<<TypePuback | 1<<TypePubrec,
	mqtt.NoSubscriptionExisted:       1 << TypeUnsuback,
	mqtt.ContinueAuthentication:      inAuth,
	mqtt.Reauthenticate:              inAuth,
	mqtt.UnspecifiedError:            inRefusable,
	mqtt.MalformedPacket:             inConnack | inDisconnect,
	mqtt.ProtocolError:               inConnack | inDisconnect,
	mqtt.ImplementationSpecificError: inRefusable,
	mqtt.UnsupportedProtocolVersion:  inConnack,
	mqtt.ClientIDNotValid:            inConnack,
	mqtt.BadUserNameOrPassword:       inConnack,
	mqtt.NotAuthorized:               inRefusable,
	mqtt.ServerUnavailable:           inConnack,
	mqtt.ServerBusy:                  inConnack | inDisconnect,
	mqtt.Banned:                      inConnack,
	mqtt.ServerShuttingDown:          inDisconnect,
	mqtt.BadAuthenticationMethod:     inConnack | inDisconnect,
	mqtt.KeepAliveTimeout:            inDisconnect,
	mqtt.SessionTakenOver:            inDisconnect,
	mqtt.TopicFilterInvalid:          1<<TypeSuback | 1<<TypeUnsuback | inDisconnect,
	mqtt.TopicNameInvalid:            inConnack | 1<<TypePuback | 1<<TypePubrec | inDisconnect,
	mqtt.PacketIDInUse:               1<<TypePuback | 1<<TypePubrec | 1<<TypeSuback | 1<<TypeUnsuback,
	mqtt.PacketIDNotFound:            1<<TypePubrel | 1<<TypePubcomp,
	mqtt.ReceiveMaximumExceeded:      inDisconnect,
	mqtt.TopicAliasInvalid:           inDisconnect,
	mqtt.PacketTooLarge:              inConnack | inDisconnect,
	mqtt.MessageRateTooHigh:          inDisconnect,
	mqtt.QuotaExceeded:               inConnack | 1<<TypePuback | 1<<TypePubrec | 1<<TypeSuback | inDisconnect,
	mqtt.AdministrativeAction:        inDisconnect,
	mqtt.PayloadFormatInvalid:        inConnack | 1<<TypePuback | 1<<TypePubrec | inDisconnect,
	mqtt.RetainNotSupported:          inConnack | inDisconnect,
	mqtt.QoSNotSupported:             inConnack | inDisconnect,
	mqtt.UseAnotherServer:            inConnack | inDisconnect,
	mqtt.ServerMoved:                 inConnack | inDisconnect,
	mqtt.SharedSubsNotSupported:      1<<TypeSuback | inDisconnect,
	mqtt.ConnectionRateExceeded:      inConnack | inDisconnect,
	mqtt.MaximumConnectTime:          inDisconnect,
	mqtt.SubscriptionIDsNotSupported: 1<<TypeSuback | inDisconnect,
	mqtt.WildcardSubsNotSupported:    1<<TypeSuback | inDisconnect,
}

const inRefusable = inConnack | 1<<TypePuback | 1<<TypePubrec | 1<<TypeSuback | 1<<TypeUnsuback | inDisconnect

// reasonFits reports whether a packet of type t may carry the code.
func reasonFits(c mqtt.ReasonCode, t Type) bool {
	return c == mqtt.Success && t != TypePingreq && t != TypePingresp || reasons[c]&(1<<t) != 0
}

func (d *decoder) reason(b byte) mqtt.ReasonCode {
	c := mqtt.ReasonCode(b)
	if d.err == nil && !reasonFits(c, d.what) {
		d.fail(mqtt.ProtocolError, "%s does not belong here", c)
	}
	return c
}

func (e *encoder) reason(c mqtt.ReasonCode) {
	if !reasonFits(c, e.what) {
		e.fail(mqtt.ProtocolError, "%s does not belong here", c)
	}
	e.u8(byte(c))
}
