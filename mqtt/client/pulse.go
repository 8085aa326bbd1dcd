package client

import (
	"errors"
	"time"
)

// Pulse decides how long a connection may be silent, and learns from what
// becomes of it. Its methods are called from the connection's own goroutines,
// one at a time per connection, and must not block.
type Pulse interface {
	// Interval is the silence after which a ping is sent. What the broker
	// allows (Config.KeepAlive, or its Server Keep Alive) is never exceeded.
	Interval() time.Duration
	// Survived says that the peer was heard after we broke a silence.
	Survived(silence time.Duration)
	// Died says that nothing was heard after we broke a silence, until the
	// connection failed.
	Died(silence time.Duration)
}

// silenceLeast is the shortest silence that says something about the link:
// every path keeps a connection for so long.
const silenceLeast = 10 * time.Second

// probe watches what becomes of the first bytes sent after a silence.
type probe struct {
	pulse   Pulse // nil: nobody wants to know
	silence time.Duration
	at      time.Time // when it was broken; zero: no probe is under way
}

// broke notes that something was sent after a silence.
func (p *probe) broke(silence time.Duration, now time.Time) {
	if p.pulse != nil && p.at.IsZero() && silence >= silenceLeast {
		p.silence, p.at = silence, now
	}
}

// heard notes when the peer was last heard.
func (p *probe) heard(at time.Time) {
	if !p.at.IsZero() && !at.Before(p.at) {
		p.pulse.Survived(p.silence)
		p.at = time.Time{}
	}
}

// ended judges a connection that failed.
func (p *probe) ended() {
	if !p.at.IsZero() {
		p.pulse.Died(p.silence)
		p.at = time.Time{}
	}
}

// judge tells the pulse how the connection ended. One that we closed says
// nothing about the link.
func (c *Conn) judge(k *keepAlive) {
	k.heard(c.began.Add(time.Duration(c.lastRead.Load())))
	if err := c.Err(); !errors.Is(err, ErrClosed) {
		k.probe.ended()
	}
}
