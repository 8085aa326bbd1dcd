package bridge

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fieldgate/buffer"
)

// The states of a bridge:
//
//	          ┌────────────── connection lost ─────────────┐
//	          v                                            │
//	waiting ──pause over, Kick──> connecting ──CONNACK──> online
//	   ^                              │
//	   └──────────── failed ──────────┘            stopped: Run has returned
const (
	StateDisabled   = "disabled"
	StateStopped    = "stopped"
	StateConnecting = "connecting"
	StateOnline     = "online"
	StateWaiting    = "waiting"
)

// Stats is the state of a bridge at a moment. Counters count since the start.
type Stats struct {
	Name     string
	State    string
	Reason   string    // why it is not online, for people; empty while online
	Hint     string    // what to do about it; may be empty
	Since    time.Time // of the state
	NextTry  time.Time // zero unless waiting
	URL      string    // where it is, or was tried last
	Version  int       // MQTT 5 or 4 (3.1.1) while online
	Attempts uint64    // since it was last online
	Connects uint64

	Sent        uint64 // messages published
	Acked       uint64 // messages that are done: acknowledged, or written for QoS 0
	Bytes       uint64 // topics and payloads of Sent
	Refused     uint64 // refusals by the upstream, repeats included
	Quarantined uint64 // messages put aside
	Expired     uint64 // messages whose expiry had passed
	Unrouted    uint64 // queued messages that no route takes any more
	WhereErrors uint64 // conditions that failed on a message
	Commands    uint64 // carried out
	Rejected    uint64 // commands refused
	Loops       uint64 // messages that had come round
	Echoes      uint64 // messages that came back down

	Window   int // messages that may be unacknowledged
	InFlight int
	AckP50   time.Duration // of the last 512 acknowledgements
	AckP99   time.Duration
	Backlog  buffer.CursorStats
	Budget   BudgetStats
	Thinned  uint64 // values given up to stay within the month's budget
	Carried  uint64 // bytes on the wire, both ways, since the start
}

// counters count; they are read by Stats at any time.
type counters struct {
	connects, sent, acked, bytes, refused, quarantined, expired, unrouted, whereErrors atomic.Uint64
	commands, rejected, loops, thinned                                                 atomic.Uint64
	window, inflight                                                                   atomic.Int64
}

// latencies keeps the last acknowledgement times.
type latencies struct {
	mu   sync.Mutex
	ring [512]time.Duration
	n    int
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ring[l.n%len(l.ring)] = d
	l.n++
}

// quantiles are the median and the 99th percentile; zero before the first.
func (l *latencies) quantiles() (p50, p99 time.Duration) {
	l.mu.Lock()
	all := slices.Clone(l.ring[:min(l.n, len(l.ring))])
	l.mu.Unlock()
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100]
}

// Stats reads the state and the counters. It touches no disk.
func (b *Bridge) Stats() Stats {
	b.mu.Lock()
	s := b.state
	b.mu.Unlock()
	c := &b.count
	s.Connects, s.Sent, s.Acked, s.Bytes = c.connects.Load(), c.sent.Load(), c.acked.Load(), c.bytes.Load()
	s.Refused, s.Quarantined, s.Expired, s.Unrouted = c.refused.Load(), c.quarantined.Load(), c.expired.Load(), c.unrouted.Load()
	s.WhereErrors, s.Commands, s.Rejected, s.Loops = c.whereErrors.Load(), c.commands.Load(), c.rejected.Load(), c.loops.Load()
	s.Window, s.InFlight = int(c.window.Load()), int(c.inflight.Load())
	s.Echoes = b.echoes.total()
	s.AckP50, s.AckP99 = b.latency.quantiles()
	s.Backlog = b.queue.Stats()
	s.Budget, s.Thinned, s.Carried = b.budget.stats(), c.thinned.Load(), b.meter.total()
	return s
}
