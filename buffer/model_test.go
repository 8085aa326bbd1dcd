package buffer

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
)

var modelSeed = flag.Uint64("seed", 0, "seed of the model tests; 0: a new one")

// model drives a Buffer with random calls and remembers, in plain maps, what
// must come of them.
type model struct {
	t       *testing.T
	rnd     *rand.Rand
	dir     string
	cfg     Config
	b       *Buffer
	names   []string
	cur     []*Cursor
	next    int                 // number of the next message
	want    []map[int]bool      // per upstream: must still be delivered
	may     []map[int]bool      // per upstream: not promised yet (not durable, not flushed)
	acked   []map[int]bool      // per upstream: acknowledged, surely remembered
	perhaps []map[int]bool      // per upstream: a crash decided whether it is still to be delivered
	recent  []map[int]bool      // per upstream: acknowledged since the last flush
	held    []map[uint64]int    // per upstream: handed out, by id
	last    []map[[2]int]uint64 // per upstream, lane and class: the last id handed out
	idOf    map[int]uint64      // identity of each message, once seen
	crashes int
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), dir: memDir(t), names: []string{"a", "b", "c"}, idOf: map[int]uint64{}}
	m.cfg = testConfig(filepath.Join(m.dir, "0"))
	m.cfg.Commit = conf.Duration(3 * time.Millisecond)
	for range m.names {
		m.want = append(m.want, map[int]bool{})
		m.may = append(m.may, map[int]bool{})
		m.acked = append(m.acked, map[int]bool{})
		m.recent = append(m.recent, map[int]bool{})
		m.perhaps = append(m.perhaps, map[int]bool{})
	}
	m.open()
	return m
}

func (m *model) open() {
	m.b = mustOpen(m.t, m.cfg)
	names := append([]string(nil), m.names...)
	m.rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	upstream(m.t, m.b, names...)
	m.cur, m.held, m.last = nil, nil, nil
	for _, n := range m.names {
		c, err := m.b.Cursor(n)
		if err != nil {
			m.t.Fatal(err)
		}
		m.cur = append(m.cur, c)
		m.held = append(m.held, map[uint64]int{})
		m.last = append(m.last, map[[2]int]uint64{})
	}
}

func (m *model) append() {
	n := 1 + m.rnd.IntN(40)
	if m.rnd.IntN(20) == 0 {
		n = 1500 // more than one segment
	}
	durable := m.rnd.IntN(2) == 0
	var items []Item
	from := m.next
	for range n {
		it := Item{Message: text(m.next), Priority: Priority(m.rnd.IntN(3)), Durable: durable}
		it.Message.Payload = fmt.Appendf(nil, `{"n":%d}`, m.next)
		if m.rnd.IntN(200) == 0 {
			it.Message.Payload = append(it.Message.Payload, make([]byte, 100_000)...)
		}
		for i := range m.cur {
			if m.rnd.IntN(3) > 0 {
				it.Targets |= m.cur[i].Bit()
			}
		}
		items = append(items, it)
		m.next++
	}
	if err := m.b.Append(context.Background(), items); err != nil {
		m.t.Fatal(err)
	}
	for k := range items {
		for i := range m.cur {
			if items[k].Targets&m.cur[i].Bit() != 0 {
				if durable {
					m.want[i][from+k] = true
				} else {
					m.may[i][from+k] = true
				}
			}
		}
	}
}

func numberOf(e Entry) int {
	s := string(e.Message.Payload)
	end := 5
	for s[end] != '}' {
		end++
	}
	n, err := strconv.Atoi(s[5:end])
	if err != nil {
		panic(err)
	}
	return n
}

func (m *model) take(i int, lane Lane) int {
	got, err := m.cur[i].Next(lane, 0, 1+m.rnd.IntN(200), 1<<20)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, e := range got {
		n := numberOf(e)
		if !m.want[i][n] && !m.may[i][n] {
			if m.perhaps[i][n] {
				delete(m.perhaps[i], n)
				m.want[i][n] = true // it is there, so it is owed
			} else {
				m.t.Fatalf("upstream %s got %d (%s), which it has or never had to get (acked %v)", m.names[i], n, idText(e.ID), m.acked[i][n])
			}
		}
		if id, seen := m.idOf[n]; seen && id != e.ID {
			m.t.Fatalf("message %d is %s and was %s", n, idText(e.ID), idText(id))
		}
		m.idOf[n] = e.ID
		if _, twice := m.held[i][e.ID]; twice {
			m.t.Fatalf("upstream %s got %d twice", m.names[i], n)
		}
		m.held[i][e.ID] = n
		key := [2]int{int(lane), classOf(e.ID)}
		if last, seen := m.last[i][key]; seen && (last >= e.ID) != (lane == Newest) {
			m.t.Fatalf("upstream %s got %s after %s", m.names[i], idText(e.ID), idText(m.last[i][key]))
		}
		m.last[i][key] = e.ID
	}
	return len(got)
}

func (m *model) ack(i int, all bool) {
	for id, n := range m.held[i] { // in random order
		if !all && m.rnd.IntN(4) == 0 {
			continue
		}
		m.cur[i].Ack(id)
		delete(m.held[i], id)
		delete(m.want[i], n)
		delete(m.may[i], n)
		m.recent[i][n] = true
	}
}

func (m *model) mark(i int) {
	m.cur[i].Mark()
	m.held[i], m.last[i] = map[uint64]int{}, map[[2]int]uint64{}
}

func (m *model) requeue(i int) {
	for id := range m.held[i] {
		if m.rnd.IntN(2) == 0 {
			m.cur[i].Requeue(id)
			delete(m.held[i], id)
		}
	}
	m.last[i] = map[[2]int]uint64{}
}

// flush makes sure that everything so far is on disk.
func (m *model) flush() {
	if err := m.b.call(func() error { return m.b.w.flush() }); err != nil {
		m.t.Fatal(err)
	}
	m.settle()
}

// settle: what was not promised is promised now, and acknowledgements are
// remembered.
func (m *model) settle() {
	for i := range m.names {
		for n := range m.may[i] {
			m.want[i][n] = true
		}
		clear(m.may[i])
		for n := range m.recent[i] {
			m.acked[i][n] = true
		}
		clear(m.recent[i])
	}
}

func (m *model) restart() {
	if err := m.b.Close(); err != nil {
		m.t.Fatal(err)
	}
	m.settle()
	m.open()
}

// crash goes on with a copy of the files as they are between two commits.
func (m *model) crash() {
	m.crashes++
	to := filepath.Join(m.dir, strconv.Itoa(m.crashes))
	m.b.db.mu.Lock()
	m.b.state.db.mu.Lock()
	copyFiles(m.t, m.cfg.Dir, to)
	m.b.state.db.mu.Unlock()
	m.b.db.mu.Unlock()
	if err := m.b.Close(); err != nil {
		m.t.Fatal(err)
	}
	os.RemoveAll(m.cfg.Dir)
	m.cfg.Dir = to
	for i := range m.names {
		for n := range m.recent[i] {
			m.perhaps[i][n] = true
		}
		for n := range m.may[i] {
			m.perhaps[i][n] = true
		}
		clear(m.recent[i])
		clear(m.may[i])
	}
	m.open()
}

// finish takes everything out and looks whether it is all there.
func (m *model) finish() {
	for i := range m.cur {
		lanes := []Lane{[]Lane{Backlog, Newest}[m.rnd.IntN(2)], Live}
		m.mark(i)
		for {
			n := 0
			for _, lane := range lanes {
				n += m.take(i, lane)
			}
			m.ack(i, true)
			if n == 0 {
				break
			}
		}
		for n := range m.want[i] {
			m.t.Errorf("upstream %s never got %d (%s)", m.names[i], n, idText(m.idOf[n]))
		}
		if s := m.cur[i].Stats(); s.Messages != 0 || s.Bytes != 0 || s.InFlight != 0 {
			m.t.Errorf("upstream %s is empty and says %d messages, %d bytes, %d in flight", m.names[i], s.Messages, s.Bytes, s.InFlight)
		}
	}
	eventually(m.t, "no segment is left", func() bool { return segmentCount(m.t, m.b) == 0 })
	if err := m.b.Close(); err != nil {
		m.t.Fatal(err)
	}
}

func segmentCount(t testing.TB, b *Buffer) (n int64) {
	t.Helper()
	err := b.call(func() error {
		if err := b.w.flush(); err != nil {
			return err
		}
		b.db.mu.Lock()
		defer b.db.mu.Unlock()
		var err error
		n, err = b.db.numberLocked("SELECT count(*) FROM seg")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestModel compares the queue with the model over random appends, reads,
// acknowledgements in any order, reconnects, restarts and crashes.
func TestModel(t *testing.T) {
	rounds, steps := 2, 150
	if os.Getenv("FIELDGATE_LONG") != "" {
		rounds, steps = 100, 2000
	}
	for range rounds {
		seed := *modelSeed
		if seed == 0 {
			seed = rand.Uint64()
		}
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			m := newModel(t, seed)
			for range steps {
				m.step()
				if t.Failed() {
					return
				}
			}
			m.finish()
		})
	}
}

func (m *model) step() {
	i := m.rnd.IntN(len(m.cur))
	switch p := m.rnd.IntN(100); {
	case p < 30:
		m.append()
	case p < 55:
		m.take(i, []Lane{Live, Backlog, Newest, Urgent}[m.rnd.IntN(4)])
	case p < 80:
		m.ack(i, p < 60)
	case p < 86:
		m.mark(i)
	case p < 89:
		m.requeue(i)
	case p < 94:
		m.flush()
	case p < 97:
		m.restart()
	default:
		m.crash()
	}
}

// TestStrictOrder: the lane Strict gives everything, the backlog first, each
// priority in the order of Append.
func TestStrictOrder(t *testing.T) {
	b := mustOpen(t, testConfig(memDir(t)))
	defer b.Close()
	c := upstream(t, b, "a")[0]
	for i := range 100 {
		if i == 50 {
			c.Mark()
		}
		err := b.Append(context.Background(), []Item{{Message: text(i), Targets: 1, Durable: i%10 == 0, Priority: []Priority{Normal, Alarm}[i%2]}})
		if err != nil {
			t.Fatal(err)
		}
	}
	got := drain(t, c, Strict)
	if len(got) != 100 {
		t.Fatalf("%d entries", len(got))
	}
	for i := 1; i < len(got); i++ {
		if got[i].ID <= got[i-1].ID {
			t.Fatalf("%s after %s", idText(got[i].ID), idText(got[i-1].ID))
		}
	}
}

// TestNewestFirst: the lane Newest gives the backlog and nothing else, each
// priority from the newest to the oldest, from memory and from the disk, also
// after acknowledgements out of order and a restart. Urgent gives the alarms.
func TestNewestFirst(t *testing.T) {
	cfg := testConfig(t.TempDir())
	b := mustOpen(t, cfg)
	c := upstream(t, b, "a", "b")[0]
	const n = 3000
	add := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			target := uint64(1)
			if i%7 == 0 {
				target = 2 // the other upstream's alone
			}
			err := b.Append(context.Background(), []Item{{Message: text(i), Targets: target, Durable: i%500 == 0, Priority: []Priority{Normal, Alarm}[i/1000%2]}})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func(got []Entry, want int) {
		t.Helper()
		if len(got) != want {
			t.Fatalf("%d entries, want %d", len(got), want)
		}
		for i := 1; i < len(got); i++ {
			if got[i].Priority == got[i-1].Priority && got[i].ID >= got[i-1].ID {
				t.Fatalf("%s after %s", idText(got[i].ID), idText(got[i-1].ID))
			}
		}
	}
	add(0, n)
	mine := n - (n+6)/7
	c.Mark()
	add(n, n+100) // live: not part of it
	got, err := c.Next(Newest, 0, 2*n, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	check(got, mine)
	for i, e := range got { // two of three are acknowledged
		if i%3 != 0 {
			c.Ack(e.ID)
		}
	}
	left := (mine + 2) / 3
	c.Mark()
	live := 100 - (n+100+6)/7 + (n+6)/7
	if got, err = c.Next(Newest, 0, 2*n, 1<<30); err != nil {
		t.Fatal(err)
	}
	check(got, left+live)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = mustOpen(t, cfg)
	defer b.Close()
	c = upstream(t, b, "a", "b")[0]
	c.Mark()
	urgent := drain(t, c, Urgent)
	for _, e := range urgent {
		if e.Priority != Alarm {
			t.Fatalf("%s is no alarm", idText(e.ID))
		}
	}
	check(drain(t, c, Newest), left+live-len(urgent))
	if len(urgent) < 200 {
		t.Errorf("%d alarms", len(urgent))
	}
}

// TestLimitsOfNext: max and maxBytes are kept, one entry always comes.
func TestLimitsOfNext(t *testing.T) {
	b := mustOpen(t, testConfig(memDir(t)))
	defer b.Close()
	c := upstream(t, b, "a")[0]
	big := mqtt.Message{Topic: "t", Payload: make([]byte, 10_000)}
	for range 10 {
		if err := b.Append(context.Background(), []Item{{Message: big, Targets: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []struct{ max, bytes, n int }{{3, 1 << 20, 3}, {10, 1, 1}, {10, 15_000, 2}, {10, 1 << 20, 4}, {10, 1 << 20, 0}} {
		got, err := c.Next(Live, 0, want.max, want.bytes)
		if err != nil || len(got) != want.n {
			t.Fatalf("Next(%d, %d) gave %d, %v; want %d", want.max, want.bytes, len(got), err, want.n)
		}
	}
}

var _ io.Closer = (*Buffer)(nil)
