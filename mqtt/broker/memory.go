package broker

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"fieldgate/mqtt"
)

// memory is the Store of a broker without persistence: nothing survives the
// process, but offline sessions work all the same.
type memory struct {
	mu       sync.Mutex
	sessions map[string]*memorySession
	retained map[string]mqtt.Message
}

type memorySession struct {
	state    mqtt.SessionState
	queue    []mqtt.Queued // by Seq
	bytes    int64
	received map[uint16]bool
}

func newMemory() *memory {
	return &memory{sessions: map[string]*memorySession{}, retained: map[string]mqtt.Message{}}
}

var _ Store = (*memory)(nil)

// Load implements Store.
func (m *memory) Load(context.Context) ([]mqtt.SessionState, []mqtt.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var states []mqtt.SessionState
	for _, s := range m.sessions {
		st := s.state
		st.Received = slices.Sorted(maps.Keys(s.received))
		states = append(states, st)
	}
	return states, slices.Collect(maps.Values(m.retained)), nil
}

// Apply implements Store.
func (m *memory) Apply(_ context.Context, _ bool, changes []mqtt.StoreChange) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range changes {
		m.apply(&changes[i])
	}
	return nil
}

func (m *memory) apply(c *mqtt.StoreChange) {
	switch {
	case c.PutSession != nil:
		s := m.sessions[c.PutSession.ClientID]
		if s == nil {
			s = &memorySession{received: map[uint16]bool{}}
			m.sessions[c.PutSession.ClientID] = s
		}
		s.state = *c.PutSession
		s.received = map[uint16]bool{}
		for _, id := range s.state.Received {
			s.received[id] = true
		}
	case c.DropSession != "":
		delete(m.sessions, c.DropSession)
	case c.Retain != nil:
		if len(c.Retain.Payload) == 0 {
			delete(m.retained, c.Retain.Topic)
		} else {
			m.retained[c.Retain.Topic] = *c.Retain
		}
	case c.Enqueue != nil:
		if s := m.sessions[c.Enqueue.ClientID]; s != nil {
			s.enqueue(c.Enqueue.Queued)
		}
	case c.Update != nil:
		if s := m.sessions[c.Update.ClientID]; s != nil {
			if i, ok := s.find(c.Update.Seq); ok {
				s.queue[i].PacketID, s.queue[i].Released = c.Update.PacketID, c.Update.Released
			}
		}
	case c.Dequeue != nil:
		if s := m.sessions[c.Dequeue.ClientID]; s != nil {
			s.dequeue(c.Dequeue.Seq)
		}
	case c.ReceivedAdd != nil:
		if s := m.sessions[c.ReceivedAdd.ClientID]; s != nil {
			s.received[c.ReceivedAdd.PacketID], s.state.Taken = true, c.ReceivedAdd.Taken
		}
	case c.ReceivedDel != nil:
		if s := m.sessions[c.ReceivedDel.ClientID]; s != nil {
			delete(s.received, c.ReceivedDel.PacketID)
		}
	}
}

// find returns the place of a Seq in the queue.
func (s *memorySession) find(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(s.queue, seq, func(q mqtt.Queued, seq uint64) int { return cmp.Compare(q.Seq, seq) })
}

func (s *memorySession) enqueue(q mqtt.Queued) {
	if i, ok := s.find(q.Seq); !ok {
		s.queue = slices.Insert(s.queue, i, q)
		s.bytes += messageBytes(&q.Message)
	}
}

func (s *memorySession) dequeue(seq uint64) {
	i, ok := s.find(seq)
	if !ok {
		return
	}
	s.bytes -= messageBytes(&s.queue[i].Message)
	if i == 0 { // the usual case: no copying, and the backing array is let go at last
		s.queue[0] = mqtt.Queued{}
		s.queue = s.queue[1:]
	} else {
		s.queue = slices.Delete(s.queue, i, i+1)
	}
	if len(s.queue) == 0 {
		s.queue = nil
	}
}

// Pending implements Store.
func (m *memory) Pending(_ context.Context, clientID string, after uint64, max int) ([]mqtt.Queued, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.sessions[clientID]
	if s == nil {
		return nil, nil
	}
	i, _ := s.find(after + 1)
	end := min(len(s.queue), i+max)
	return slices.Clone(s.queue[i:end]), nil
}

// PendingCount implements Store.
func (m *memory) PendingCount(clientID string) (int, int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.sessions[clientID]; s != nil {
		return len(s.queue), s.bytes
	}
	return 0, 0
}

// messageBytes is what a message counts against the limits of bytes: its
// texts and a flat share for what surrounds them.
func messageBytes(m *mqtt.Message) int64 {
	n := len(m.Topic) + len(m.Payload) + 64
	if p := m.Props; p != nil {
		n += len(p.ContentType) + len(p.ResponseTopic) + len(p.CorrelationData)
		for _, u := range p.User {
			n += len(u.Name) + len(u.Value) + 4
		}
	}
	return int64(n)
}
