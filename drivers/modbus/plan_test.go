package modbus

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func spansText(spans []span) string {
	var out []string
	for _, s := range spans {
		out = append(out, fmt.Sprintf("%c%d+%d", s.area, s.addr, s.count))
	}
	return strings.Join(out, " ")
}

// itemsOf reads "h0:2 h4:1": area, address, count.
func itemsOf(t testing.TB, text string) []item {
	t.Helper()
	var out []item
	for i, f := range strings.Fields(text) {
		var it item
		if _, err := fmt.Sscanf(f, "%c%d:%d", &it.area, &it.addr, &it.count); err != nil {
			t.Fatal(err)
		}
		it.points = []int{i}
		out = append(out, it)
	}
	return out
}

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name, items string
		l           limits
		want        string
	}{
		{"nothing", "", limits{maxGap: 8, maxRegisters: 125}, ""},
		{"one", "h5:2", limits{maxGap: 8, maxRegisters: 125}, "h5+2"},
		{"contiguous", "h0:2 h2:2 h4:1", limits{maxGap: 0, maxRegisters: 125}, "h0+5"},
		{"unsorted", "h4:1 h0:2 h2:2", limits{maxGap: 0, maxRegisters: 125}, "h0+5"},
		{"gap of 8 joins", "h0:1 h9:1", limits{maxGap: 8, maxRegisters: 125}, "h0+10"},
		{"gap of 9 does not", "h0:1 h10:1", limits{maxGap: 8, maxRegisters: 125}, "h0+1 h10+1"},
		{"gap 0", "h0:1 h2:1", limits{maxGap: 0, maxRegisters: 125}, "h0+1 h2+1"},
		{"areas are separate", "h0:1 i1:1 c2:1 d3:1", limits{maxGap: 8, maxRegisters: 125}, "c2+1 d3+1 h0+1 i1+1"},
		{"limit", "h0:2 h2:2 h4:2", limits{maxGap: 8, maxRegisters: 5}, "h0+4 h4+2"},
		{"never split", "h0:3 h3:4", limits{maxGap: 8, maxRegisters: 6}, "h0+3 h3+4"},
		{"125 is the end", "h0:125 h125:1", limits{maxGap: 8, maxRegisters: 125}, "h0+125 h125+1"}, // one peer merged on
		{"no address is skipped", "h0:1 h1:1 h2:1 h3:1 h4:1", limits{maxGap: 8, maxRegisters: 2}, "h0+2 h2+2 h4+1"},
		{"overlap", "h0:4 h1:1 h2:4", limits{maxGap: 0, maxRegisters: 125}, "h0+6"},
		{"twice the same", "h0:2 h0:2 h0:1", limits{maxGap: 0, maxRegisters: 125}, "h0+2"},
		{"bits bridge 128", "c0:1 c129:1 c300:1", limits{maxGap: 8, maxRegisters: 125}, "c0+130 c300+1"},
		{"bits end at 2000", "c0:1 c100:1 c1999:1 c2000:1", limits{maxGap: 125, maxRegisters: 125}, "c0+101 c1999+2"},
		{"a break", "h0:1 h1:1 h2:1 h3:1", limits{maxGap: 8, maxRegisters: 125, breaks: map[Area][]int{Holding: {2}}}, "h0+2 h2+2"},
		{"a break in a hole", "h0:1 h5:1", limits{maxGap: 8, maxRegisters: 125, breaks: map[Area][]int{Holding: {5}}}, "h0+1 h5+1"},
		{"SDM630", "i0:2 i2:2 i4:2 i6:2 i12:2 i52:2 i70:2 i72:2 i342:2", limits{maxGap: 8, maxRegisters: 80}, "i0+14 i52+2 i70+4 i342+2"},
	} {
		if got := spansText(plan(itemsOf(t, c.items), c.l)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestHalve(t *testing.T) {
	s := spanOf(itemsOf(t, "h0:1 h2:2 h10:1 h20:4"))
	a, b, ok := s.halve()
	if !ok || spansText([]span{a, b}) != "h0+11 h20+4" {
		t.Errorf("%s", spansText([]span{a, b}))
	}
	one := spanOf(itemsOf(t, "h0:4"))
	if _, _, ok := one.halve(); ok {
		t.Error("a value was split")
	}
}

// FuzzPlan checks what must hold for every plan.
func FuzzPlan(f *testing.F) {
	f.Add([]byte{0, 0, 2, 0, 5, 1, 1, 0, 1}, uint8(8), uint8(125), uint16(3))
	f.Add([]byte{2, 255, 4, 3, 0, 1, 2, 250, 9}, uint8(0), uint8(4), uint16(0))
	f.Fuzz(func(t *testing.T, data []byte, gap, limit uint8, brk uint16) {
		l := limits{maxGap: int(gap) % 126, maxRegisters: max(1, int(limit)%126), breaks: map[Area][]int{Holding: {int(brk)}}}
		var items []item
		for i := 0; i+2 < len(data) && len(items) < 200; i += 3 {
			it := item{area: []Area{Holding, Input, Coil, Discrete}[data[i]%4], addr: int(data[i+1]) * 7, count: int(data[i+2])%4 + 1, points: []int{len(items)}}
			if it.area.Bits() {
				it.count = 1
			}
			items = append(items, it)
		}
		seen := make([]int, len(items))
		for _, s := range plan(items, l) {
			used := 0
			for _, it := range s.items {
				seen[it.points[0]]++
				if it.area != s.area || it.addr < s.addr || it.end() > s.end() {
					t.Fatalf("item %+v is not whole within %+v", it, s)
				}
				used += it.count
			}
			if s.count > l.size(s.area) && len(s.items) > 1 {
				t.Fatalf("%+v is larger than %d", s, l.size(s.area))
			}
			if len(s.items) == 1 && s.count != s.items[0].count {
				t.Fatalf("%+v reads more than its item", s)
			}
			checkGaps(t, s, l)
		}
		for i, n := range seen {
			if n != 1 {
				t.Fatalf("item %d is in %d requests", i, n)
			}
		}
	})
}

// checkGaps checks that no hole in a span is wider than allowed and none of
// its joints lies on a break.
func checkGaps(t *testing.T, s span, l limits) {
	end := s.items[0].end()
	for _, it := range s.items[1:] {
		if it.addr-end > l.gap(s.area) {
			t.Fatalf("hole of %d in %+v", it.addr-end, s)
		}
		for _, b := range l.breaks[s.area] {
			if it.addr >= b && s.addr < b {
				t.Fatalf("%+v goes over the break at %d", s, b)
			}
		}
		end = max(end, it.end())
	}
}

func sdm(gap int) Device {
	d := Device{Name: "meter1", Bus: "rs485-a", Unit: 3, MaxGap: gap}
	for i, reg := range []string{"i0", "i2", "i4", "i6", "i8", "i10", "i52", "i70", "i72", "i342"} {
		d.Tags = append(d.Tags, Tag{Name: fmt.Sprint("t", i), Reg: reg + ":float32"})
	}
	return d
}

func TestPlanOfDevices(t *testing.T) {
	bus := Bus{Name: "rs485-a", Port: "/dev/ttyUSB0", Baud: 9600, Mode: "8N1"}
	d := sdm(8)
	d.Tags[9].Poll = Poll(time.Minute)
	got := Plan(bus, []Device{d, {Name: "other", Bus: "x", Tags: d.Tags}, {Name: "off", Bus: "rs485-a", Disabled: true, Tags: d.Tags}})
	if len(got) != 4 {
		t.Fatalf("%+v", got)
	}
	first := got[0]
	if first.First().Wire() != "i0" || first.Count != 12 || first.Function != 4 || first.Unit != 3 || strings.Join(first.Tags, " ") != "t0 t1 t2 t3 t4 t5" {
		t.Errorf("%+v", first)
	}
	// 8 + 5 + 24 bytes at 10 bits, two silences, 20 ms assumed turn-around.
	if first.Bytes != 37 || first.Time < 60*time.Millisecond || first.Time > 70*time.Millisecond || first.Load != first.Time.Seconds() {
		t.Errorf("%d bytes, %s, load %v", first.Bytes, first.Time, first.Load)
	}
	if last := got[3]; last.Poll != Poll(time.Minute) || last.Load > 0.001 {
		t.Errorf("%+v", last)
	}
}

func TestLoadWarning(t *testing.T) {
	bus := Bus{Name: "rs485-a", Port: "/dev/ttyUSB0", Baud: 9600}
	d := sdm(0)
	d.Poll = Poll(100 * time.Millisecond)
	two := d
	two.Name = "meter2"
	warning, help := LoadWarning(bus, []Device{d, two})
	if !strings.HasPrefix(warning, "bus rs485-a needs ") || !strings.Contains(warning, "s of line time per second (meter1 ") || !strings.Contains(warning, "meter2 ") {
		t.Error(warning)
	}
	if !strings.Contains(help, "poll slower, raise baud, or let max_gap = \"auto\" join 8 requests into 6") {
		t.Error(help)
	}
	slow := sdm(8)
	slow.Poll = Poll(10 * time.Second)
	if warning, _ := LoadWarning(bus, []Device{slow}); warning != "" {
		t.Error(warning)
	}
}

func TestAlternatives(t *testing.T) {
	d := dev("m", 1, tag("a", "i0:float32"), tag("b", "i8:float32"), tag("c", "i52:float32"))
	d.Bus, d.MaxGap = "l", 2
	serial := Bus{Name: "l", Port: "/dev/x"}
	is := measureUp("", Plan(serial, []Device{d}))
	got := map[string]Alternative{}
	for _, a := range Alternatives(serial, []Device{d}) {
		got[a.Setting] = a
	}
	fast, auto := got["baud = 19200"], got[`max_gap = "auto"`]
	if fast.Requests != is.Requests || fast.Load >= is.Load || fast.Cycle >= is.Cycle || got["baud = 115200"].Load >= fast.Load {
		t.Errorf("as it is %+v, else %+v", is, got)
	}
	if auto.Requests >= is.Requests || auto.Load >= is.Load {
		t.Errorf("as it is %+v, with auto %+v", is, auto)
	}
	for _, same := range []string{"baud = 9600", "max_gap = 0"} {
		if a, listed := got[same]; listed {
			t.Errorf("%s changes nothing, and is listed: %+v", same, a)
		}
	}
	for _, a := range Alternatives(Bus{Name: "l", TCP: "h"}, []Device{d}) {
		if strings.HasPrefix(a.Setting, "baud") {
			t.Errorf("%s on TCP", a.Setting)
		}
	}
}
