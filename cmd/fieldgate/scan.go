package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"fieldgate/configs/conf"
	"fieldgate/drivers/modbus"
	"fieldgate/drivers/modbus/wire"
)

// scanTimeout is how long a unit may take in a scan: most meters answer within
// 60 ms, and 247 silent ones take a minute at this.
const scanTimeout = 250 * time.Millisecond

func (a *app) scanCommand() *cobra.Command {
	var units, bauds, modes string
	c := &cobra.Command{
		Use: "scan rtu PORT | scan tcp HOST[:PORT]", Short: "Find units on a line; only reads", GroupID: "field", Args: cobra.ExactArgs(2),
		Long: `Asks each unit for holding register 0. Whoever answers, be it with an exception, is there. Nothing is written. On a
serial line every speed and format named is tried; where the running gateway has the line, the scan goes through it,
between its polls and with its speed. --timeout sets how long a unit may take (default 250ms).`,
		Example: "  fieldgate scan rtu /dev/ttyUSB0 --baud 9600,19200 --mode 8N1,8E1 --units 1-32\n  fieldgate scan tcp 192.168.10.20",
		RunE: func(c *cobra.Command, args []string) error {
			s, err := newScan(args, units, bauds, modes)
			if err != nil {
				return usageError{err}
			}
			return a.scan(c.Context(), s)
		},
	}
	c.Flags().StringVar(&units, "units", "1-247", "units to ask, as 1-32,100")
	c.Flags().StringVar(&bauds, "baud", "9600,19200", "speeds to try on a serial line")
	c.Flags().StringVar(&modes, "mode", "8N1,8E1", "formats to try on a serial line")
	return c
}

// scanRun is what a scan goes through: each line setting with each unit.
type scanRun struct {
	lines []modbus.Bus
	units []byte
}

type foundUnit struct {
	Unit   int     `json:"unit"`
	Baud   int     `json:"baud,omitempty"`
	Mode   string  `json:"mode,omitempty"`
	Answer string  `json:"answer"`
	Ms     float64 `json:"ms"`
}

func newScan(args []string, units, bauds, modes string) (*scanRun, error) {
	s := &scanRun{}
	var err error
	if s.units, err = parseUnits(units); err != nil {
		return nil, err
	}
	switch args[0] {
	case "tcp":
		s.lines = []modbus.Bus{{Name: "scan", TCP: args[1]}}
	case "rtu":
		for _, b := range strings.Split(bauds, ",") {
			baud, err := strconv.Atoi(b)
			if err != nil || baud <= 0 {
				return nil, fmt.Errorf("--baud %q: %q is not a speed", bauds, b)
			}
			for _, m := range strings.Split(modes, ",") {
				s.lines = append(s.lines, modbus.Bus{Name: "scan", Port: args[1], Baud: baud, Mode: m})
			}
		}
	default:
		return nil, fmt.Errorf("%q: scan rtu PORT or scan tcp HOST", args[0])
	}
	for i := range s.lines {
		s.lines[i].Validate(func(p conf.Problem) {
			if err == nil && strings.HasPrefix(p.Code, "E") {
				err = fmt.Errorf("%s: %s", p.Key, p.Text)
			}
		})
	}
	return s, err
}

// parseUnits reads "1-32,100".
func parseUnits(text string) ([]byte, error) {
	var all []byte
	for _, piece := range strings.Split(text, ",") {
		from, to, isRange := strings.Cut(piece, "-")
		lo, err := strconv.ParseUint(from, 10, 8)
		hi := lo
		if err == nil && isRange {
			hi, err = strconv.ParseUint(to, 10, 8)
		}
		if err != nil || lo < 1 || hi > 255 || lo > hi {
			return nil, fmt.Errorf("--units %q: %q is not a unit of 1 to 255 or a range of them", text, piece)
		}
		for u := lo; u <= hi; u++ {
			all = append(all, byte(u))
		}
	}
	return all, nil
}

func (a *app) scan(ctx context.Context, s *scanRun) error {
	timeout := scanTimeout
	if a.timeout > 0 {
		timeout = a.timeout
	}
	total := len(s.lines) * len(s.units)
	a.say("asking %d units on %d line setting%s, %s at most", len(s.units), len(s.lines), plural(len(s.lines)), age(time.Duration(total)*(timeout+30*time.Millisecond)))
	bar := a.progress(total)
	found := []foundUnit{}
	for _, bus := range s.lines {
		bus.Timeout = conf.Duration(timeout)
		hits, err := a.scanLine(ctx, bus, s.units, func() { _ = bar.Add(1) })
		found = append(found, hits...)
		if err != nil {
			_ = bar.Exit()
			return codeError{exitCodeOf(err), err}
		}
	}
	_ = bar.Finish() // a bar that cannot be drawn is no reason to fail
	return a.printFound(found)
}

// progress is a bar on a terminal's stderr, and nothing elsewhere.
func (a *app) progress(total int) *progressbar.ProgressBar {
	w := io.Discard
	if isTerminal(a.err) && !a.quiet {
		w = a.err
	}
	return progressbar.NewOptions(total, progressbar.OptionSetWriter(w), progressbar.OptionClearOnFinish(), progressbar.OptionSetDescription("scan"), progressbar.OptionShowCount())
}

// scanLine asks each unit on one line setting, through the running gateway
// where that has the line.
func (a *app) scanLine(ctx context.Context, bus modbus.Bus, units []byte, step func()) ([]foundUnit, error) {
	ask, done, err := a.scanAsker(ctx, &bus)
	if err != nil {
		return nil, err
	}
	defer done()
	var found []foundUnit
	for _, unit := range units {
		started := time.Now()
		answer, err := ask(unit)
		if err != nil {
			return found, err
		}
		if answer != "" {
			found = append(found, foundUnit{int(unit), bus.Baud, bus.Mode, answer, millis(time.Since(started))})
		}
		step()
	}
	return found, nil
}

// scanAsker returns the function that asks one unit: what it answered, nothing
// where it is silent, an error where the line itself fails.
func (a *app) scanAsker(ctx context.Context, bus *modbus.Bus) (ask func(unit byte) (string, error), done func(), err error) {
	client, err := a.gatewayFor(ctx, target{Bus: bus})
	if err != nil {
		return nil, nil, err
	}
	if client != nil {
		return func(unit byte) (string, error) {
			x := access{Target: target{Bus: bus, Unit: unit}, Regs: []string{"h0"}}
			err := client.call(ctx, "POST", "/read", x, nil)
			var coded codeError
			if errors.As(err, &coded) {
				switch coded.code {
				case exitException:
					return coded.Error(), nil
				case exitNoAnswer:
					return "", ctx.Err()
				}
			}
			return "register 0 can be read", err
		}, func() {}, nil
	}
	line := wire.New(bus.Line(nil))
	return func(unit byte) (string, error) {
		_, err := line.Do(ctx, wire.Request{Unit: unit, Function: 3, Quantity: 1, NoRetry: true})
		var exception *wire.Exception
		switch {
		case err == nil:
			return "register 0 can be read", nil
		case errors.As(err, &exception):
			if exception.Gateway() {
				return "", nil // a gateway speaks for a unit that is silent
			}
			return exception.Error(), nil
		case errors.Is(err, wire.ErrTimeout), errors.Is(err, wire.ErrCRC):
			return "", ctx.Err()
		}
		return "", err
	}, func() { line.Close() }, nil
}

func (a *app) printFound(found []foundUnit) error {
	if a.json {
		return a.printJSON(struct {
			Schema string      `json:"schema"`
			Units  []foundUnit `json:"units"`
		}{"fieldgate.scan/1", found})
	}
	if len(found) == 0 {
		a.say("nobody answers; check A and B, power and termination, and try other speeds or a longer --timeout")
		return codeError{code: exitNoAnswer}
	}
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "UNIT\tLINE\tANSWER\tTIME")
	for _, f := range found {
		line := "-"
		if f.Baud > 0 {
			line = fmt.Sprintf("%d %s", f.Baud, f.Mode)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%.0f ms\n", f.Unit, line, f.Answer, f.Ms)
	}
	return w.Flush()
}
