package mqtt

import "fieldgate/buffer/clock"

// Subscription is one filter of a session with its options (MQTT 5.0 §3.8.3.1).
type Subscription struct {
	Filter            string // as sent, "$share/…" included
	QoS               QoS
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte
	ID                uint32 // subscription identifier, 0: none
}

// Will is the message a broker publishes when its client goes without a word.
type Will struct {
	Message Message
	Delay   uint32 // seconds
}

// SessionState is what a broker keeps of a client between connections, except
// the messages that wait for it (see Queued).
type SessionState struct {
	ClientID      string
	User          string
	Version       Version
	Expiry        uint32         // seconds after the disconnect; 0xFFFFFFFF: never
	Disconnected  clock.Stamp    // zero while connected
	Will          *Will          // a will that still waits for its delay
	Subscriptions []Subscription // in the order they were made
	Received      []uint16       // ids of QoS 2 publishes whose PUBREL is due
	Exchanges     uint64         // names the session in Exchange; 0: not yet
	Taken         uint64         // the number of the last Exchange that was taken in
}

// Queued is a message that a session must still get.
type Queued struct {
	Seq      uint64 // rises within the session, never reused
	Message  Message
	PacketID uint16 // 0: not sent yet
	Released bool   // QoS 2: PUBREC came, PUBREL is due
}

// StoreChange is one change to the durable state of a broker. Exactly one of
// the fields is set (a struct of pointers keeps the store free of type
// switches over an open set).
type StoreChange struct {
	PutSession  *SessionState // with all its subscriptions; replaces what was there
	DropSession string        // client id: session, subscriptions and queue go
	Retain      *Message      // an empty payload removes the topic
	Enqueue     *SessionEntry
	Update      *SessionEntry // packet id or Released changed; Message is not looked at
	Dequeue     *SessionSeq
	ReceivedAdd *SessionPacketID // QoS 2 publish taken in, PUBREL due
	ReceivedDel *SessionPacketID
}

// SessionEntry is a queued message of a session.
type SessionEntry struct {
	ClientID string
	Queued
}

// SessionSeq names a queued message of a session.
type SessionSeq struct {
	ClientID string
	Seq      uint64
}

// SessionPacketID names a packet id of a session.
type SessionPacketID struct {
	ClientID string
	PacketID uint16
	Taken    uint64 // ReceivedAdd: the publish's number in SessionState.Taken
}
