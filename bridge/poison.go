package bridge

import (
	"errors"
	"slices"
	"sync"
	"time"

	"fieldgate/mqtt"
)

// poison counts, over reconnects, how often each message was refused.
type poison struct {
	mu    sync.Mutex
	count map[uint64]int
}

// poisonMax bounds the table; beyond it counts are forgotten, which costs
// retries and no message.
const poisonMax = 4096

// strike counts a refusal and returns how many there were.
func (p *poison) strike(id uint64) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count == nil || len(p.count) >= poisonMax {
		p.count = make(map[uint64]int)
	}
	p.count[id]++
	return p.count[id]
}

func (p *poison) forget(ids []uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.count) == 0 {
		return
	}
	for _, id := range ids {
		delete(p.count, id)
	}
}

// suspect finds the message that makes an upstream close the connection, as
// brokers of MQTT 3.1.1 do with what they do not take: after a connection that
// ended so, without one acknowledgement, the next sends one message at a time;
// the one in flight when that ends too gets a strike, and the fifth puts it
// aside. It belongs to the goroutine of Bridge.Run.
type suspect struct {
	b       *Bridge
	careful bool
}

// clear is called with every answer of the upstream.
func (u *suspect) clear() { u.careful = false }

// left looks at what was in flight when a connection ended.
func (u *suspect) left(s *sender) {
	if s.acks > 0 || s.flight.n == 0 || !s.closedByPeer() {
		return
	}
	if !u.careful || s.flight.n > 1 {
		u.careful = true
		return
	}
	for p := range s.flight.all() {
		if u.b.poison.strike(p.entries[0].ID) >= retries {
			s.flight.remove(p)
			s.aside(p, "the upstream closes the connection each time it gets this message")
			u.careful = false
		}
	}
}

// aboutItself are the reasons by which an upstream says that it closes for its
// own sake, or for the connection's: no message is to blame.
var aboutItself = []mqtt.ReasonCode{
	mqtt.ServerUnavailable, mqtt.ServerBusy, mqtt.ServerShuttingDown, mqtt.KeepAliveTimeout, mqtt.SessionTakenOver,
	mqtt.AdministrativeAction, mqtt.UseAnotherServer, mqtt.ServerMoved, mqtt.ConnectionRateExceeded, mqtt.MaximumConnectTime,
}

// closedByPeer reports that the connection has ended by itself, soon after
// the last message, and maybe because of it.
func (s *sender) closedByPeer() bool {
	select {
	case <-s.conn.Done():
	default:
		return false
	}
	if code, ok := errors.AsType[mqtt.ReasonCode](s.conn.Err()); ok && slices.Contains(aboutItself, code) {
		return false
	}
	for p := range s.flight.all() {
		if time.Since(p.sent) > closedFresh {
			return false
		}
	}
	return true
}
