package modbus

import (
	"slices"
	"time"
)

// group is the tags of a device with one poll interval: they are due together.
type group struct {
	dev    *device
	poll   Poll
	zone   *time.Location // of aligned slots; nil: they are counted from the start
	points []int
	blocks []*block
	slack  int // registers, see limits

	slot  time.Time // on the group's grid: the slot that is to be served, or is being served
	due   time.Time // when it may be served: slot, or now after an outage
	run   uint64    // counts the runs
	todo  []todo    // what the current run must still ask for
	list  []todo    // its place in memory
	extra int       // requests that splitting has cost in this run
	first int       // the block that a run begins with, see begin

	pause time.Duration // before Once is tried again

	flying    int           // requests of the run that are under way
	broken    bool          // the run does not come to its end
	disturbed bool          // a command's read came between, since the slot began
	delay     time.Duration // of the run's first request, after due
}

// todo is a block that a run must still read, with its place in the plan.
type todo struct {
	*block
	top int
}

// begin starts a run. It begins with the block after the one that was lost
// last time, so that one register that a device never answers for does not
// hide all behind it.
func (g *group) begin(now time.Time) {
	g.dev.reprice()
	g.run++
	g.extra, g.broken, g.delay = 0, false, now.Sub(g.due)
	for _, i := range g.points {
		g.dev.got[i].reason = ""
	}
	n := len(g.blocks)
	g.list = g.list[:0]
	for k := range n {
		top := (g.first + k) % n
		g.list = append(g.list, todo{g.blocks[top], top})
	}
	g.todo, g.first = g.list, 0
}

// push puts the halves of a block in front.
func (g *group) push(top int, kids []*block) {
	list := make([]todo, 0, len(kids)+len(g.todo))
	for _, k := range kids {
		list = append(list, todo{k, top})
	}
	g.todo = append(list, g.todo...)
}

// running reports a run that has begun and is not over.
func (g *group) running() bool { return len(g.todo) > 0 || g.flying > 0 }

// abort ends a run before its end; what is under way still lands.
func (g *group) abort() { g.todo, g.broken = nil, true }

// group sorts the points by interval and plans each group's requests.
func (dev *device) group() {
	byPoll := map[Poll]*group{}
	for i, p := range dev.points {
		g := byPoll[p.poll]
		if g == nil {
			g = &group{dev: dev, poll: p.poll}
			byPoll[p.poll] = g
			dev.groups = append(dev.groups, g)
		}
		g.points = append(g.points, i)
	}
	for _, g := range dev.groups {
		g.plan()
	}
}

// plan makes the group's requests. What is known of those that stay the same
// is kept.
func (g *group) plan() {
	var old []*block
	for _, b := range g.blocks {
		old = b.all(old)
	}
	g.blocks, g.first = nil, 0
	l := g.dev.limits
	l.slack = g.slack
	for _, s := range plan(g.dev.items(g.points), l) {
		same := slices.IndexFunc(old, func(b *block) bool {
			return b.area == s.area && b.addr == s.addr && b.count == s.count && len(b.items) == len(s.items)
		})
		if same >= 0 && !old[same].split {
			g.blocks = append(g.blocks, old[same])
			continue
		}
		g.blocks = append(g.blocks, &block{span: s})
	}
}

// items are what must be read for some points: points of the same registers
// are one, and so are those of an atomic group.
func (dev *device) items(points []int) []item {
	type place struct {
		area        Area
		addr, count int
	}
	var out []item
	places, groups := map[place]int{}, map[int]int{}
	for _, i := range points {
		it := dev.points[i].item(i)
		if g := dev.atomicGroup(i); g >= 0 {
			if at, begun := groups[g]; begun {
				out[at] = out[at].cover(it)
				continue
			}
			groups[g] = len(out)
		} else {
			if at, known := places[place{it.area, it.addr, it.count}]; known {
				out[at].points = append(out[at].points, i)
				continue
			}
			places[place{it.area, it.addr, it.count}] = len(out)
		}
		out = append(out, it)
	}
	return out
}

// atomicGroup is the atomic group of a point, -1 where it has none.
func (dev *device) atomicGroup(point int) int {
	if dev.points[point].hidden {
		return -1
	}
	name := dev.points[point].tag.Name
	return slices.IndexFunc(dev.cfg.Atomic, func(names []string) bool { return slices.Contains(names, name) })
}

// namesOf lists the tags that a span reads, in the order of their addresses.
func (dev *device) namesOf(s *span) (names []string) {
	for _, it := range s.items {
		for _, i := range it.points {
			if pt := dev.points[i]; !pt.hidden {
				names = append(names, pt.tag.Name)
			}
		}
	}
	return names
}
