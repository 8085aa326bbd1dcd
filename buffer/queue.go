package buffer

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// Options are what a Buffer needs beside its configuration. The zero value
// works.
type Options struct {
	Log        *slog.Logger // default: discard
	GatewayID  string       // stands in gap records
	EventTopic string       // topic of gap records; default fieldgate/GATEWAY/event
	Events     func(Event)  // told of damage, full disks and the like; called from the buffer's goroutines, must not block or call back

	synced func() bool // whether the wall clock is right; tests replace it
	bootID string      // tests replace it
}

// Event is something a person should know.
type Event struct {
	Code  string     // "E0701"; stable
	Level slog.Level // Info: it is over; Warn; Error
	Text  string     // what happened and what was done about it
}

// Item is a message to be queued.
type Item struct {
	Message  mqtt.Message
	Targets  uint64 // one bit per upstream that must get it: Cursor.Bit
	Priority Priority
	Durable  bool // Append waits for it
}

// Limits of what waits in memory for the disk.
const (
	ramLimit    = 8 << 20      // bytes; beyond it, publishers wait and values are given up
	commitBytes = segmentBytes // a commit starts early at this many bytes
	commitCount = 1000         // or this many messages
	txBytes     = 1 << 20      // no transaction takes more
	recordCost  = 160          // memory of a record beside its message
)

// The states of a record in memory:
//
//	waiting ──grab──> writing ──snapshot──> counted ──commit synced──> stored
//	   └── every target acknowledged it, or it was given up ──> gone
const (
	recWaiting = iota
	recWriting // in the batch that the writer packs
	recCounted // as writing, and in the counters that the commit carries
	recStored
	recGone
)

// record is a message in memory. Its fields but msg, id and size are guarded
// by Buffer.mu.
type record struct {
	id    uint64
	need  uint64 // targets that have not acknowledged it
	wait  *waiter
	msg   mqtt.Message
	size  int32 // bytes in memory, about
	share int32 // its share of the stored bytes of its segment, from counted on
	state uint8
}

// waiter is a call of Append that waits; left is guarded by Buffer.mu.
type waiter struct {
	left int
	done chan struct{}
}

func (w *waiter) release() {
	if w == nil {
		return
	}
	if w.left--; w.left == 0 {
		close(w.done)
	}
}

// Buffer is the queue for the upstreams; its State is that of the broker.
// All methods may be called from any goroutine.
//
// Locks: db.mu before mu; none is held while waiting for a channel.
type Buffer struct {
	cfg   Config
	opt   Options
	log   *slog.Logger
	boots boots
	state *State
	db    db
	w     *writer

	urgent chan struct{} // a commit is wanted now
	calls  chan func()   // run by the writer between two commits
	quit   chan struct{} // closed by Close
	done   chan struct{} // closed when the writer has ended
	closeO sync.Once

	mu         sync.Mutex
	closed     bool
	epoch      uint32
	seq        uint64
	serial     uint64      // of the counters stored last
	cursors    [64]*Cursor // by bit
	active     uint64      // bits of upstreams that take new messages
	ram        [classes][]*record
	ramBytes   int
	ramCount   int
	diskHigh   [classes]uint64 // highest id ever stored, per class
	room       chan struct{}   // closed, and made anew, when room may have come
	roomWanted bool            // somebody waits for room
	held       int             // how many do
	dirty      bool            // the stored counters differ from those in memory
	badSegs    []uint64        // damaged segments that a reader found
	fault      error           // an error that a reader met; the writer repairs
	lowDisk    bool            // less than min_free is left
	damaged    bool            // this start found queue.db damaged
	mark       *meta           // what state.db says of queue.db; set before the writer runs
	nameless   bool            // and so were the names of upstreams: nobody knows whose its segments are
	salvage    bool            // a damaged file is being searched: absence proves nothing
	stats      counters

	exchanges exchanges // of QoS 2, taken in
}

// Open opens queue.db and state.db in cfg.Dir, making what is missing. A
// damaged file is moved aside, reported and searched for what can be saved;
// only a directory that cannot be used, or another process in it, is an error.
func Open(cfg Config, o Options) (*Buffer, error) {
	cfg = cfg.withDefaults()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.EventTopic == "" {
		o.EventTopic = "fieldgate/" + o.GatewayID + "/event"
	}
	if o.synced == nil {
		o.synced = func() bool { ok, _ := clock.Synced(); return ok }
	}
	if o.bootID == "" {
		o.bootID = bootID()
	}
	if err := prepareDir(cfg.Dir); err != nil {
		return nil, err
	}
	b := &Buffer{
		cfg: cfg, opt: o, log: o.Log,
		urgent: make(chan struct{}, 1), calls: make(chan func()), quit: make(chan struct{}), done: make(chan struct{}),
		room: make(chan struct{}),
	}
	b.boots.synced = o.synced
	b.db.path = filepath.Join(cfg.Dir, "queue.db")
	err := b.start()
	if sqlCode(err) == codeFull && os.Remove(b.ballast()) == nil {
		err = b.start() // with the room that was kept for this
	}
	if sqlCode(err) == codeFull {
		return nil, fmt.Errorf("the disk of %s is full: free some space there, then start the gateway again (%w)", cfg.Dir, err)
	}
	if err != nil {
		return nil, err
	}
	go b.w.run()
	return b, nil
}

// Close commits what is in memory and closes both databases. It returns the
// first error that cost something.
func (b *Buffer) Close() error {
	b.closeO.Do(func() {
		b.mu.Lock()
		b.closed = true
		b.mu.Unlock()
		close(b.quit)
	})
	<-b.done
	return b.w.closeErr
}

// State is the durable state of the broker.
func (b *Buffer) State() *State { return b.state }

// Append queues items. It returns when every durable item is committed and
// synced or acknowledged by all its targets; the others are readable at once
// and committed within Config.Commit. An item without a target that is
// configured is dropped silently: nobody waits for it.
//
// With ctx ended it returns ctx's error; what was appended stays queued.
// ErrTooLarge and ErrClosed leave all items out; ErrFull leaves out those
// that found no room (they are counted and reported).
func (b *Buffer) Append(ctx context.Context, items []Item) error {
	for i := range items {
		if messageSize(&items[i].Message) > MaxMessage {
			return fmt.Errorf("%s: %w", items[i].Message.Topic, ErrTooLarge)
		}
	}
	w := &waiter{done: make(chan struct{})}
	rest := items
	for len(rest) > 0 {
		b.mu.Lock()
		if b.closed {
			b.mu.Unlock()
			return ErrClosed
		}
		n := b.appendLocked(rest, w)
		rest = rest[n:]
		waitFor := b.room
		if len(rest) == 0 {
			b.mu.Unlock()
			break
		}
		b.roomWanted = true
		b.held++
		b.mu.Unlock()
		if err := b.waitRoom(ctx, waitFor); err != nil {
			return err
		}
	}
	b.mu.Lock()
	left := w.left
	b.mu.Unlock()
	if left == 0 {
		return nil
	}
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the commit: %w", ctx.Err())
	case <-b.done:
		select {
		case <-w.done: // the last commit had it
			return nil
		default:
			return ErrClosed
		}
	}
}

// appendLocked takes as many items as there is room for. Only a durable item
// is ever left over: its publisher can be held back.
func (b *Buffer) appendLocked(items []Item, w *waiter) int {
	recs := make([]record, len(items))
	durable := false
	n := 0
	for ; n < len(items); n++ {
		it := &items[n]
		targets := it.Targets & b.active
		if targets == 0 || b.exchanges.repeats(it.Message.Exchange) {
			continue
		}
		if it.Durable && !b.hasRoomLocked(targets, it.Priority) {
			break
		}
		r := &recs[n]
		r.msg = it.Message
		if r.msg.Stamp.IsZero() {
			r.msg.Stamp = clock.Now()
		}
		r.size = int32(messageSize(&r.msg))
		b.exchanges.take(r.msg.Exchange)
		b.putLocked(r, it.Priority.class(), targets)
		if it.Durable && r.need != 0 {
			r.wait = w
			w.left++
			durable = true
		}
	}
	if durable || b.ramBytes >= commitBytes || b.ramCount >= commitCount {
		poke(b.urgent)
	}
	return n
}

// putLocked gives the record its id and queues it for those of targets that
// have room.
func (b *Buffer) putLocked(r *record, class int, targets uint64) {
	b.seq++
	r.id = makeID(class, b.epoch, b.seq)
	eachBit(targets, func(bit int) {
		c := b.cursors[bit]
		c.offered++
		if c.refusesLocked(class) {
			c.dropLocked(reasonNewest, r.id, &r.msg)
			return
		}
		r.need |= 1 << bit
		c.waiting[class]++
		poke(c.notify)
	})
	if r.need == 0 {
		r.state = recGone
		return
	}
	b.ram[class] = append(b.ram[class], r)
	b.ramBytes += int(r.size) + recordCost
	b.ramCount++
	b.stats.appended++
	if b.ramBytes > ramLimit {
		b.shedLocked()
	}
}

// goneLocked takes a waiting record out of the accounts; the next grab
// removes it from its list.
func (b *Buffer) goneLocked(r *record) {
	r.need, r.state = 0, recGone
	r.wait.release()
	r.wait = nil
	b.ramBytes -= int(r.size) + recordCost
	b.ramCount--
	b.roomLocked()
}

// headLocked is the last id that was given out, as one of class.
func (b *Buffer) headLocked(class int) uint64 { return makeID(class, b.epoch, b.seq) }

// poke sends to a channel of capacity one, or leaves what is in it.
func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// event tells log and owner.
func (b *Buffer) event(level slog.Level, code, format string, args ...any) {
	e := Event{Code: code, Level: level, Text: fmt.Sprintf(format, args...)}
	b.log.Log(context.Background(), level, e.Text, "code", code)
	if b.opt.Events != nil {
		b.opt.Events(e)
	}
}

// Wall is the wall-clock time of a stamp of this boot or an earlier one.
// synced is false where it rests on a clock that was never synchronised: then
// it is the best guess, and the zero time where there is none.
func (b *Buffer) Wall(s clock.Stamp) (t time.Time, synced bool) { return b.boots.wall(s) }

// Upstreams names those who take messages from now on; each keeps its place
// and its bit over restarts. One that is no longer named keeps what is queued
// for it, until it ages out or is dropped by hand, and gets nothing new.
func (b *Buffer) Upstreams(names []string) error {
	b.mu.Lock()
	active := uint64(0)
	// Bits that segments of unknown owners may have are not given out anew, or
	// one upstream would get what is another's; a lone one has no other.
	apart := b.nameless && len(names) > 1
	for _, name := range names {
		c, err := b.ensureLocked(name, apart)
		if err != nil {
			b.mu.Unlock()
			return err
		}
		active |= 1 << c.bit
	}
	b.active = active
	for _, c := range b.cursors {
		if c != nil {
			c.retired = active&(1<<c.bit) == 0
		}
	}
	b.dirty = true
	table := b.encodeNamesLocked()
	b.mu.Unlock()
	if err := b.state.Put(keyNames, table); err != nil {
		return err
	}
	return b.call(func() error {
		if b.w.salvager == nil {
			b.w.startSalvage()
		}
		b.w.capFile()
		b.w.flush() // what cannot be stored now is stored later
		return nil
	})
}

// ensureLocked finds or makes the cursor of a name; apart gives it the highest
// bit that is free, not the lowest.
func (b *Buffer) ensureLocked(name string, apart bool) (*Cursor, error) {
	free := -1
	for bit, c := range b.cursors {
		if c != nil && c.name == name {
			return c, nil
		}
		if c == nil && (free < 0 || apart) {
			free = bit
		}
	}
	if free < 0 {
		return nil, fmt.Errorf("upstream %s: the queue knows 64 upstreams already; drop one that is gone with: fieldgate queue drop NAME", name)
	}
	c := newCursor(b, name, free)
	c.adopted = !b.damaged
	if c.adopted && !b.salvage {
		// What was queued before is not for it, whoever had this bit then.
		for class := range classes {
			c.acked[class].add(classLow(class)+1, b.headLocked(class))
		}
	}
	c.markLocked()
	b.cursors[free] = c
	return c, nil
}

// Cursor finds the cursor of an upstream that Upstreams has named.
func (b *Buffer) Cursor(name string) (*Cursor, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.cursors {
		if c != nil && c.name == name {
			return c, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrUnknown, name)
}

// call runs f in the writer's goroutine, between two commits.
func (b *Buffer) call(f func() error) error {
	res := make(chan error, 1)
	select {
	case b.calls <- func() { res <- f() }:
		return <-res
	case <-b.done:
		return ErrClosed
	}
}

// exists reports whether there is such a file.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
