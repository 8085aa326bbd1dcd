package client

import (
	"errors"
	"sync"

	"fieldgate/mqtt"
	"fieldgate/mqtt/session"
)

// Session is what outlives a connection: the exchanges of QoS 1 and 2 that are
// not finished, in both directions. Pass the same one to each Dial to the same
// broker with the same client id; one Conn at a time uses it.
//
// While it lasts, a message that was handed to PublishAsync gets its done only
// when the broker has answered, on whatever connection, or when the broker
// says that it has lost the session, or on Drop.
type Session struct {
	private bool // made for one connection

	// mu guards what follows and also the outgoing side of conn.
	mu       sync.Mutex
	id       string // client id that the broker assigned
	ids      session.IDs
	window   *session.Window[outgoing]
	receiver *session.Receiver
	conn     *Conn // the connection that uses the session; nil: none
}

// outgoing is a message of QoS 1 or 2 on its way.
type outgoing struct {
	message *mqtt.Message // to send it again; nil in a private session
	receipt Receipt
}

// ErrSessionLost is what a message ends with when the session did before the
// broker's answer came. The broker may have the message or not.
var ErrSessionLost = errors.New("the session ended before the broker acknowledged")

// NewSession returns an empty session.
func NewSession() *Session {
	s := &Session{receiver: session.NewReceiver()}
	s.window = session.NewWindow[outgoing](&s.ids)
	return s
}

// Unfinished is the number of messages that wait for the broker's answer.
func (s *Session) Unfinished() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.window.Len()
}

// Drop gives up what is unfinished: each message's done gets ErrSessionLost,
// in this goroutine. It is for the end, after the last connection.
func (s *Session) Drop() {
	s.mu.Lock()
	lost := s.clearLocked()
	s.mu.Unlock()
	finish(lost, ErrSessionLost)
}

// clearLocked empties the session and returns the messages that were on their
// way. One of QoS 2 whose PUBREC has come is the broker's already, but whether
// the broker passed it on is not known.
func (s *Session) clearLocked() []outgoing {
	s.receiver.Clear()
	var lost []outgoing
	for _, x := range s.window.Clear() {
		lost = append(lost, x.Value)
	}
	return lost
}

func finish(list []outgoing, err error) {
	for _, o := range list {
		o.receipt.Done(err)
	}
}

func (s *Session) assignedID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

var errSessionBusy = errors.New("the session is used by another connection; close that one first and wait for Done")

// attach makes the session that of a new connection. present is what the
// broker says: where it has no session, ours ends too [MQTT-3.2.2-4] and the
// messages that were on their way are returned.
func (s *Session) attach(c *Conn, present bool) (lost []outgoing, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		return nil, errSessionBusy
	}
	s.conn = c
	if c.limits.AssignedClientID != "" {
		s.id = c.limits.AssignedClientID
	}
	if !present {
		lost = s.clearLocked()
	}
	s.window.Begin(int(min(c.limits.ReceiveMaximum, c.cfg.MaxInflight)))
	s.receiver.Begin(maxOpen)
	return lost, nil
}

// detach is the end of a connection. Unfinished messages are returned where
// they cannot go on.
func (s *Session) detach(c *Conn) (lost []outgoing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = nil
	if s.private || !c.limits.SessionKept {
		lost = s.clearLocked()
	}
	return lost
}

// busy reports whether a connection uses the session.
func (s *Session) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn != nil
}
