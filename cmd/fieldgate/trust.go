package main

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"fieldgate/buffer/clock"
)

// trustKey is where the latest time known to be past is kept over restarts.
const trustKey = "trusted-time"

// trustEvery is how often it is kept; it rides in commits that happen anyway.
const trustEvery = 10 * time.Minute

// trusted is the latest time known to be past: certificates are never checked
// against an earlier one, for a board without a clock battery starts in 1970.
type trusted struct{ unix atomic.Int64 }

// Floor is that time; zero where none is known.
func (t *trusted) Floor() time.Time {
	if s := t.unix.Load(); s > 0 {
		return time.Unix(s, 0)
	}
	return time.Time{}
}

// loadTrust reads what an earlier run kept. That it cannot is no reason not to
// start.
func (g *gateway) loadTrust() error {
	value, ok, err := g.buffer.Get(trustKey)
	if err != nil {
		g.log.Warn("cannot read the trusted time", "error", err)
	}
	if ok && len(value) == 8 {
		g.trust.unix.Store(int64(binary.BigEndian.Uint64(value)))
	}
	return nil
}

// keepTrust keeps the present time, while the kernel says that it is right.
func (g *gateway) keepTrust() {
	if ok, _ := clock.Synced(); !ok {
		return
	}
	now := time.Now().Unix()
	// A time kept in the future was a mistake of the clock: it goes again, or it
	// would make every certificate look expired.
	if since := now - g.trust.unix.Load(); since >= 0 && since < int64(trustEvery.Seconds()) {
		return
	}
	g.trust.unix.Store(now)
	if err := g.buffer.Put(trustKey, binary.BigEndian.AppendUint64(nil, uint64(now))); err != nil {
		g.log.Warn("cannot keep the trusted time", "error", err)
	}
}
