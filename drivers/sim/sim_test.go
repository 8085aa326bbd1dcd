package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	gomodbus "github.com/goburrow/modbus"

	"fieldgate/configs/conf"
	"fieldgate/drivers"
	"fieldgate/drivers/modbus"
	"fieldgate/drivers/modbus/wire"
	"fieldgate/drivers/serial"
)

// file is the part of a fieldgate.toml that devices write.
type file struct {
	Bus    []modbus.Bus    `toml:"bus"`
	Device []modbus.Device `toml:"device"`
	Serial []serial.Config `toml:"serial"`
}

func parse(t *testing.T, text string) (f file) {
	t.Helper()
	meta, err := toml.Decode(text, &f)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if extra := meta.Undecoded(); len(extra) > 0 {
		t.Fatalf("unknown keys %v in\n%s", extra, text)
	}
	return f
}

// serve starts a device and ends it with the test.
func serve(t *testing.T, d Device) {
	t.Helper()
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	background(t, d.Run)
}

func background(t *testing.T, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 30 s for %s", what)
		}
	}
}

func noLeaks(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for end := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				buf := make([]byte, 1<<16)
				t.Fatalf("%d goroutines more than before:\n%s", runtime.NumGoroutine()-before, buf[:runtime.Stack(buf, true)])
			}
		}
	})
}

// collector keeps the samples of a driver.
type collector struct {
	mu   sync.Mutex
	good map[string][]drivers.Value
	bad  map[string]map[string]int // by tag and reason
}

func (c *collector) report(samples []drivers.Sample) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.good == nil {
		c.good, c.bad = map[string][]drivers.Value{}, map[string]map[string]int{}
	}
	for _, s := range samples {
		if s.Quality == drivers.Good {
			c.good[s.Tag] = append(c.good[s.Tag], s.Value)
			continue
		}
		if c.bad[s.Tag] == nil {
			c.bad[s.Tag] = map[string]int{}
		}
		c.bad[s.Tag][s.Reason]++
	}
}

func (c *collector) count(tag string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.good[tag])
}

func (c *collector) values(tag string) []float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []float64
	for _, v := range c.good[tag] {
		f, _ := v.Float()
		out = append(out, f)
	}
	return out
}

// checkTruth fails the test unless the values that a driver reported for a
// tag are among those the device told, in that order.
func checkTruth(t *testing.T, c *collector, told []Presented, tag string) {
	t.Helper()
	got := c.values(tag)
	if len(got) == 0 {
		t.Errorf("%s: nothing arrived", tag)
	}
	at := 0
	for i, v := range got {
		for ; at < len(told); at++ {
			if told[at].Tag == tag && math.Abs(told[at].Value-v) <= 1e-6*math.Max(1, math.Abs(v)) {
				break
			}
		}
		if at == len(told) {
			t.Fatalf("%s: value %d, %v, was never told, or not in this order", tag, i, v)
		}
		// The same telling stands for equal values that follow: a poll may be reported once more.
	}
}

// modbusDriver is the real driver for the first bus of a text.
func modbusDriver(t *testing.T, text string, change func(*file)) *modbus.Driver {
	t.Helper()
	f := parse(t, text)
	if change != nil {
		change(&f)
	}
	d, err := modbus.New(f.Bus[0], f.Device, modbus.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestPLCWithTheRealDriver(t *testing.T) {
	noLeaks(t)
	plc, err := NewPLC(PLCConfig{})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, plc)
	d := modbusDriver(t, plc.TOML(), func(f *file) {
		f.Device[0].Poll = modbus.Poll(100 * time.Millisecond)
		f.Bus[0].Timeout = conf.Duration(20 * time.Second) // a repeated read would leave a hole in "answers"
	})
	c := &collector{}
	background(t, func(ctx context.Context) error { return d.Run(ctx, c.report) })
	eventually(t, "twenty polls", func() bool {
		return c.count("runtime") >= 20 && c.count("answers") >= 20 && c.count("burner_on") >= 20 && c.count("pump") >= 20
	})

	// Every answer arrived exactly once: the register that counts answers shows no hole.
	answers := c.values("answers")
	for i := 1; i < len(answers); i++ {
		if answers[i] != answers[i-1]+1 {
			t.Fatalf("answers %v, then %v", answers[i-1], answers[i])
		}
	}
	res, err := d.Write(t.Context(), "plc", "setpoint", drivers.FloatValue(80.5))
	if err != nil || res.ReadBack != drivers.FloatValue(80.5) {
		t.Fatalf("write: %+v, %v", res, err)
	}
	eventually(t, "the set point that was written", func() bool {
		v := c.values("setpoint")
		return v[len(v)-1] == 80.5
	})
	if _, err := d.Write(t.Context(), "plc", "pump", drivers.BoolValue(false)); err != nil {
		t.Fatal(err)
	}
	told := plc.Presented()
	for _, p := range Boiler() {
		checkTruth(t, c, told, p.Name)
	}
}

func TestMeterWithTheRealDriver(t *testing.T) {
	noLeaks(t)
	link := filepath.Join(t.TempDir(), "meter")
	m, err := NewMeter(MeterConfig{Link: link, Baud: 115200})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, m)
	if m.Path() != link {
		t.Fatalf("path %s", m.Path())
	}
	d := modbusDriver(t, m.TOML(), func(f *file) {
		f.Device[0].Poll = modbus.Poll(100 * time.Millisecond)
		f.Bus[0].Timeout = conf.Duration(20 * time.Second)
	})
	c := &collector{}
	background(t, func(ctx context.Context) error { return d.Run(ctx, c.report) })
	eventually(t, "ten polls", func() bool { return c.count("l1_voltage") >= 10 && c.count("import_energy") >= 10 })
	told := m.Presented()
	for _, p := range SDM630() {
		checkTruth(t, c, told, p.Name)
	}
	for _, v := range c.values("l1_voltage") {
		if v < 225.9 || v > 234.1 {
			t.Errorf("l1_voltage %v", v)
		}
	}
}

func TestFaultsNeverGiveAWrongValue(t *testing.T) {
	noLeaks(t)
	// Seed 22 brings all four within the first six answers.
	m, err := NewMeter(MeterConfig{
		Baud: 115200, Points: SDM630()[:6], Seed: 22,
		Faults: Faults{Late: 0.1, LateBy: conf.Duration(600 * time.Millisecond), Drop: 0.1, Noise: 0.2, Exception: 0.1, Off: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, m)
	d := modbusDriver(t, m.TOML(), func(f *file) {
		f.Bus[0].Timeout = conf.Duration(500 * time.Millisecond)
		f.Device[0].Poll = modbus.Poll(50 * time.Millisecond)
		f.Device[0].Offline.After = 100 // stay at it
	})
	c := &collector{}
	background(t, func(ctx context.Context) error { return d.Run(ctx, c.report) })
	eventually(t, "undisturbed polls", func() bool { return c.count("l1_voltage") >= 3 })
	if n := m.FaultCounts(); n != (FaultCounts{}) {
		t.Errorf("disturbed while off: %+v", n)
	}
	m.Disturb(true)
	eventually(t, "all faults and good values between them", func() bool {
		n := m.FaultCounts()
		return n.Drop > 0 && n.Late > 0 && n.Noise > 0 && n.Exception > 0 && c.count("l1_voltage") >= 8
	})
	m.Disturb(false)
	n := c.count("l1_voltage")
	eventually(t, "good values after the faults", func() bool { return c.count("l1_voltage") >= n+3 })
	for _, p := range SDM630()[:6] {
		checkTruth(t, c, m.Presented(), p.Name)
	}
}

func TestScaleWithTheRealDriver(t *testing.T) {
	for name, cfg := range map[string]ScaleConfig{
		"stream":  {Interval: conf.Duration(20 * time.Millisecond)},
		"request": {Request: "Q\r\n", Interval: conf.Duration(20 * time.Millisecond)},
		"noise":   {Interval: conf.Duration(20 * time.Millisecond), Faults: Faults{Noise: 0.3, Drop: 0.2, Exception: 0.1}},
	} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			s, err := NewScale(cfg)
			if err != nil {
				t.Fatal(err)
			}
			serve(t, s)
			f := parse(t, s.TOML())
			d, err := serial.New(f.Serial[0])
			if err != nil {
				t.Fatal(err)
			}
			c := &collector{}
			background(t, func(ctx context.Context) error { return d.Run(ctx, c.report) })
			eventually(t, "twenty weights", func() bool { return c.count("weight") >= 20 && c.count("stable") >= 20 })
			// The line is told before it is remembered: wait for the truth to catch up.
			n := c.count("weight")
			eventually(t, "the truth", func() bool { return len(s.Presented()) >= 2*n })
			checkTruth(t, c, s.Presented(), "weight")
			checkTruth(t, c, s.Presented(), "stable")
		})
	}
}

func TestPLCWithAnotherMaster(t *testing.T) {
	noLeaks(t)
	plc, err := NewPLC(PLCConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[string]Presented{}
	plc.OnPresent(func(ps []Presented) {
		mu.Lock()
		defer mu.Unlock()
		for _, p := range ps {
			seen[p.Tag] = p
		}
	})
	serve(t, plc)
	h := gomodbus.NewTCPClientHandler(plc.Addr())
	h.SlaveId, h.Timeout = 1, 20*time.Second
	if err := h.Connect(); err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	client := gomodbus.NewClient(h)

	b, err := client.ReadHoldingRegisters(110, 4)
	if err != nil {
		t.Fatal(err)
	}
	flow := uint32(binary.BigEndian.Uint16(b[2:]))<<16 | uint32(binary.BigEndian.Uint16(b))
	mu.Lock()
	if p := seen["flow_total"]; p.Raw != drivers.UintValue(uint64(flow)) || flow < 1_200_000 || p.Number != 1 {
		t.Errorf("flow_total %d, told %+v", flow, p)
	}
	if p := seen["answers"]; p.Raw != drivers.UintValue(1) || binary.BigEndian.Uint16(b[4:]) != 1 {
		t.Errorf("answers % x, told %+v", b[4:], p)
	}
	mu.Unlock()
	if _, err := client.ReadHoldingRegisters(111, 1); err != nil { // half of a counter is no value
		t.Fatal(err)
	}
	for _, p := range plc.Presented() {
		if p.Number > 1 {
			t.Errorf("half a register counts as told: %+v", p)
		}
	}
	if _, err := client.WriteSingleRegister(101, 805); err != nil {
		t.Fatal(err)
	}
	if b, err := client.ReadHoldingRegisters(101, 1); err != nil || binary.BigEndian.Uint16(b) != 805 {
		t.Errorf("set point % x, %v", b, err)
	}
	for name, err := range map[string]error{
		"write to a value that moves by itself": second(client.WriteSingleRegister(100, 1)),
		"write to nothing":                      second(client.WriteSingleRegister(500, 1)),
		"write across the end of a point":       second(client.WriteMultipleRegisters(101, 2, []byte{0, 1, 0, 1})),
		"read beyond the last address":          second(client.ReadHoldingRegisters(addressCount-1, 2)),
	} {
		var me *gomodbus.ModbusError
		if !errors.As(err, &me) || me.ExceptionCode != gomodbus.ExceptionCodeIllegalDataAddress {
			t.Errorf("%s: %v, want exception 2", name, err)
		}
	}
}

func second(_ []byte, err error) error { return err }

func TestPLCException(t *testing.T) {
	noLeaks(t)
	plc, err := NewPLC(PLCConfig{Faults: Faults{Exception: 1}})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, plc)
	l := wire.New(wire.Config{Name: "t", Kind: wire.TCP, Address: plc.Addr(), Timeout: 20 * time.Second})
	defer l.Close()
	_, err = l.Do(t.Context(), wire.Request{Unit: 1, Function: 3, Address: 100, Quantity: 1})
	var ex *wire.Exception
	if !errors.As(err, &ex) || ex.Code != 4 {
		t.Errorf("error %v, want exception 4", err)
	}
	if len(plc.Presented()) != 0 {
		t.Error("an exception tells no value")
	}
}

func TestPlant(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	cfg := DefaultConfig()
	cfg.Meter[0].Link, cfg.Scale[0].Link = filepath.Join(dir, "meter"), filepath.Join(dir, "scale")
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- p.Run(ctx, func() { ready <- p.TOML() }) }()
	f := parse(t, <-ready)
	if len(f.Bus) != 2 || len(f.Device) != 2 || len(f.Serial) != 1 {
		t.Errorf("sections: %+v", f)
	}
	bad := func(p conf.Problem) {
		if p.Code[0] == 'E' {
			t.Errorf("%s %s: %s", p.Code, p.Key, p.Text)
		}
	}
	for _, b := range f.Bus {
		b.Validate(bad)
	}
	for _, d := range f.Device {
		d.Validate(bad)
	}
	f.Serial[0].Validate(bad)
	for _, d := range p.Devices() {
		if d.Target() == "" || d.Name() == "" {
			t.Errorf("device %T has no name or target", d)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("links left behind: %v %v", left, err)
	}
}

func TestPlantThatCannotStart(t *testing.T) {
	noLeaks(t)
	plc, err := NewPLC(PLCConfig{})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, plc)
	p, err := New(Config{PLC: []PLCConfig{{Name: "a"}, {Name: "b", Bind: plc.Addr()}}})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Run(t.Context(), func() { t.Error("ready, though a port is taken") })
	if err == nil || !strings.Contains(err.Error(), "device b:") || !strings.Contains(err.Error(), "choose another bind") {
		t.Errorf("Run: %v", err)
	}
}
