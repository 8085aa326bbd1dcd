package mqtt

import "fieldgate/buffer/clock"

// Version is the protocol level of a connection.
type Version byte

// The protocol levels of the CONNECT packet.
const (
	V31  Version = 3 // MQTT 3.1, "MQIsdp"
	V311 Version = 4 // MQTT 3.1.1
	V5   Version = 5 // MQTT 5.0
)

// QoS is the delivery promise: 0 at most once, 1 at least once, 2 exactly once.
type QoS byte

// Message is what an application sent: a topic, a payload and how to deliver
// it. Payload and everything behind pointers are shared by all receivers and
// must not be changed once the message is published.
type Message struct {
	Topic   string
	Payload []byte
	QoS     QoS
	Retain  bool
	Props   *Properties // nil: none

	// What follows never travels on the wire of another broker.

	Kind   Kind        // what sort of message it is
	Origin string      // client id, or "device:NAME", "upstream:NAME", "gateway" for our own parts
	Stamp  clock.Stamp // when it was published here
	Sample *Sample     // the value behind a message of KindSample, else nil
	From   *Publisher  // of a retained message: the client behind Origin; nil: one of our own parts

	Exchange *Exchange // of a QoS 2 publish that its client may send again after a crash of ours, else nil
}

// Publisher is the client that published a retained message. The broker asks
// before each delivery whether it still may: a right can be taken away later.
type Publisher struct {
	User  string // empty: anonymous
	Local bool   // it came over loopback or a Unix socket
	Cert  bool   // the name is a certificate's, and in no password file
}

// Exchange numbers the QoS 2 publishes of a session. A publish that the client
// sends again because a crash made the broker forget it gets its number again,
// so that who has stored it knows it.
type Exchange struct {
	Session uint64 // names the session, for ever
	Number  uint64 // of the publish in it, in the order they came
	Again   bool   // the client says that it may have sent it before (DUP)
}

// Kind sorts messages for routes (`types = […]`).
type Kind uint8

// The kinds, with the names that the file uses.
const (
	KindMessage       Kind = iota // "message": a client's own publish
	KindSample                    // "sample": a tag's value
	KindStatus                    // "status": online, offline, info, health
	KindEvent                     // "event"
	KindCommandResult             // "command-result"
)

var kindNames = [...]string{"message", "sample", "status", "event", "command-result"}

// String is the name used in the file.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "message"
}

// ParseKind finds a kind by its name.
func ParseKind(name string) (Kind, bool) {
	for i, n := range kindNames {
		if n == name {
			return Kind(i), true
		}
	}
	return 0, false
}

// Properties are the MQTT 5 properties that belong to an application message
// (MQTT 5.0 §3.3.2.3). Those of one hop, as topic aliases, are not here.
type Properties struct {
	PayloadFormat   byte   // 1: the payload is UTF-8
	MessageExpiry   uint32 // seconds; valid only with HasExpiry
	HasExpiry       bool
	ContentType     string
	ResponseTopic   string
	CorrelationData []byte
	User            []UserProperty
	SubscriptionIDs []uint32 // only on the way from a broker to a subscriber
}

// UserProperty is a name and a value; names may repeat and order matters.
type UserProperty struct{ Name, Value string }

// Sample is a tag's value at a time, independent of the payload format.
type Sample struct {
	Device, Tag string
	Unit        string
	Value       string // the value as a JSON text: 71.4, true, "running", null
	Quality     string // "good", "uncertain", "bad"
	Reason      string // why it is not good: "timeout", "exception:2", …; else empty
	Time        clock.Stamp
	Last        string      // the last good value as JSON text, where the value is bad
	LastTime    clock.Stamp // and its time

	// Group is what a payload of several values was made of; Tag and Value are
	// empty then. Only the bridges' hub looks at it, and it is not stored.
	Group []*Sample
}
