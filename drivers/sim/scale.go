package sim

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/drivers"
	"fieldgate/drivers/port/pty"
)

// Scale prints weights: something is put on, settles, and is taken off again.
type Scale struct {
	truth
	*disturber
	cfg ScaleConfig
	pty *pty.PTY
}

// NewScale makes a scale; it opens nothing.
func NewScale(cfg ScaleConfig) (*Scale, error) {
	if cfg.Name == "" {
		cfg.Name = "scale"
	}
	if cfg.Max == 0 {
		cfg.Max = 15
	}
	return &Scale{cfg: cfg, disturber: newDisturber(cfg.Faults, cfg.Seed)}, nil
}

// Name is the device's name.
func (s *Scale) Name() string { return s.cfg.Name }

// Start makes the line; Path is known from then on.
func (s *Scale) Start() (err error) {
	s.pty, err = startLine(s.cfg.Name, s.cfg.Link)
	return err
}

// Path is the port to open: the link, or else the pseudo-terminal itself.
func (s *Scale) Path() string {
	if s.cfg.Link != "" {
		return s.cfg.Link
	}
	return s.pty.Path()
}

// Target is where to reach it, for people.
func (s *Scale) Target() string { return s.Path() + " 9600 8N1" }

// Run prints until ctx ends. It closes what Start opened.
func (s *Scale) Run(ctx context.Context) error {
	defer removeLink(s.cfg.Link, s.pty.Path())
	defer s.pty.Close()
	// The reader below ends when the line closes; it must not outlive Run.
	var wg sync.WaitGroup
	defer wg.Wait()
	defer context.AfterFunc(ctx, func() { s.pty.Close() })()
	ctx, stop := context.WithCancel(ctx)
	defer stop()

	asked := make(chan struct{}, 1)
	wg.Go(func() { s.listen(asked) })
	begin := time.Now()
	tick := time.NewTicker(s.cfg.Interval.Or(DefaultInterval))
	defer tick.Stop()
	due := tick.C
	if s.cfg.Request != "" {
		due = nil
	}
	for {
		select {
		case <-ctx.Done():
			s.pty.Close()
			return nil
		case <-asked:
		case <-due:
		}
		if err := s.print(ctx, s.weigh(time.Since(begin))); err != nil {
			s.pty.Close()
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("device %s: %w", s.cfg.Name, err)
		}
	}
}

// listen waits for requests; what is not one is ignored, as scales do.
func (s *Scale) listen(asked chan<- struct{}) {
	var got []byte
	buf := make([]byte, 64)
	for {
		n, err := s.pty.Read(buf)
		if err != nil {
			return
		}
		if s.cfg.Request == "" {
			continue
		}
		got = append(got, buf[:n]...)
		if at := bytes.Index(got, []byte(s.cfg.Request)); at >= 0 {
			got = got[at+len(s.cfg.Request):]
			select {
			case asked <- struct{}{}:
			default: // one answer is on its way already
			}
		}
		if len(got) > 1024 {
			got = got[len(got)-1024:]
		}
	}
}

// reading is what the scale shows.
type reading struct {
	weight float64 // kg, to the gram
	stable bool
}

// weigh is a cycle of 20 s: empty, a load swings in, rests, is taken off. The
// load differs from cycle to cycle; every seventh one is too heavy.
func (s *Scale) weigh(t time.Duration) reading {
	const cycle = 20 * time.Second
	number, phase := int(t/cycle), (t % cycle).Seconds()
	load := s.cfg.Max * (0.2 + 0.6*math.Abs(math.Sin(float64(number)+1)))
	if number%7 == 6 {
		load = s.cfg.Max * 1.2
	}
	switch {
	case phase < 4:
		return reading{0, true}
	case phase < 7:
		swing := math.Exp(4-phase) * math.Cos(6*(phase-4))
		return reading{math.Round(load*(1-swing)*1000) / 1000, false}
	case phase < 17:
		return reading{math.Round(load*1000) / 1000, true}
	}
	return reading{math.Round(load*(20-phase)/3*1000) / 1000, false}
}

// line is the reading as it is printed: sign, six characters, unit.
func (s *Scale) line(r reading) string {
	status := "US"
	if r.stable {
		status = "ST"
	}
	sign := "+"
	if r.weight < 0 {
		sign = "-"
	}
	if math.Abs(r.weight) > s.cfg.Max {
		return "OL,GS," + sign + "------kg\r\n"
	}
	return fmt.Sprintf("%s,GS,%s%7.3fkg\r\n", status, sign, math.Abs(r.weight))
}

// print sends one line, disturbed or not, and remembers what it said.
func (s *Scale) print(ctx context.Context, r reading) error {
	f := s.draw()
	if f.drop {
		return nil
	}
	text := []byte(s.line(r))
	if f.exception { // a scale knows no exceptions: it shows its error word
		text = []byte("ER,GS,  Error\r\n")
	}
	if f.delay > 0 {
		t := time.NewTimer(f.delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	at := clock.Now()
	if _, err := s.pty.Write(append(f.noise, text...)); err != nil {
		return err
	}
	if f.exception || math.Abs(r.weight) > s.cfg.Max {
		return nil // no value was told
	}
	s.add([]Presented{
		{Device: s.cfg.Name, Tag: "weight", Raw: drivers.FloatValue(r.weight), Value: r.weight, At: at},
		{Device: s.cfg.Name, Tag: "stable", Raw: drivers.BoolValue(r.stable), Value: map[bool]float64{true: 1}[r.stable], At: at},
	})
	return nil
}

// TOML is the part of a fieldgate.toml that reads this device.
func (s *Scale) TOML() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[[serial]]\nname    = %q\nport    = %q\nframe   = { kind = \"delimiter\", end = '\\r\\n', max = 64 }\n", s.cfg.Name, s.Path())
	if s.cfg.Request != "" {
		fmt.Fprintf(&b, "request = { send = %q, every = %q }\n", s.cfg.Request, s.cfg.Interval.Or(DefaultInterval))
	}
	b.WriteString(`content = "regex"
pattern = '^(?P<status>ST|US|OL),(?:GS|NT),(?P<weight>[+-][ \d.-]+)kg'
stale_after = "10s"
tags = [
  { name = "weight", group = "weight", unit = "kg", valid_if = { group = "status", not = "OL" } },
  { name = "stable", group = "status", enum = { ST = true, US = false } },
]
`)
	return b.String()
}
