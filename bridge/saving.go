package bridge

import (
	"fmt"
	"time"

	"fieldgate/buffer"
	"fieldgate/buffer/clock"
	"fieldgate/configs/conf"
	"fieldgate/mqtt"
)

// What the sender does to stay within its budgets: nothing but alarms goes
// beyond messages or bytes per second; when more than the month's share is
// used bulk stays in the queue, then values of normal priority are thinned.

// save looks at the budget, about once a second and after each reading.
func (s *sender) save(now time.Time) {
	if now.Sub(s.looked) < tick {
		return
	}
	s.looked = now
	s.b.budget.settle(s.b.meter.total(), now)
	level, rose := s.b.budget.look(now)
	if rose {
		s.b.tellSaving(level)
	}
	switch hold := level >= SavingBulk; {
	case hold && !s.hold:
		s.hold = true
		s.release()
	case !hold && s.hold:
		s.hold = false
		s.stir()
	}
}

// urgency is what Next is asked for.
func (s *sender) urgency() uint64 {
	if s.hold {
		return buffer.NoBulk
	}
	return 0
}

// held reports a parcel that waits in the queue's lowest class.
func (s *sender) held(p *parcel) bool { return s.hold && p.entries[0].Priority == buffer.Bulk }

// release gives what is bulk back to the queue, so that it fills no memory
// while it waits.
func (s *sender) release() {
	for _, l := range s.lanes() {
		s.b.queue.Requeue(l.dropBulk()...)
	}
}

// dropBulk takes everything bulk out of a lane and returns the ids.
func (l *lane) dropBulk() (ids []uint64) {
	for _, b := range append([]*batch(nil), l.order...) {
		if b.entries[0].Priority == buffer.Bulk {
			l.close(b)
		}
	}
	r := rank(buffer.Bulk)
	kept := l.ready[r][:0]
	for _, p := range l.ready[r] {
		if p.entries[0].Priority == buffer.Bulk {
			ids = append(ids, p.ids()...)
		} else {
			kept = append(kept, p)
		}
	}
	clear(l.ready[r][len(kept):])
	l.ready[r] = kept
	return ids
}

// thins gives an entry up where the month's budget asks for it: values and
// clients' messages have neighbours that speak for them, events do not.
func (s *sender) thins(r *route, e *buffer.Entry) bool {
	if r.priority == buffer.Alarm || e.Message.Kind != mqtt.KindSample && e.Message.Kind != mqtt.KindMessage {
		return false
	}
	key := e.Message.Topic
	if m := e.Message.Sample; m != nil {
		key += "\x00" + m.Tag // values of a group share a topic
	}
	if s.b.budget.keeps(key) {
		return false
	}
	s.b.count.thinned.Add(1)
	s.b.queue.GiveUp(*e)
	return true
}

// pace is how long a parcel must wait for messages and bytes per second. What
// need not wait has taken its message; its bytes count when it is sent.
func (s *sender) pace(p *parcel, now time.Time) time.Duration {
	if p.route.priority == buffer.Alarm {
		s.bucket.owe(now)
		return 0
	}
	if pause := s.b.budget.wait(now); pause > 0 {
		return pause
	}
	if pause, ok := s.bucket.take(now); !ok {
		return pause
	}
	return 0
}

// tellSaving says that less goes up from now on.
func (b *Bridge) tellSaving(level Saving) {
	st := b.budget.stats()
	what := "bulk messages wait"
	if level == SavingThin {
		what = "bulk messages wait, and values of normal priority are thinned"
	}
	b.event(CodeBudget, "warn", fmt.Sprintf("%s of %s for the month are used, %s by its end if it went on so: %s",
		megabytes(st.Used), megabytes(st.Month), megabytes(st.Projected), what))
}

func megabytes(n uint64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// trustedNow is the wall clock, never before what is known to be past.
func (b *Bridge) trustedNow() (time.Time, bool) {
	t, synced := b.opts.Buffer.Wall(clock.Now())
	if least := b.now(); t.Before(least) {
		t = least
	}
	return t, synced
}

func (c Budget) validate(bad conf.Bad) {
	if _, err := parseByteRate(c.Rate); err != nil {
		bad(conf.Problem{Key: "rate", Code: "E0823", Text: err.Error(), Part: c.Rate})
	}
	if c.Month != 0 && c.Month < 1e6 {
		bad(conf.Problem{Key: "month", Code: "E0823", Text: fmt.Sprintf("a month of %s is less than an idle connection takes", c.Month), Help: `write for example "500MB"`})
	}
	if c.Day < 0 || c.Day > 28 {
		bad(conf.Problem{Key: "day", Code: "E0823", Text: fmt.Sprintf("day = %d does not begin every month", c.Day), Help: "write 1 to 28"})
	}
}
