package sim

import (
	"fmt"
	"math"
	"slices"
	"time"
)

var waves = []string{"constant", "sine", "ramp", "square", "counter", "reads"}

// point is a Point that runs. The bank's lock guards it.
type point struct {
	Point
	reg     register
	period  time.Duration
	written []uint16 // what a master wrote last; nil: the wave goes on
	reads   uint64   // answers that held the whole of it
}

// pointError is a key of a Point that is wrong.
type pointError struct{ key, text, help string }

func (e *pointError) Error() string { return fmt.Sprintf("%s: %s; %s", e.key, e.text, e.help) }

func newPoint(p Point) (*point, error) {
	if p.Name == "" {
		return nil, &pointError{"name", "the name of a point is missing", `as name = "water_temp"`}
	}
	if p.Wave == "" {
		p.Wave = "constant"
	}
	if !slices.Contains(waves, p.Wave) {
		return nil, &pointError{"wave", fmt.Sprintf("unknown wave %q", p.Wave), "one of constant, sine, ramp, square, counter, reads"}
	}
	if p.Scale == 0 {
		p.Scale = 1
	}
	for _, f := range []float64{p.Min, p.Max, p.Scale} {
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, &pointError{"min", "min, max and scale are numbers", "nan and inf are not"}
		}
	}
	reg, err := parseRegister(p.Reg)
	if err != nil {
		return nil, &pointError{"reg", fmt.Sprintf("reg %q: %v", p.Reg, err), `write as "h100:int16", "i0:float32", "h110:uint32@CDAB", "d4"`}
	}
	return &point{Point: p, reg: reg, period: p.Period.Or(DefaultPeriod)}, nil
}

// value is what the point shows some time after the start.
func (p *point) value(t time.Duration) float64 {
	phase := float64(t%p.period) / float64(p.period)
	switch p.Wave {
	case "sine":
		return p.Min + (p.Max-p.Min)*(1+math.Sin(2*math.Pi*phase))/2
	case "ramp":
		return p.Min + (p.Max-p.Min)*phase
	case "square":
		if phase < 0.5 {
			return p.Min
		}
		return p.Max
	case "counter": // in steps of the scale: one count a period
		return p.Min + p.Scale*math.Floor(float64(t)/float64(p.period))
	case "reads":
		return float64(p.reads) * p.Scale
	}
	return p.Min
}

// cells is what stands in the registers some time after the start.
func (p *point) cells(t time.Duration) []uint16 {
	if p.written != nil {
		return p.written
	}
	cells, _ := p.reg.encode(p.value(t) / p.Scale)
	return cells
}

func (p *point) end() int { return p.reg.address + words[p.reg.typ] }
