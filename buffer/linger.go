package buffer

import "time"

// Where an upstream acknowledges within milliseconds a durable message need
// not be written at all: its publisher is answered by that (guarantee G1, b),
// and the disk is spared a commit of its own. So a commit that somebody waits
// for may linger, as long as lingering pays.
//
// What pays is known by the quickest answers of late. Where they are quick and
// the others are not, there is more to do than the processor or the link can:
// publishers wait for each other anyway, and a commit makes that worse.
const (
	lingerSlice  = 5 * time.Millisecond   // how often it is looked at
	lingerStill  = 15 * time.Millisecond  // without an acknowledgement, it is over
	lingerQuick  = 30 * time.Millisecond  // an upstream that needs longer is not waited for
	lingerMost   = 60 * time.Millisecond  // what a publisher may lose by it
	lingerWhole  = 100 * time.Millisecond // then the writer looks around
	lingerProbe  = time.Second            // how often it is tried again where it did not pay
	lingerForget = 50                     // a second takes so much of 1000 of what is known of the quickest
)

// linger belongs to the writer.
type linger struct{ again time.Time } // when to try next

// hold waits a little before a commit that is wanted now, and reports whether
// the commit is still wanted. It goes on as long as acknowledgements come and
// those who waited at its beginning are answered within lingerMost.
func (w *writer) hold() bool {
	began := time.Now()
	if began.Before(w.linger.again) || !w.b.connected() {
		return true
	}
	timer := time.NewTimer(lingerSlice)
	defer timer.Stop()
	start := w.b.progress()
	since, heard, passed := began, began, start.passed
	for {
		select {
		case <-timer.C:
		case <-w.b.quit:
			return true
		}
		now, at := w.b.progress(), time.Now()
		if now.passed != passed {
			heard, passed = at, now.passed
		}
		switch {
		case now.wanted:
			return true
		case now.oldest == 0:
			return false
		case now.oldest > start.head: // all who waited then have their answer
			start, since = now, at
		case at.Sub(heard) >= lingerStill, at.Sub(since) >= lingerMost:
			if now.elided == start.elided {
				w.linger.again = at.Add(lingerProbe)
			}
			return true
		}
		if at.Sub(began) > lingerWhole {
			poke(w.b.urgent)
			return false
		}
		timer.Reset(lingerSlice)
	}
}

// progress is where the queue stands.
type progress struct {
	passed uint64 // acknowledgements of all upstreams
	elided uint64 // messages that were never written
	head   uint64 // number of the last message that came in
	oldest uint64 // number of the oldest that a publisher waits for; 0: none
	wanted bool   // a commit is due for other reasons
}

func (b *Buffer) progress() progress {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := progress{elided: b.stats.elided, head: b.seq}
	for _, c := range b.cursors {
		if c != nil {
			p.passed += c.passed
		}
	}
	p.oldest, p.wanted = b.oldestWaiterLocked()
	return p
}

// connected reports whether some upstream has messages in hand, and all that
// have are quick, as far as is known.
func (b *Buffer) connected() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	some := false
	for _, c := range b.cursors {
		if c == nil || len(c.out) == 0 {
			continue
		}
		if c.quickest > lingerQuick {
			return false
		}
		some = true
	}
	return some
}

// answeredLocked notes how long the quickest of some messages took from Append
// to its acknowledgement.
func (c *Cursor) answeredLocked(took time.Duration) {
	if c.quickest == 0 || took < c.quickest {
		c.quickest = max(took, 1)
	}
}

// forgetLocked is called each second: what was quick once need not be so now.
func (c *Cursor) forgetLocked() { c.quickest += c.quickest * lingerForget / 1000 }

// oldestWaiterLocked is the number of the oldest message that a publisher
// waits for, 0 where there is none. wanted: a commit is due for other reasons.
func (b *Buffer) oldestWaiterLocked() (seq uint64, wanted bool) {
	if b.ramBytes >= commitBytes*lingerRoom || b.ramCount >= commitCount*lingerRoom || len(b.badSegs) > 0 || b.fault != nil {
		return 0, true
	}
	for _, c := range b.cursors {
		wanted = wanted || c != nil && c.report
	}
	for class := range classes {
		if len(b.ram[class]) > 2*b.ramCount+commitCount {
			b.compactLocked(class)
		}
		for _, r := range b.ram[class] {
			if r.state == recWaiting && r.wait != nil {
				if s := seqOf(r.id); seq == 0 || s < seq {
					seq = s
				}
				break // they stand in order
			}
		}
	}
	return seq, wanted
}

// lingerRoom is how many times a commit's worth may gather meanwhile.
const lingerRoom = 4
