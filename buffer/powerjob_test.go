package buffer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
)

// powerJob is the work during which the power goes: everything that a buffer
// does to its disk. What it promises it says, in the moment after the promise;
// what it is about to give up, in the moment before:
//
//	phase NAME          what comes now
//	try N TARGETS       Append is called; the message may be there from now on
//	got N TARGETS       Append of a durable message returned; it must be
//	gone U N            upstream U is about to acknowledge N
//	gap U EPOCH SEQ C   upstream U is about to acknowledge a gap record of C messages
//	marked              state.db has a copy of the counters
//	session             the session s is stored
//	queued SEQ          an entry of its queue is
//	unqueue SEQ         it is about to be taken out
//	retry T N           the retained value N of topic T is about to be stored
//	retained T N        it is
type powerJob struct {
	say  func(format string, args ...any)
	dir  string
	rnd  *rand.Rand
	b    *Buffer
	cur  []*Cursor
	next int
	seq  uint64 // of the session's queue

	mu     sync.Mutex
	events []string // that the buffer told
}

func (j *powerJob) note(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e.Code+" "+e.Text)
}

var powerNames = []string{"a", "b"}

// powerConfig has room for a tenth of what the job writes.
func powerConfig(dir string) Config {
	cfg := testConfig(dir)
	cfg.MaxSize, cfg.Commit = 512<<10, conf.Duration(10*time.Millisecond)
	return cfg
}

func (j *powerJob) open() error {
	b, err := Open(powerConfig(j.dir), Options{GatewayID: "gw", Events: j.note})
	if err != nil {
		return err
	}
	j.b, j.cur = b, nil
	if err := b.Upstreams(powerNames); err != nil {
		return errors.Join(err, b.Close())
	}
	for _, name := range powerNames {
		c, err := b.Cursor(name)
		if err != nil {
			return errors.Join(err, b.Close())
		}
		c.Mark()
		j.cur = append(j.cur, c)
	}
	return nil
}

// put appends one message and says what became of it.
func (j *powerJob) put(size int, targets uint64, durable bool, p Priority) error {
	n := j.next
	j.next++
	return j.putNumber(n, noise(j.rnd, n, size), targets, durable, p)
}

func (j *powerJob) putNumber(n int, m mqtt.Message, targets uint64, durable bool, p Priority) error {
	j.say("try %d %d", n, targets)
	if err := j.b.Append(context.Background(), []Item{{Message: m, Targets: targets, Durable: durable, Priority: p}}); err != nil {
		return err
	}
	if durable {
		j.say("got %d %d", n, targets)
	}
	return nil
}

// together lets several publishers share commits.
func (j *powerJob) together(n int) error {
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		number := j.next
		j.next++
		m := noise(j.rnd, number, 300)
		wg.Go(func() { errs[i] = j.putNumber(number, m, 3, true, Normal) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// take lets an upstream acknowledge up to max messages.
func (j *powerJob) take(u, most int) error {
	for _, lane := range []Lane{Backlog, Live} {
		got, err := j.cur[u].Next(lane, 0, most, 1<<20)
		if err != nil {
			return err
		}
		for _, e := range got {
			if g, ok := j.b.parseGap(&e.Message); ok {
				j.say("gap %d %d %d %d", u, e.Epoch, e.Seq, g.Count)
			} else {
				j.say("gone %d %d", u, numberOf(e))
			}
			j.cur[u].Ack(e.ID)
		}
		most -= len(got)
	}
	return nil
}

// drain lets both upstreams take all there is, and the segments go.
func (j *powerJob) drain() error {
	for u := range j.cur {
		j.cur[u].Mark()
		for j.cur[u].Stats().Messages > 0 {
			if err := j.take(u, 50); err != nil {
				return err
			}
			j.flush()
		}
	}
	j.flush()
	return nil
}

func (j *powerJob) flush() {
	j.b.call(func() error {
		err := j.b.w.flush()
		j.b.w.saveMark()
		return err
	})
	if j.b.State().flushNow() == nil {
		j.say("marked")
	}
}

// vacuum lets the writer do what it does while nothing comes.
func (j *powerJob) vacuum() error {
	return repeat(6, func(int) error {
		return j.b.call(func() error {
			j.b.w.shrinkPause = 0
			j.b.w.tick()
			return nil
		})
	})
}

// checkpoint moves the log into the database; what fails is left to the writer.
func (j *powerJob) checkpoint(mode string) error {
	return j.b.call(func() error {
		j.b.db.mu.Lock()
		defer j.b.db.mu.Unlock()
		if err := j.b.db.execAllLocked("PRAGMA wal_checkpoint(" + mode + ")"); err != nil {
			j.b.report(err)
		}
		return nil
	})
}

// state makes the broker's part of the work: a session, its queue, a retained
// message.
func (j *powerJob) state() error {
	ctx := context.Background()
	s := j.b.State()
	if j.seq == 0 {
		if err := s.Apply(ctx, true, []mqtt.StoreChange{{PutSession: &mqtt.SessionState{ClientID: "s", Expiry: 99}}}); err != nil {
			return err
		}
		j.say("session")
	}
	j.seq++
	m := noise(j.rnd, int(j.seq), 200)
	topic := int(j.seq % 3)
	m.Topic = fmt.Sprint("r/", topic)
	j.say("retry %d %d", topic, j.seq)
	err := s.Apply(ctx, true, []mqtt.StoreChange{{Retain: &m},
		{Enqueue: &mqtt.SessionEntry{ClientID: "s", Queued: mqtt.Queued{Seq: j.seq, Message: noise(j.rnd, int(j.seq), 500)}}}})
	if err != nil {
		return err
	}
	j.say("queued %d", j.seq)
	j.say("retained %d %d", topic, j.seq)
	if j.seq%3 == 0 {
		j.say("unqueue %d", j.seq-1)
		return s.Apply(ctx, j.seq%2 == 0, []mqtt.StoreChange{{Dequeue: &mqtt.SessionSeq{ClientID: "s", Seq: j.seq - 1}}})
	}
	return nil
}

// run does all of it; scale is how much.
func (j *powerJob) run(scale int) error {
	phases := []struct {
		name string
		do   func() error
	}{
		{"first creation", j.open},
		{"small messages", func() error {
			return repeat(10*scale, func(i int) error {
				err := j.put(100, uint64(1+i%3), i%4 != 3, Priority(i%3))
				if err == nil && i%5 == 4 {
					err = errors.Join(j.take(i%2, 3), j.state())
				}
				return err
			})
		}},
		{"shared commits", func() error {
			return repeat(scale, func(int) error { return errors.Join(j.together(6), j.take(0, 4)) })
		}},
		{"eviction", func() error {
			return repeat(25*scale, func(i int) error { return j.put(14_000, uint64(1+i%3), i%3 > 0, Priority(i%3)) })
		}},
		{"gap records", func() error {
			j.cur[0].Mark()
			j.flush()
			return errors.Join(j.take(0, 20), j.put(100, 3, true, Normal), j.state())
		}},
		{"checkpoint", func() error {
			err := repeat(8*scale, func(i int) error { return errors.Join(j.put(9_000, 2, true, Normal), j.take(1, 2)) })
			return errors.Join(err, j.checkpoint("PASSIVE"), j.put(9_000, 2, true, Normal))
		}},
		{"restart", func() error { return errors.Join(j.b.Close(), j.open()) }},
		{"vacuum", func() error {
			if err := j.drain(); err != nil {
				return err
			}
			return errors.Join(j.vacuum(), j.put(100, 1, true, Normal), j.state())
		}},
		{"second life", func() error {
			return errors.Join(repeat(5*scale, func(i int) error { return j.put(1000, 3, true, Priority(i%3)) }), j.take(0, 7), j.b.Close(), j.open(),
				j.put(100, 3, true, Alarm))
		}},
	}
	for _, p := range phases {
		j.say("phase %s", p.name)
		if err := p.do(); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

func repeat(n int, f func(i int) error) error {
	for i := range n {
		if err := f(i); err != nil {
			return err
		}
	}
	return nil
}

// newPowerJob works in a folder that is not there yet.
func newPowerJob(top string, seed uint64, say func(string)) *powerJob {
	return &powerJob{dir: filepath.Join(top, "fg"), rnd: rand.New(rand.NewPCG(seed, 2)),
		say: func(format string, args ...any) { say(fmt.Sprintf(format, args...)) }}
}
