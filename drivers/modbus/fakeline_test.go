package modbus

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/configs/conf"
	"fieldgate/drivers"
	"fieldgate/drivers/modbus/wire"
)

// fakeUnit is a device behind a fakeLine.
type fakeUnit struct {
	holding, input map[uint16]uint16 // registers that exist
	coils          map[uint16]bool
	dead           bool
	turn           time.Duration           // turn-around, default 10 ms
	perRegister    time.Duration           // more for each register that is read
	refuse         func(wire.Request) byte // exception code, 0: none
	misfit         func(wire.Request) bool // answers something else
	ignoreWrites   bool                    // says yes and does nothing
	lostWrites     bool                    // does it, but the answer is lost
}

// fakeLine is a line in simulated time.
type fakeLine struct {
	timeout time.Duration
	retries int

	mu    sync.Mutex
	units map[byte]*fakeUnit
	gone  bool
	log   []string // requests as "3 h100+2"
	busy  time.Duration
	lost  time.Duration // of busy: waits without an answer
	open  bool
}

func newFakeLine(units map[byte]*fakeUnit) *fakeLine {
	return &fakeLine{timeout: 300 * time.Millisecond, retries: 1, units: units, open: true}
}

func (l *fakeLine) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = false
	return nil
}

func (l *fakeLine) Do(ctx context.Context, r wire.Request) (wire.Reply, error) {
	l.mu.Lock()
	l.log = append(l.log, fmt.Sprintf("%d f%d %d+%d", r.Unit, r.Function, r.Address, r.Quantity))
	u, gone := l.units[r.Unit], l.gone
	l.mu.Unlock()
	if gone {
		return wire.Reply{}, fmt.Errorf("open: %w", wire.ErrGone)
	}
	if u == nil || u.isDead(l) {
		return l.lose(ctx, r)
	}
	turn := u.turn
	if turn == 0 {
		turn = 10 * time.Millisecond
	}
	turn += time.Duration(r.Quantity) * u.perRegister
	if err := l.wait(ctx, turn, &l.busy); err != nil {
		return wire.Reply{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	data, err := u.answer(r)
	if err == errLostAnswer {
		l.mu.Unlock()
		defer l.mu.Lock()
		return l.lose(ctx, wire.Request{NoRetry: true})
	}
	return wire.Reply{Data: data, At: clock.Now(), Took: turn}, err
}

func (u *fakeUnit) isDead(l *fakeLine) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return u.dead
}

// lose waits for an answer that never comes.
func (l *fakeLine) lose(ctx context.Context, r wire.Request) (wire.Reply, error) {
	tries := 1
	if !r.NoRetry && r.Function <= 4 {
		tries += l.retries
	}
	for range tries {
		if err := l.wait(ctx, l.timeout, &l.lost); err != nil {
			return wire.Reply{}, err
		}
	}
	return wire.Reply{}, fmt.Errorf("unit %d: %w", r.Unit, wire.ErrTimeout)
}

func (l *fakeLine) wait(ctx context.Context, d time.Duration, book *time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
	}
	l.mu.Lock()
	*book += d
	l.mu.Unlock()
	return nil
}

var errLostAnswer = fmt.Errorf("lost")

func exception(r wire.Request, code byte) ([]byte, error) {
	return nil, &wire.Exception{Function: r.Function, Code: code}
}

func (u *fakeUnit) answer(r wire.Request) ([]byte, error) {
	if u.refuse != nil {
		if code := u.refuse(r); code != 0 {
			return exception(r, code)
		}
	}
	if u.misfit != nil && u.misfit(r) {
		return nil, &wire.ReplyError{Text: "test"}
	}
	switch r.Function {
	case 1, 2:
		out := make([]byte, (r.Quantity+7)/8)
		for i := range r.Quantity {
			on, exists := u.coils[r.Address+i]
			if !exists {
				return exception(r, 2)
			}
			if on {
				out[i/8] |= 1 << (i % 8)
			}
		}
		return out, nil
	case 3, 4:
		area := u.holding
		if r.Function == 4 {
			area = u.input
		}
		var out []byte
		for i := range r.Quantity {
			v, exists := area[r.Address+i]
			if !exists {
				return exception(r, 2)
			}
			out = binary.BigEndian.AppendUint16(out, v)
		}
		return out, nil
	}
	return u.set(r)
}

func (u *fakeUnit) set(r wire.Request) ([]byte, error) {
	if u.ignoreWrites {
		return nil, nil
	}
	switch r.Function {
	case 5:
		u.coils[r.Address] = r.Data[0] == 0xFF
	case 15:
		for i := range r.Quantity {
			u.coils[r.Address+i] = r.Data[i/8]>>(i%8)&1 == 1
		}
	case 6:
		u.holding[r.Address] = binary.BigEndian.Uint16(r.Data)
	case 16:
		for i := range r.Quantity {
			u.holding[r.Address+i] = binary.BigEndian.Uint16(r.Data[2*i:])
		}
	}
	if u.lostWrites {
		return nil, errLostAnswer
	}
	return nil, nil
}

// requests is how often a request was sent, and forgets all.
func (l *fakeLine) requests() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.log
	l.log = nil
	return out
}

func (l *fakeLine) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// registers makes n registers that exist, each with its own address as value.
func registers(from, n uint16) map[uint16]uint16 {
	out := map[uint16]uint16{}
	for i := range n {
		out[from+i] = from + i
	}
	return out
}

// bench is a running driver on a fake line.
type bench struct {
	*testing.T
	d      *Driver
	l      *fakeLine
	memory *fakeMemory

	mu      sync.Mutex
	samples []drivers.Sample
	events  []drivers.Event
	stop    func()
}

type fakeMemory struct{ m map[string][]byte }

func (m *fakeMemory) Get(key string) ([]byte, bool, error) { v, ok := m.m[key]; return v, ok, nil }
func (m *fakeMemory) Put(key string, value []byte) error {
	m.m[key] = value
	return nil
}

// newBench must be called in a synctest bubble.
func newBench(t *testing.T, l *fakeLine, memory *fakeMemory, devices ...Device) *bench {
	t.Helper()
	return newBenchLine(t, l, l, memory, devices...)
}

// silentLine loses some requests.
type silentLine struct {
	*fakeLine
	silent func(wire.Request) bool
}

func (l *silentLine) Do(ctx context.Context, r wire.Request) (wire.Reply, error) {
	if l.silent(r) {
		return l.lose(ctx, r)
	}
	return l.fakeLine.Do(ctx, r)
}

func newBenchLine(t *testing.T, use line, l *fakeLine, memory *fakeMemory, devices ...Device) *bench {
	t.Helper()
	return newBenchBus(t, Bus{Name: "bus", TCP: "127.0.0.1:502", Timeout: conf.Duration(l.timeout)}, use, l, memory, devices...)
}

func newBenchBus(t *testing.T, bus Bus, use line, l *fakeLine, memory *fakeMemory, devices ...Device) *bench {
	t.Helper()
	return newBenchWith(t, Options{}, bus, use, l, memory, devices...)
}

func newBenchWith(t *testing.T, o Options, bus Bus, use line, l *fakeLine, memory *fakeMemory, devices ...Device) *bench {
	t.Helper()
	b := &bench{T: t, l: l, memory: memory}
	for i := range devices {
		devices[i].Bus = "bus"
		if devices[i].MaxGap == nil {
			devices[i].MaxGap = 8 // tests look at requests; that of "auto" depends on what was learnt
		}
	}
	o.open = func(wire.Config) line { return use }
	o.Event = func(e drivers.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events = append(b.events, e)
	}
	if memory != nil {
		o.Memory = memory
	}
	var err error
	if b.d, err = New(bus, devices, o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- b.d.Run(ctx, func(s []drivers.Sample) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.samples = append(b.samples, s...)
		})
	}()
	b.stop = func() {
		cancel()
		if err := <-done; err != context.Canceled {
			t.Error(err)
		}
	}
	return b
}

// run lets simulated time pass.
func (b *bench) run(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// of lists what was reported of a tag: its value, or the reason.
func (b *bench) of(device, tag string) (out []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.samples {
		if s.Device != device || s.Tag != tag {
			continue
		}
		text := s.Value.String()
		if s.Quality != drivers.Good {
			text = s.Quality.String() + "(" + s.Reason + ")"
		}
		out = append(out, text)
	}
	return out
}

func (b *bench) last(device, tag string) string {
	list := b.of(device, tag)
	if len(list) == 0 {
		return "nothing"
	}
	return list[len(list)-1]
}

func (b *bench) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.samples = nil
	b.l.change(func() { b.l.log, b.l.busy, b.l.lost = nil, 0, 0 })
}

func (b *bench) stats(device string) drivers.DeviceStats {
	for _, s := range b.d.Stats().Devices {
		if s.Device == device {
			return s
		}
	}
	b.Fatalf("no stats of %s", device)
	return drivers.DeviceStats{}
}
