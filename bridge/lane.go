package bridge

import (
	"slices"
	"time"

	"fieldgate/buffer"
	"fieldgate/mqtt/encode"
)

// Bounds of what a bridge holds in memory beside what is in flight.
const (
	MaxBatchSamples = 10_000
	MaxBatchBytes   = 512 << 10
	heldEntries     = 4096    // entries in unfinished batches of a lane
	heldBytes       = 2 << 20 // and their bytes
	openBatches     = 256     // unfinished batches of a lane
	readAhead       = 64      // messages ready to be sent, per lane, at least
	readBytes       = 256 << 10
)

// parcel is one publish: an entry, or the entries of a batch. Its payload is
// made when it is sent, so that times are as right as can be.
type parcel struct {
	lane     *lane
	route    *route
	topic    string
	entries  []buffer.Entry
	attempts int       // refusals so far
	due      time.Time // not before, after a refusal
	sent     time.Time

	by         *sender // who sends it; in flight
	flying     bool    // in flight
	prev, next *parcel // in flight, in the order they were sent

	one [1]buffer.Entry // entries, where there is one
}

// Done is the upstream's answer; it runs in the connection's reading goroutine.
func (p *parcel) Done(err error) { p.by.done(p, err) }

func (p *parcel) ids() []uint64 {
	ids := make([]uint64, len(p.entries))
	for i := range p.entries {
		ids[i] = p.entries[i].ID
	}
	return ids
}

// split divides a batch that is too large or partly refused.
func (p *parcel) split() (a, b *parcel) {
	n := len(p.entries) / 2
	first, second := *p, *p
	first.entries, second.entries = p.entries[:n:n], p.entries[n:]
	first.attempts, second.attempts = 0, 0
	return &first, &second
}

// batchKey says what goes into one batch. A new epoch begins a new one.
type batchKey struct {
	route *route
	topic string
	epoch uint32
}

// batch is a parcel that still grows.
type batch struct {
	key     batchKey
	entries []buffer.Entry
	bytes   int // estimate of the encoded size
	held    int // bytes in memory
	since   time.Time
}

// lane reads one lane of the queue and makes parcels of it, first in first out
// within each priority. It belongs to one sender and has no lock.
type lane struct {
	kind     buffer.Lane
	ready    [3][]*parcel // by rank of priority
	open     map[batchKey]*batch
	order    []*batch // open, oldest first
	held     int
	heldSize int
	dry      bool      // the last reading brought nothing
	calm     bool      // the last reading of alarms brought none
	flying   int       // parcels in flight
	delayed  time.Time // until then some refused parcel has to wait
	spare    []*parcel // done with, to be used again
}

// spareParcels bounds what is kept for further messages.
const spareParcels = 1024

func (l *lane) parcel() *parcel {
	n := len(l.spare)
	if n == 0 {
		return &parcel{}
	}
	p := l.spare[n-1]
	l.spare = l.spare[:n-1]
	return p
}

// reuse takes a parcel back whose message has been delivered: nobody holds it
// any more.
func (l *lane) reuse(p *parcel) {
	if len(l.spare) < spareParcels {
		*p = parcel{}
		l.spare = append(l.spare, p)
	}
}

func newLane(kind buffer.Lane) *lane {
	return &lane{kind: kind, open: make(map[batchKey]*batch)}
}

// backlog reports a lane of what waited for the connection.
func (l *lane) backlog() bool { return l.kind == buffer.Backlog || l.kind == buffer.Newest }

// before reports whether a parcel goes before another of its priority.
func (l *lane) before(a, b *parcel) bool {
	if l.kind == buffer.Newest {
		return a.entries[0].ID > b.entries[0].ID
	}
	return a.entries[0].ID < b.entries[0].ID
}

func (l *lane) waiting() int { return len(l.ready[0]) + len(l.ready[1]) + len(l.ready[2]) }

// wantsMore reports whether the lane should be read on: when half of what is
// read ahead is gone.
func (l *lane) wantsMore(window int) bool {
	return l.waiting() < max(readAhead, 2*window)/2 && l.held < heldEntries && l.heldSize < heldBytes
}

// add puts an entry into its batch, or makes a parcel of it.
func (l *lane) add(r *route, topic string, e *buffer.Entry, now time.Time) {
	if r.batch.samples <= 1 || !r.encodes(&e.Message) {
		p := l.parcel()
		p.route, p.topic, p.one[0] = r, topic, *e
		p.entries = p.one[:]
		l.push(p)
		return
	}
	key := batchKey{r, topic, e.Epoch}
	b := l.open[key]
	if b == nil {
		if len(l.order) >= openBatches {
			l.close(l.order[0])
		}
		b = &batch{key: key, since: now}
		l.open[key] = b
		l.order = append(l.order, b)
	}
	size := estimate(r, e)
	if b.bytes+size > r.batch.bytes && len(b.entries) > 0 {
		l.close(b)
		l.add(r, topic, e, now)
		return
	}
	b.entries = append(b.entries, *e)
	b.bytes += size
	held := len(e.Message.Topic) + len(e.Message.Payload) + 200
	b.held += held
	l.held++
	l.heldSize += held
	if len(b.entries) >= r.batch.samples || r.priority == buffer.Alarm {
		l.close(b)
	}
}

// estimate is about how many bytes a sample takes in a batch; the true size
// is looked at when the batch is encoded.
func estimate(r *route, e *buffer.Entry) int {
	s := e.Message.Sample
	if s == nil {
		return len(e.Message.Payload) + 32
	}
	switch r.format {
	case encode.Columns:
		return len(s.Value) + len(s.Reason) + 8
	case encode.Group:
		return len(s.Tag) + len(s.Value) + len(s.Reason) + 16
	}
	return len(s.Device) + len(s.Tag) + len(s.Value) + len(s.Reason) + 80
}

// close makes a parcel of a batch.
func (l *lane) close(b *batch) {
	delete(l.open, b.key)
	for i, o := range l.order {
		if o == b {
			l.order = append(l.order[:i], l.order[i+1:]...)
			break
		}
	}
	l.held -= len(b.entries)
	l.heldSize -= b.held
	if l.kind == buffer.Newest {
		slices.Reverse(b.entries) // inside of a batch time runs forward
	}
	l.push(&parcel{route: b.key.route, topic: b.key.topic, entries: b.entries})
}

func (l *lane) push(p *parcel) {
	p.lane = l
	r := rank(p.route.priority)
	l.ready[r] = append(l.ready[r], p)
}

// putBack puts parcels that were taken out back in their place.
func (l *lane) putBack(parcels ...*parcel) {
	for _, p := range parcels {
		if p.due.After(l.delayed) {
			l.delayed = p.due
		}
		r := rank(p.route.priority)
		list := l.ready[r]
		i := 0
		for i < len(list) && l.before(list[i], p) {
			i++
		}
		l.ready[r] = slices.Insert(list, i, p)
	}
}

// closeDue closes what has waited long enough, and says when the next batch
// is due. A batch of the backlog waits only while there is more to read; one
// without max_wait waits only for what can be read right now.
func (l *lane) closeDue(now time.Time) (next time.Time) {
	if len(l.order) == 0 {
		return next
	}
	full := l.held >= heldEntries || l.heldSize >= heldBytes
	for _, b := range append([]*batch(nil), l.order...) {
		wait := b.key.route.batch.wait
		due := b.since.Add(wait)
		switch {
		case full, l.dry && (wait == 0 || l.backlog()), !l.backlog() && wait > 0 && !now.Before(due):
			l.close(b)
		case !l.backlog() && wait > 0 && (next.IsZero() || due.Before(next)):
			next = due
		}
	}
	return next
}

// front is the next parcel of a priority that may go now.
func (l *lane) front(r int, now time.Time) *parcel {
	for _, p := range l.ready[r] {
		if p.due.After(now) {
			if l.kind == buffer.Strict {
				return nil // nothing overtakes in strict order
			}
			continue
		}
		return p
	}
	return nil
}

// remove takes a parcel that front returned out.
func (l *lane) remove(p *parcel) {
	r := rank(p.route.priority)
	list := l.ready[r]
	if list[0] == p {
		list[0] = nil
		l.ready[r] = list[1:]
		return
	}
	for i, o := range list {
		if o == p {
			l.ready[r] = append(list[:i], list[i+1:]...)
			return
		}
	}
}

// soonest is when the next refused parcel may go again; zero: none waits.
func (l *lane) soonest(now time.Time) (next time.Time) {
	if !now.Before(l.delayed) {
		return next
	}
	for _, list := range l.ready {
		for _, p := range list {
			if p.due.After(now) && (next.IsZero() || p.due.Before(next)) {
				next = p.due
			}
		}
	}
	return next
}
