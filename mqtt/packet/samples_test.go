package packet

import (
	"strings"

	"fieldgate/mqtt"
)

var allVersions = []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5}

// sample is a packet with the bytes that the standard gives it, written by
// hand. prefixes are the lengths of a shorter body that is a packet too.
type sample struct {
	name     string
	v        mqtt.Version
	p        Packet
	wire     string
	prefixes []int
}

var users = []mqtt.UserProperty{{Name: "a", Value: "b"}, {Name: "a", Value: ""}}

const usersWire = "\x26\x00\x01a\x00\x01b" + "\x26\x00\x01a\x00\x00" // 7 + 6 bytes

// samples has every packet in its shortest and its fullest form.
var samples = []sample{
	{"connect 3.1", mqtt.V31, &Connect{Version: mqtt.V31, CleanStart: true, KeepAlive: 60, ClientID: "c"},
		"\x10\x0F\x00\x06MQIsdp\x03\x02\x00\x3C\x00\x01c", nil},
	{"connect 3.1.1 bridge", mqtt.V311, &Connect{Version: mqtt.V311, Bridge: true, ClientID: "c"},
		"\x10\x0D\x00\x04MQTT\x84\x00\x00\x00\x00\x01c", nil},
	{"connect 3.1.1 full", mqtt.V311, &Connect{
		Version: mqtt.V311, CleanStart: true, KeepAlive: 0x0102, ClientID: "c",
		Username: "u", HasUsername: true, Password: []byte("p"), HasPassword: true,
		Will: &mqtt.Will{Message: mqtt.Message{Topic: "w", Payload: []byte("x"), QoS: 1, Retain: true}},
	}, "\x10\x19\x00\x04MQTT\x04\xEE\x01\x02\x00\x01c\x00\x01w\x00\x01x\x00\x01u\x00\x01p", nil},
	{"connect 5", mqtt.V5, &Connect{Version: mqtt.V5, ClientID: ""},
		"\x10\x0D\x00\x04MQTT\x05\x00\x00\x00\x00\x00\x00", nil},
	{"connect 5 full", mqtt.V5, &Connect{
		Version: mqtt.V5, KeepAlive: 10, ClientID: "c", Password: []byte("p"), HasPassword: true,
		Will: &mqtt.Will{Delay: 5, Message: mqtt.Message{Topic: "w", Payload: []byte{}, QoS: 2, Props: &mqtt.Properties{ContentType: "t"}}},
		Props: ConnectProps{
			SessionExpiry: 0xFFFFFFFF, ReceiveMaximum: 5, MaxPacket: 0x10000, TopicAliasMax: 7,
			RequestResponseInfo: true, NoProblemInfo: true,
			Auth: &Authentication{Method: "m", Data: []byte("d")}, User: users,
		},
	}, "\x10\x49\x00\x04MQTT\x05\x54\x00\x0A" +
		"\x29\x11\xFF\xFF\xFF\xFF\x21\x00\x05\x27\x00\x01\x00\x00\x22\x00\x07\x19\x01\x17\x00" +
		"\x15\x00\x01m\x16\x00\x01d" + usersWire +
		"\x00\x01c" + "\x09\x18\x00\x00\x00\x05\x03\x00\x01t" + "\x00\x01w\x00\x00" + "\x00\x01p", nil},

	{"connack 3.1", mqtt.V31, &Connack{Reason: mqtt.NotAuthorized}, "\x20\x02\x00\x05", nil},
	{"connack 3.1.1", mqtt.V311, &Connack{SessionPresent: true}, "\x20\x02\x01\x00", nil},
	{"connack 5", mqtt.V5, &Connack{Reason: mqtt.Banned}, "\x20\x03\x00\x8A\x00", nil},
	{"connack 5 full", mqtt.V5, &Connack{SessionPresent: true, Props: ConnackProps{
		SessionExpiry: 0, HasSessionExpiry: true, ReceiveMaximum: 1, MaxQoS: 1, HasMaxQoS: true, NoRetain: true,
		MaxPacket: 100, AssignedClientID: "i", TopicAliasMax: 2, ReasonString: "r", NoWildcards: true,
		NoSubscriptionIDs: true, NoShared: true, ServerKeepAlive: 0, HasKeepAlive: true, ResponseInfo: "x",
		ServerReference: "s", Auth: &Authentication{Method: ""}, User: users,
	}}, "\x20\x40\x01\x00\x3D" + "\x11\x00\x00\x00\x00\x21\x00\x01\x24\x01\x27\x00\x00\x00\x64\x12\x00\x01i\x22\x00\x02\x1F\x00\x01r" +
		"\x25\x00\x28\x00\x29\x00\x2A\x00\x13\x00\x00\x1A\x00\x01x\x1C\x00\x01s\x15\x00\x00" + usersWire, nil},

	{"publish 3.1.1 QoS 0", mqtt.V311, &Publish{Topic: "t", Payload: []byte("hi")}, "\x30\x05\x00\x01thi", []int{3, 4}},
	{"publish 3.1.1 QoS 2", mqtt.V311, &Publish{Topic: "t", Payload: []byte{}, QoS: 2, Dup: true, Retain: true, PacketID: 0x0A0B},
		"\x3D\x05\x00\x01t\x0A\x0B", nil},
	{"publish 5", mqtt.V5, &Publish{Topic: "é", Payload: []byte{0}}, "\x30\x06\x00\x02é\x00\x00", []int{5}},
	{"publish 5 alias only", mqtt.V5, &Publish{TopicAlias: 9, Payload: []byte{}}, "\x30\x06\x00\x00\x03\x23\x00\x09", nil},
	{"publish 5 full", mqtt.V5, &Publish{Topic: "t", Payload: []byte("p"), QoS: 1, PacketID: 1, TopicAlias: 3, Props: &mqtt.Properties{
		PayloadFormat: 1, MessageExpiry: 0, HasExpiry: true, ContentType: "c", ResponseTopic: "r", CorrelationData: []byte{},
		SubscriptionIDs: []uint32{1, 0x0FFFFFFF}, User: users,
	}}, "\x32\x30\x00\x01t\x00\x01\x29" + "\x23\x00\x03\x01\x01\x02\x00\x00\x00\x00\x03\x00\x01c\x08\x00\x01r\x09\x00\x00" +
		"\x0B\x01\x0B\xFF\xFF\xFF\x7F" + usersWire + "p", []int{47}},

	{"puback 3.1.1", mqtt.V311, &Puback{PacketID: 1}, "\x40\x02\x00\x01", nil},
	{"puback 5", mqtt.V5, &Puback{PacketID: 1}, "\x40\x02\x00\x01", nil},
	{"puback 5 reason", mqtt.V5, &Puback{PacketID: 1, Reason: mqtt.QuotaExceeded}, "\x40\x03\x00\x01\x97", []int{2}},
	{"puback 5 full", mqtt.V5, &Puback{PacketID: 1, Reason: mqtt.NoMatchingSubscribers, ReasonString: "r", User: users},
		"\x40\x15\x00\x01\x10\x11\x1F\x00\x01r" + usersWire, []int{2, 3}},
	{"pubrec 3.1.1", mqtt.V311, &Pubrec{PacketID: 0xFFFF}, "\x50\x02\xFF\xFF", nil},
	{"pubrec 5 full", mqtt.V5, &Pubrec{PacketID: 1, Reason: mqtt.PacketIDInUse, ReasonString: "r"},
		"\x50\x08\x00\x01\x91\x04\x1F\x00\x01r", []int{2, 3}},
	{"pubrel 3.1", mqtt.V31, &Pubrel{PacketID: 1}, "\x62\x02\x00\x01", nil},
	{"pubrel 5", mqtt.V5, &Pubrel{PacketID: 1, Reason: mqtt.PacketIDNotFound}, "\x62\x03\x00\x01\x92", []int{2}},
	{"pubcomp 3.1.1", mqtt.V311, &Pubcomp{PacketID: 1}, "\x70\x02\x00\x01", nil},
	{"pubcomp 5 full", mqtt.V5, &Pubcomp{PacketID: 1, User: users}, "\x70\x11\x00\x01\x00\x0D" + usersWire, []int{2, 3}},

	{"subscribe 3.1.1", mqtt.V311, &Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: "a/#", QoS: 2}, {Filter: "+", QoS: 0}}},
		"\x82\x0C\x00\x01\x00\x03a/#\x02\x00\x01+\x00", []int{8}},
	{"subscribe 5 full", mqtt.V5, &Subscribe{PacketID: 1, ID: 200, User: users, Subscriptions: []mqtt.Subscription{
		{Filter: "a", QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: 2, ID: 200}}},
		"\x82\x17\x00\x01\x10\x0B\xC8\x01" + usersWire + "\x00\x01a\x2D", nil},
	{"suback 3.1.1", mqtt.V311, &Suback{PacketID: 1, Reasons: []mqtt.ReasonCode{0, 1, 2, 0x80}}, "\x90\x06\x00\x01\x00\x01\x02\x80", []int{3, 4, 5}},
	{"suback 5 full", mqtt.V5, &Suback{PacketID: 1, Reasons: []mqtt.ReasonCode{mqtt.NotAuthorized, mqtt.SharedSubsNotSupported}, ReasonString: "r", User: users},
		"\x90\x16\x00\x01\x11\x1F\x00\x01r" + usersWire + "\x87\x9E", []int{21}},
	{"unsubscribe 3.1.1", mqtt.V311, &Unsubscribe{PacketID: 1, Filters: []string{"a", "b"}}, "\xA2\x08\x00\x01\x00\x01a\x00\x01b", []int{5}},
	{"unsubscribe 5", mqtt.V5, &Unsubscribe{PacketID: 1, Filters: []string{"a"}, User: users}, "\xA2\x13\x00\x01\x0D" + usersWire + "\x00\x01a", nil},
	{"unsuback 3.1.1", mqtt.V311, &Unsuback{PacketID: 1}, "\xB0\x02\x00\x01", nil},
	{"unsuback 5", mqtt.V5, &Unsuback{PacketID: 1, Reasons: []mqtt.ReasonCode{0, mqtt.NoSubscriptionExisted}, ReasonString: "r"},
		"\xB0\x09\x00\x01\x04\x1F\x00\x01r\x00\x11", []int{8}},

	{"pingreq", mqtt.V311, &Pingreq{}, "\xC0\x00", nil},
	{"pingresp", mqtt.V5, &Pingresp{}, "\xD0\x00", nil},
	{"disconnect 3.1.1", mqtt.V311, &Disconnect{}, "\xE0\x00", nil},
	{"disconnect 5", mqtt.V5, &Disconnect{}, "\xE0\x00", nil},
	{"disconnect 5 reason", mqtt.V5, &Disconnect{Reason: mqtt.SessionTakenOver}, "\xE0\x01\x8E", []int{0}},
	{"disconnect 5 full", mqtt.V5, &Disconnect{Reason: mqtt.ServerMoved, SessionExpiry: 0, HasSessionExpiry: true, ReasonString: "r", ServerReference: "s", User: users},
		"\xE0\x1C\x9D\x1A\x11\x00\x00\x00\x00\x1F\x00\x01r\x1C\x00\x01s" + usersWire, []int{0, 1}},
	{"auth", mqtt.V5, &Auth{}, "\xF0\x00", nil},
	{"auth full", mqtt.V5, &Auth{Reason: mqtt.ContinueAuthentication, Auth: &Authentication{Method: "m", Data: []byte{1}}, ReasonString: "r", User: users},
		"\xF0\x1B\x18\x19\x15\x00\x01m\x16\x00\x01\x01\x1F\x00\x01r" + usersWire, []int{0}},
}

// body is the body of a sample, whose length byte is always one.
func (s sample) body() []byte { return []byte(s.wire[2:]) }

func long(n int) string { return strings.Repeat("x", n) }
