package buffer

import (
	"time"
)

// counters are guarded by Buffer.mu.
type counters struct {
	appended uint64
	elided   uint64
	dropped  uint64
	commits  uint64
	messages uint64 // committed
	bytes    uint64 // of segments committed
	slowest  time.Duration
	spent    time.Duration
	damaged  uint64 // segments set aside
	salvaged uint64 // messages
	moved    []string
	degraded string
}

// Stats is the state of the whole queue at a moment.
type Stats struct {
	Appended     uint64        // messages taken since the start
	Elided       uint64        // of these, acknowledged before they had to be written
	Dropped      uint64        // given up since the start, summed over upstreams
	Commits      uint64        // transactions synced
	Committed    uint64        // messages written
	SegmentBytes uint64        // bytes of segments written, after compression
	CommitTime   time.Duration // spent in commits
	SlowestSync  time.Duration // the longest commit
	MemoryBytes  int64         // waiting in memory for their commit
	FileBytes    int64         // queue.db
	FreeBytes    int64         // left on the disk
	Epoch        uint32        // number of this start
	Damaged      uint64        // segments set aside since the start
	Salvaged     uint64        // messages found again in damaged files
	MovedAside   []string      // damaged files, by name
	LowDisk      bool          // less than min_free is left: the queue does not grow
	Held         bool          // publishers wait for room, and are not acknowledged
	Degraded     string        // why the disk is not used at the moment, or empty
	ClockSynced  bool
	Upstreams    []CursorStats
}

// CursorStats is the state of one upstream's part of the queue.
type CursorStats struct {
	Name       string
	Bit        uint64
	Retired    bool // not in the configuration any more
	Messages   int64
	Bytes      int64 // stored bytes, compressed
	LimitBytes int64
	ByPriority map[string]int64  // messages
	InFlight   int               // handed out, not acknowledged
	Acked      uint64            // since the start
	Offered    uint64            // messages appended for it since the start
	Dropped    map[string]uint64 // for ever, by reason
	OldestAge  time.Duration     // of the oldest stored message; 0: nothing stored
	AgeCertain bool              // OldestAge rests on a clock that is right
	FullIn     time.Duration     // at the present rate; 0: not filling
}

// Stats reads the counters; it touches no disk.
func (b *Buffer) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Stats{
		Appended: b.stats.appended, Elided: b.stats.elided, Dropped: b.stats.dropped, Commits: b.stats.commits,
		Committed: b.stats.messages, SegmentBytes: b.stats.bytes, CommitTime: b.stats.spent, SlowestSync: b.stats.slowest,
		MemoryBytes: int64(b.ramBytes), FileBytes: b.w.fileBytes.Load(), FreeBytes: b.w.diskFree.Load(), Epoch: b.epoch,
		Damaged: b.stats.damaged, Salvaged: b.stats.salvaged, MovedAside: append([]string(nil), b.stats.moved...),
		LowDisk: b.lowDisk, Held: b.held > 0, Degraded: b.stats.degraded, ClockSynced: b.boots.trusted(),
	}
	for _, c := range b.cursors {
		if c != nil {
			s.Upstreams = append(s.Upstreams, c.statsLocked())
		}
	}
	return s
}

// Stats is the state of this upstream's part.
func (c *Cursor) Stats() CursorStats {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	return c.statsLocked()
}

func (c *Cursor) statsLocked() CursorStats {
	s := CursorStats{
		Name: c.name, Bit: c.Bit(), Retired: c.retired, LimitBytes: c.roomLocked(), InFlight: len(c.out),
		Acked: c.passed, Offered: c.offered, ByPriority: map[string]int64{}, Dropped: map[string]uint64{},
	}
	for class := range classes {
		s.Messages += c.waiting[class]
		s.Bytes += c.bytes[class]
		s.ByPriority[classPriority(class).String()] = c.waiting[class]
	}
	for why, n := range c.drops {
		s.Dropped[reasonNames[why]] = n
	}
	if c.oldest.known {
		s.OldestAge, s.AgeCertain = c.b.boots.age(c.oldest.stamp)
		s.OldestAge = max(s.OldestAge, 0)
	}
	s.FullIn = c.trend.fullIn(s.Bytes, c.limitLocked())
	return s
}

// trend is the rate at which stored bytes grow, a mean over about two minutes.
type trend struct {
	last  int64
	known bool
	rate  float64 // bytes per second
}

func (t *trend) note(bytes int64, dt time.Duration) {
	if t.known && dt > 0 {
		rate := float64(bytes-t.last) / dt.Seconds()
		k := min(dt.Seconds()/120, 1)
		t.rate += (rate - t.rate) * k
	}
	t.last, t.known = bytes, true
}

// fullIn is zero where the queue does not grow, or not within ten years.
func (t *trend) fullIn(bytes, limit int64) time.Duration {
	if t.rate < 1 || bytes >= limit {
		return 0
	}
	seconds := float64(limit-bytes) / t.rate
	if seconds > 10*365*86400 {
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}
