package sim

import (
	"math"
	"slices"
	"testing"
	"time"

	"fieldgate/configs/conf"
)

func TestRegisters(t *testing.T) {
	for _, test := range []struct {
		reg   string
		f     float64
		cells []uint16
		value string
	}{
		{"h100:int16", -1, []uint16{0xFFFF}, "-1"},
		{"h100:int16", 99999, []uint16{0x7FFF}, "32767"},
		{"h100:int16", -99999, []uint16{0x8000}, "-32768"},
		{"h100", 65535, []uint16{0xFFFF}, "65535"},
		{"h0x10:uint16", -5, []uint16{0}, "0"},
		{"h110:uint32", 0x01020304, []uint16{0x0102, 0x0304}, "16909060"},
		{"h110:uint32@CDAB", 0x01020304, []uint16{0x0304, 0x0102}, "16909060"},
		{"h110:uint32@BADC", 0x01020304, []uint16{0x0201, 0x0403}, "16909060"},
		{"h110:uint32@DCBA", 0x01020304, []uint16{0x0403, 0x0201}, "16909060"},
		{"h110:int32", -2, []uint16{0xFFFF, 0xFFFE}, "-2"},
		{"i0:float32", 230.5, []uint16{0x4366, 0x8000}, "230.5"},
		{"i0:float64", 1.5, []uint16{0x3FF8, 0, 0, 0}, "1.5"},
		{"i0:int64", -2, []uint16{0xFFFF, 0xFFFF, 0xFFFF, 0xFFFE}, "-2"},
		{"i0:uint64", 1 << 40, []uint16{0, 0x0100, 0, 0}, "1099511627776"},
		{"c0", 1, []uint16{1}, "true"},
		{"d4:bool", 0, []uint16{0}, "false"},
	} {
		r, err := parseRegister(test.reg)
		if err != nil {
			t.Errorf("%s: %v", test.reg, err)
			continue
		}
		cells, v := r.encode(test.f)
		if !slices.Equal(cells, test.cells) || string(v.AppendJSON(nil)) != test.value {
			t.Errorf("%s %v: %04x %s, want %04x %s", test.reg, test.f, cells, v, test.cells, test.value)
		}
	}
	for _, bad := range []string{"", "x1", "h", "h-1", "h70000", "h1:int17", "h1:bool", "c1:int16", "h1:int32@ABDC", "h1:int16@", "h1023:int32", "40001"} {
		if r, err := parseRegister(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, r)
		}
	}
}

func FuzzRegister(f *testing.F) {
	for _, seed := range []string{"h100:int16", "i0:float32@CDAB", "c3", "h0x10:uint64@DCBA", ":", "@", "h1:", "h99999999999"} {
		f.Add(seed, 1.5)
	}
	f.Add("h0:int64", math.Inf(1))
	f.Fuzz(func(t *testing.T, text string, number float64) {
		r, err := parseRegister(text)
		if err != nil {
			return
		}
		cells, v := r.encode(number)
		if len(cells) != words[r.typ] || r.address+len(cells) > addressCount {
			t.Fatalf("%q: %d cells at %d", text, len(cells), r.address)
		}
		if again := r.decode(cells); again != v {
			t.Fatalf("%q: %v, then %v", text, v, again)
		}
	})
}

func TestWaves(t *testing.T) {
	const s = time.Second
	for _, test := range []struct {
		wave string
		at   time.Duration
		want float64
	}{
		{"constant", 7 * s, 10},
		{"sine", 0, 15}, {"sine", 1 * s, 20}, {"sine", 3 * s, 10},
		{"ramp", 0, 10}, {"ramp", 2 * s, 15}, {"ramp", 4 * s, 10},
		{"square", 1 * s, 10}, {"square", 3 * s, 20},
		{"counter", 0, 10}, {"counter", 41 * s, 20},
	} {
		p, err := newPoint(Point{Name: "p", Reg: "h0", Wave: test.wave, Min: 10, Max: 20, Period: conf.Duration(4 * s)})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.value(test.at); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%s after %s: %v, want %v", test.wave, test.at, got, test.want)
		}
	}
}

func TestScaleCycle(t *testing.T) {
	s, err := NewScale(ScaleConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		at   time.Duration
		want string
	}{
		{time.Second, "ST,GS,+  0.000kg\r\n"},
		{10 * time.Second, "ST,GS,+ 10.573kg\r\n"},
		{19 * time.Second, "US,GS,+  3.524kg\r\n"},
		{130 * time.Second, "OL,GS,+------kg\r\n"},
	} {
		if got := s.line(s.weigh(test.at)); got != test.want {
			t.Errorf("after %s: %q, want %q", test.at, got, test.want)
		}
	}
	if got := s.line(reading{-0.125, false}); got != "US,GS,-  0.125kg\r\n" {
		t.Errorf("negative: %q", got)
	}
}
