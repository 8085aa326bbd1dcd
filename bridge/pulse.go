package bridge

import (
	"encoding/json"
	"log/slog"
	"sync"
	"time"
)

// What the pulse learns by.
const (
	announceFactor = 4  // at the login we announce so many times what was learnt, see pulse.announce
	provenPings    = 3  // silences of the present length that must survive before a longer one is tried
	forgetPings    = 64 // so many after a limit was found, it is forgotten: the network may be another one now
)

// pulse finds the longest silence that the way to an upstream survives: a NAT
// or firewall there forgets a connection that says nothing for some minutes,
// and each ping costs 204 bytes of a metered link. It begins with least, grows
// by half while pings are answered, and comes back when a ping after a silence
// is not; between what survived and what did not it halves the distance.
//
// It outlives the connections, and with Settings the process.
type pulse struct {
	least, most time.Duration
	key         string
	memory      Settings // may be nil
	log         *slog.Logger

	mu sync.Mutex
	learnt
	good int // silences of the present length that survived in a row
}

// learnt is what is kept.
type learnt struct {
	Interval time.Duration `json:"interval"` // the present length of a silence
	Proven   time.Duration `json:"proven"`   // the longest that survived; 0: none yet
	Limit    time.Duration `json:"limit"`    // the shortest that did not; 0: none known
}

// newPulse reads what an earlier run has learnt for this upstream.
func newPulse(name string, least, most time.Duration, memory Settings, log *slog.Logger) *pulse {
	p := &pulse{least: least, most: most, key: "keepalive/" + name, memory: memory, log: log, learnt: learnt{Interval: least}}
	if memory == nil {
		return p
	}
	value, ok, err := memory.Get(p.key)
	if err != nil {
		log.Warn("cannot read the learnt keep-alive", "error", err)
		return p
	}
	var l learnt
	if ok && json.Unmarshal(value, &l) == nil && l.Interval > 0 && l.Proven >= 0 && l.Limit >= 0 {
		l.Interval = min(max(l.Interval, least), most)
		p.learnt = l
	}
	return p
}

// Interval implements client.Pulse.
func (p *pulse) Interval() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.learnt.Interval
}

// announce is the Keep Alive for CONNECT. MQTT lets us not be silent for longer
// than it [MQTT-3.1.2-20], so growth needs room; but the upstream waits one and
// a half times as long before it publishes our will.
func (p *pulse) announce() time.Duration {
	return min(p.most, announceFactor*p.Interval())
}

// Survived implements client.Pulse.
func (p *pulse) Survived(silence time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.learnt
	p.Proven = max(p.Proven, silence)
	if silence < p.learnt.Interval*9/10 {
		p.keepLocked(old)
		return
	}
	p.good++
	if p.Limit > 0 && p.good >= forgetPings {
		p.Limit, p.good = 0, 0
	}
	if p.good >= provenPings {
		if next := p.nextLocked(); next > p.learnt.Interval {
			p.learnt.Interval, p.good = next, 0
		}
	}
	p.keepLocked(old)
}

// nextLocked is a longer silence to try, or the present one.
func (p *pulse) nextLocked() time.Duration {
	next := p.learnt.Interval * 3 / 2
	if p.Limit > 0 {
		next = min(next, (p.learnt.Interval+p.Limit)/2)
		if p.Limit-p.learnt.Interval < max(p.Limit/8, time.Second) {
			next = p.learnt.Interval // near enough
		}
	}
	return min(next, p.most)
}

// Died implements client.Pulse. A silence below least says nothing that could
// be helped.
func (p *pulse) Died(silence time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if silence < p.least {
		return
	}
	old := p.learnt
	p.Limit, p.good = silence, 0
	p.Proven = min(p.Proven, silence*3/4) // what held once did not hold now
	p.learnt.Interval = min(p.most, max(p.least, min(p.Proven, silence*2/3)))
	p.keepLocked(old)
	p.log.Info("the link was lost after a silence", "silence", silence.Round(time.Second), "keepalive", p.learnt.Interval)
}

// keepLocked stores what has changed; it leaves with the next commit.
func (p *pulse) keepLocked(old learnt) {
	if p.learnt == old || p.memory == nil {
		return
	}
	value, err := json.Marshal(p.learnt)
	if err == nil {
		err = p.memory.Put(p.key, value)
	}
	if err != nil {
		p.log.Debug("keep the learnt keep-alive", "error", err)
	}
}
