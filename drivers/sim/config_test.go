package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fieldgate/configs/conf"
)

func TestValidate(t *testing.T) {
	if _, err := New(DefaultConfig()); err != nil {
		t.Errorf("the default: %v", err)
	}
	for _, test := range []struct {
		c    Config
		want string
	}{
		{Config{PLC: []PLCConfig{{}, {}}}, `plc[1].name: two devices are called "plc"`},
		{Config{PLC: []PLCConfig{{Unit: 300}}}, `plc[0].unit: unit 300 is out of range`},
		{Config{PLC: []PLCConfig{{Faults: Faults{Late: 1.5}}}}, `plc[0].faults.late: 1.5 is not a probability`},
		{Config{PLC: []PLCConfig{{Points: []Point{{Name: "a", Reg: "x"}}}}}, `plc[0].points[0].reg: reg "x": the first letter is c, d, i or h`},
		{Config{PLC: []PLCConfig{{Points: []Point{{Name: "a", Reg: "h0", Wave: "sin"}}}}}, `plc[0].points[0].wave: unknown wave "sin"`},
		{Config{PLC: []PLCConfig{{Points: []Point{{Reg: "h0"}}}}}, `plc[0].points[0].name: the name of a point is missing`},
		{Config{PLC: []PLCConfig{{Points: []Point{{Name: "a", Reg: "h0"}, {Name: "a", Reg: "h1"}}}}}, `plc[0].points[1].name: two points are called "a"`},
		{Config{Meter: []MeterConfig{{Link: "meter"}}}, `meter[0].link: "meter" cannot be the link`},
		{Config{Meter: []MeterConfig{{Baud: -1}}}, `meter[0].baud: -1 is not a speed`},
		{Config{Scale: []ScaleConfig{{Link: "/dev/ttyS0"}}}, `scale[0].link:`},
		{Config{Scale: []ScaleConfig{{Max: -1}}}, `scale[0].max:`},
		{Config{Scale: []ScaleConfig{{Faults: Faults{Drop: -1}}}}, `scale[0].faults.drop:`},
	} {
		var got []string
		test.c.Validate(func(p conf.Problem) { got = append(got, fmt.Sprintf("%s: %s", p.Key, p.Text)) })
		if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, test.want) }) {
			t.Errorf("no %q among %q", test.want, got)
		}
		if _, err := New(test.c); err == nil {
			t.Errorf("New accepts what Validate reports: %s", test.want)
		}
	}
	overlap := []Point{{Name: "a", Reg: "h0:int32"}, {Name: "b", Reg: "h1"}}
	if _, err := NewPLC(PLCConfig{Points: overlap}); err == nil || !strings.Contains(err.Error(), "points a and b overlap at address 1") {
		t.Errorf("overlapping points: %v", err)
	}
}

func TestLinks(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "meter")
	if err := makeLink(link, "/dev/pts/1"); err != nil {
		t.Fatal(err)
	}
	if err := makeLink(link, "/dev/pts/2"); err != nil { // an earlier run died
		t.Fatal(err)
	}
	removeLink(link, "/dev/pts/1") // not ours any more
	if to, err := os.Readlink(link); err != nil || to != "/dev/pts/2" {
		t.Fatalf("link leads to %q, %v", to, err)
	}
	removeLink(link, "/dev/pts/2")
	if _, err := os.Lstat(link); !os.IsNotExist(err) {
		t.Errorf("the link is still there: %v", err)
	}
	if err := os.WriteFile(link, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := makeLink(link, "/dev/pts/1"); err == nil || !strings.Contains(err.Error(), "something else is there") {
		t.Errorf("a file in the way: %v", err)
	}
}

func TestFaultsAreAsFrequentAsAsked(t *testing.T) {
	d := newDisturber(Faults{Late: 0.1, Drop: 0.2, Noise: 0.3, Exception: 0.05}, 7)
	const n = 20000
	drops := 0
	for range n {
		if d.draw().drop {
			drops++
		}
	}
	c := d.FaultCounts()
	if drops != int(c.Drop) {
		t.Errorf("%d drops, counted %d", drops, c.Drop)
	}
	near := func(name string, got uint64, want float64) {
		if f := float64(got) / n; f < want*0.8 || f > want*1.2 {
			t.Errorf("%s: %.3f of the answers, want %.3f", name, f, want)
		}
	}
	near("drop", c.Drop, 0.2)
	near("late", c.Late, 0.1*0.8) // of those that are answered
	near("noise", c.Noise, 0.3*0.8)
	near("exception", c.Exception, 0.05*0.8)

	d.Disturb(false)
	for range 100 {
		if f := d.draw(); f.drop || f.exception || f.delay != 0 || f.noise != nil {
			t.Fatal("disturbed while switched off")
		}
	}
	d.SetFaults(Faults{Drop: 1})
	if !d.draw().drop {
		t.Error("SetFaults does not switch on")
	}
}

func TestTruthIsBounded(t *testing.T) {
	var tr truth
	for i := range keep + 100 {
		tr.add([]Presented{{Tag: "a", Value: float64(i)}})
	}
	got := tr.Presented()
	if len(got) != keep || got[0].Value != 100 || got[keep-1].Value != keep+99 || got[keep-1].Number != keep+100 {
		t.Errorf("%d kept, from %v to %v (number %d)", len(got), got[0].Value, got[len(got)-1].Value, got[len(got)-1].Number)
	}
}
