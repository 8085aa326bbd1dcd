package buffer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fieldgate/mqtt"
)

// promises is what a powerJob had said when the power went.
type promises struct {
	tried    map[int]uint64          // targets, by number
	got      map[int]uint64          // of these, durable and answered
	gone     [2]map[int]bool         // perhaps acknowledged
	gaps     [2]map[[2]uint64]uint64 // perhaps acknowledged gap records: epoch and seq -> count
	marked   map[int]uint64          // those of got that the copy of the counters knows
	session  bool
	queued   map[uint64]bool
	unqueued map[uint64]bool
	retained map[int][2]uint64 // the value that is stored for sure, and the newest that may be
}

func newPromises() *promises {
	p := &promises{tried: map[int]uint64{}, got: map[int]uint64{}, queued: map[uint64]bool{}, unqueued: map[uint64]bool{}, retained: map[int][2]uint64{}}
	for u := range powerNames {
		p.gone[u], p.gaps[u] = map[int]bool{}, map[[2]uint64]uint64{}
	}
	return p
}

// clone is a copy that can go its own way.
func (p *promises) clone() *promises {
	q := *p
	q.tried, q.got, q.marked = maps.Clone(p.tried), maps.Clone(p.got), maps.Clone(p.marked)
	for u := range powerNames {
		q.gone[u], q.gaps[u] = maps.Clone(p.gone[u]), maps.Clone(p.gaps[u])
	}
	q.queued, q.unqueued, q.retained = maps.Clone(p.queued), maps.Clone(p.unqueued), maps.Clone(p.retained)
	return &q
}

// hear takes down what the job says.
func (p *promises) hear(mark string) {
	word, rest, _ := strings.Cut(mark, " ")
	var v [4]uint64
	fmt.Sscan(rest, &v[0], &v[1], &v[2], &v[3])
	switch word {
	case "try":
		p.tried[int(v[0])] = v[1]
	case "got":
		p.got[int(v[0])] = v[1]
	case "gone":
		p.gone[v[0]][int(v[1])] = true
	case "gap":
		p.gaps[v[0]][[2]uint64{v[1], v[2]}] = v[3]
	case "marked":
		p.marked = maps.Clone(p.got)
	case "session":
		p.session = true
	case "queued":
		p.queued[v[0]] = true
	case "unqueue":
		p.unqueued[v[0]] = true
	case "retry":
		p.retained[int(v[0])] = [2]uint64{p.retained[int(v[0])][0], v[1]}
	case "retained":
		p.retained[int(v[0])] = [2]uint64{v[1], v[1]}
	}
}

// found is what a buffer gives back.
type found struct {
	messages [2]map[int]bool
	gaps     [2]map[[2]uint64]uint64
	reported [2]uint64 // messages, by all gap records that there ever were
	missing  [2][]int  // durable ones that are neither there nor acknowledged
	moved    []string  // damaged files
}

// check opens the buffer that a power cut left and looks whether it keeps
// what was promised. honest says that the disk had done what it said: then
// nothing may be lost but what is reported, and nothing be called damaged.
func (p *promises) check(dir string, honest bool) (f found, err error) {
	var events []string
	cfg := powerConfig(dir)
	b, err := Open(cfg, Options{GatewayID: "gw", Events: func(e Event) { events = append(events, e.Code+" "+e.Text) }})
	if err != nil {
		return f, fmt.Errorf("it does not start: %w", err)
	}
	defer func() {
		if e := b.Close(); e != nil && err == nil {
			err = fmt.Errorf("close: %w", e)
		}
		if err != nil {
			err = fmt.Errorf("%w; events: %q", err, events)
		}
	}()
	if err := b.Upstreams([]string{"b", "a"}); err != nil {
		return f, fmt.Errorf("name the upstreams: %w", err)
	}
	const fresh = 1 << 30
	mask := uint64(0)
	cursors := []*Cursor{}
	for _, name := range powerNames {
		c, err := b.Cursor(name)
		if err != nil {
			return f, err
		}
		cursors = append(cursors, c)
		mask |= c.Bit()
	}
	m := mqtt.Message{Topic: "fresh", Payload: fmt.Appendf(nil, `{"n":%d}`, fresh), QoS: 1}
	if err := b.Append(context.Background(), []Item{{Message: m, Targets: mask, Durable: true}}); err != nil {
		return f, fmt.Errorf("append: %w", err)
	}
	for u, c := range cursors {
		f.messages[u], f.gaps[u] = map[int]bool{}, map[[2]uint64]uint64{}
		if err := f.empty(u, c); err != nil {
			return f, fmt.Errorf("upstream %s: %w", powerNames[u], err)
		}
		if !f.messages[u][fresh] {
			return f, fmt.Errorf("upstream %s did not get the new message", powerNames[u])
		}
		delete(f.messages[u], fresh)
	}
	f.moved = b.Stats().MovedAside
	if honest && len(f.moved) > 0 {
		return f, fmt.Errorf("files are called damaged: %q", f.moved)
	}
	if err := p.account(&f, honest); err != nil {
		return f, err
	}
	return f, p.checkState(b, honest)
}

// empty takes all out of an upstream's queue.
func (f *found) empty(u int, c *Cursor) error {
	c.Mark()
	last := [classes]uint64{}
	deadline := time.Now().Add(30 * time.Second)
	for {
		n := 0
		for _, lane := range []Lane{Backlog, Live} {
			got, err := c.Next(lane, 0, 100, 1<<20)
			if err != nil {
				return err
			}
			for _, e := range got {
				n++
				if class := classOf(e.ID); e.ID <= last[class] && !c.b.salvaging() && len(c.b.Stats().MovedAside) == 0 {
					return fmt.Errorf("%s came after %s", idText(e.ID), idText(last[class]))
				} else {
					last[class] = e.ID
				}
				if g, ok := c.b.parseGap(&e.Message); ok {
					f.gaps[u][[2]uint64{uint64(e.Epoch), e.Seq}] = g.Count
				} else if k := numberOf(e); f.messages[u][k] {
					return fmt.Errorf("message %d came twice", k)
				} else {
					f.messages[u][k] = true
				}
				c.Ack(e.ID)
			}
		}
		c.b.mu.Lock()
		open := c.report || c.b.salvage
		for _, g := range c.gaps {
			open = open || g.count > 0
		}
		c.b.mu.Unlock()
		if n == 0 && !open && c.Stats().Messages == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not empty within 30 s: %+v", c.Stats())
		}
		if n == 0 {
			c.Mark()
			time.Sleep(time.Millisecond)
		}
	}
}

func (b *Buffer) salvaging() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.salvage
}

// account compares what came with what was promised: what is missing must be
// reported, and no more than what is missing.
func (p *promises) account(f *found, honest bool) error {
	for u, name := range powerNames {
		bit := uint64(1) << u
		for n := range f.messages[u] {
			if p.tried[n]&bit == 0 {
				return fmt.Errorf("upstream %s got %d, which is not for it", name, n)
			}
		}
		all := maps.Clone(p.gaps[u])
		maps.Copy(all, f.gaps[u])
		for _, n := range all {
			f.reported[u] += n
		}
		unknown := uint64(0) // tried, not delivered, not acknowledged
		for n, targets := range p.tried {
			if targets&bit == 0 || f.messages[u][n] || p.gone[u][n] {
				continue
			}
			unknown++
			if p.got[n]&bit != 0 {
				f.missing[u] = append(f.missing[u], n)
			}
		}
		slices.Sort(f.missing[u])
		if honest && uint64(len(f.missing[u])) > f.reported[u] {
			return fmt.Errorf("upstream %s: %d durable messages are missing, %d are reported: %v", name, len(f.missing[u]), f.reported[u], f.missing[u][:min(len(f.missing[u]), 20)])
		}
		if f.reported[u] > unknown && honest {
			return fmt.Errorf("upstream %s: %d messages are reported missing, only %d can be (%d durable)", name, f.reported[u], unknown, len(f.missing[u]))
		}
	}
	return nil
}

// checkState looks at the broker's part.
func (p *promises) checkState(b *Buffer, honest bool) error {
	ctx := context.Background()
	sessions, retained, err := b.State().Load(ctx)
	if err != nil {
		return fmt.Errorf("load the state: %w", err)
	}
	pending, err := b.State().Pending(ctx, "s", 0, 1000)
	if err != nil {
		return fmt.Errorf("pending: %w", err)
	}
	if !honest {
		return nil
	}
	if n, _ := b.State().PendingCount("s"); n != len(pending) {
		return fmt.Errorf("%d messages wait for the session, the counter says %d", len(pending), n)
	}
	if p.session && len(sessions) != 1 {
		return fmt.Errorf("%d sessions", len(sessions))
	}
	there := map[uint64]bool{}
	for _, q := range pending {
		there[q.Seq] = true
	}
	for seq := range p.queued {
		if !there[seq] && !p.unqueued[seq] {
			return fmt.Errorf("entry %d of the session's queue is missing", seq)
		}
	}
	values := map[int]uint64{}
	for _, m := range retained {
		var topic int
		fmt.Sscanf(m.Topic, "r/%d", &topic)
		values[topic] = uint64(numberOf(Entry{Message: m}))
	}
	for topic, v := range p.retained {
		if values[topic] < v[0] || values[topic] > v[1] {
			return fmt.Errorf("retained message %d is number %d, not %d to %d", topic, values[topic], v[0], v[1])
		}
	}
	return nil
}
