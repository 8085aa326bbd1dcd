package main

import (
	"cmp"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"fieldgate/buffer/clock"
	"fieldgate/drivers/modbus"
	"fieldgate/drivers/modbus/wire"
)

func (a *app) busCommand() *cobra.Command {
	var frames bool
	unit := -1
	c := &cobra.Command{
		Use: "bus NAME", Short: "What happened on a line: counters by unit and request, hints, the last frames", GroupID: "field", Args: cobra.ExactArgs(1),
		Long: `Shows what the running gateway counts on a Modbus bus: requests that went well, time-outs, check sum errors, exceptions
by code, late answers, repeats, turn-around and load, for the line, for each unit and for each request of the polls,
and in plain words what to do about it. --frames adds the last 200 exchanges in hex, as they went over the wire.`,
		Example: "  fieldgate bus rs485-a\n  fieldgate bus rs485-a --frames --unit 3",
		RunE: func(c *cobra.Command, args []string) error {
			query := "?name=" + args[0] + "&unit=" + strconv.Itoa(unit) + "&frames=" + strconv.FormatBool(frames)
			var doc busDoc
			if err := a.ask(c.Context(), 5*time.Second, "GET", "/bus"+query, nil, &doc); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(doc)
			}
			a.printBusDoc(&doc)
			return nil
		},
	}
	c.Flags().BoolVar(&frames, "frames", false, "the last 200 exchanges in hex")
	c.Flags().IntVar(&unit, "unit", -1, "of this unit only")
	return c
}

// busDoc is the document of `fieldgate bus --json`.
type busDoc struct {
	Schema     string        `json:"schema"`
	Bus        string        `json:"bus"`
	Kind       string        `json:"kind"`
	Target     string        `json:"target"`
	Open       bool          `json:"open"`
	Error      string        `json:"error,omitempty"`
	Sent       uint64        `json:"requests"` // repeats and checks included
	Lost       uint64        `json:"lost"`     // ended with the line
	Checks     uint64        `json:"checks"`   // reads that tell a late answer or an echo
	Reconnects uint64        `json:"reconnects"`
	BytesIn    uint64        `json:"bytes_in"`
	BytesOut   uint64        `json:"bytes_out"`
	InFlight   int           `json:"in_flight"`            // requests that may be under way at once
	Seconds    float64       `json:"seconds"`              // that these counts cover
	LatencyMs  int           `json:"latency_ms,omitempty"` // of the adapter: how long it may hold bytes back
	Notes      []string      `json:"notes,omitempty"`      // what the port could not do
	Hints      []string      `json:"hints"`
	Line       counts        `json:"line"`
	Units      []unitDoc     `json:"units"`
	Requests   []requestPlan `json:"polls"`
	Frames     []frameDoc    `json:"frames,omitempty"`
}

// counts are those of a line or of a unit.
type counts struct {
	OK         uint64         `json:"ok"`
	Timeouts   uint64         `json:"timeouts"`
	CRC        uint64         `json:"crc"`
	Misfits    uint64         `json:"misfits"`
	Exceptions map[int]uint64 `json:"exceptions,omitempty"` // by code
	Late       uint64         `json:"late"`
	Retries    uint64         `json:"retries"`
	Load       float64        `json:"load"` // share of the time
}

type unitDoc struct {
	Unit int `json:"unit"`
	counts
	P50ms   float64 `json:"p50_ms"` // from the request's first byte to the answer's last
	P95ms   float64 `json:"p95_ms"`
	MaxMs   float64 `json:"max_ms"`
	Failure string  `json:"failure,omitempty"` // the last one
}

type frameDoc struct {
	TS       int64   `json:"ts"` // Unix milliseconds, end of the exchange
	Unit     int     `json:"unit"`
	Sent     string  `json:"sent"`
	Received string  `json:"received"`
	Error    string  `json:"error,omitempty"`
	Ms       float64 `json:"ms"`
}

// bus serves `fieldgate bus`.
func (c *control) bus(r *http.Request) (any, error) {
	name := r.URL.Query().Get("name")
	d, ok := c.g.modbusDriver(name)
	if !ok {
		return nil, withCode(exitUsage, "the gateway has no Modbus bus %q; fieldgate status --json lists them", name)
	}
	unit, err := strconv.Atoi(cmp.Or(r.URL.Query().Get("unit"), "-1"))
	if err != nil || unit > 255 {
		return nil, withCode(exitUsage, "unit %q is not a number of 0 to 255", r.URL.Query().Get("unit"))
	}
	return busDocOf(name, d, unit, r.URL.Query().Get("frames") == "true"), nil
}

func busDocOf(name string, d *modbus.Driver, unit int, frames bool) *busDoc {
	doc := &busDoc{Schema: "fieldgate.bus/1", Bus: name, Hints: []string{}, Units: []unitDoc{}, Requests: []requestPlan{}}
	s, since, ok := d.LineStats()
	if !ok {
		doc.Error = "it has not begun yet"
		return doc
	}
	doc.Seconds = time.Since(since).Seconds()
	doc.Kind, doc.Target, doc.Open, doc.Error = s.Kind, s.Target, s.Open, s.Error
	doc.Sent, doc.Lost, doc.Checks, doc.Reconnects = s.Requests, s.Lost, s.Checks, s.Reconnects
	doc.BytesIn, doc.BytesOut, doc.InFlight = s.BytesIn, s.BytesOut, s.InFlight
	doc.LatencyMs, doc.Notes = s.Latency, s.Notes
	doc.Hints = append(doc.Hints, s.Hints...)
	doc.Line = counts{s.OK, s.Timeouts, s.CRC, s.Misfits, byCode(s.Exceptions), s.Late, s.Retries, s.Busy.Seconds() / doc.Seconds}
	for _, u := range s.Units {
		if unit >= 0 && int(u.Unit) != unit {
			continue
		}
		doc.Units = append(doc.Units, unitDoc{
			Unit:   int(u.Unit),
			counts: counts{u.OK, u.Timeouts, u.CRC, u.Misfits, byCode(u.Exceptions), u.Late, u.Retries, u.Busy.Seconds() / doc.Seconds},
			P50ms:  millis(u.P50), P95ms: millis(u.P95), MaxMs: millis(u.Max), Failure: u.Last,
		})
	}
	for _, m := range d.Measured() {
		if unit < 0 || m.Unit == unit {
			doc.Requests = append(doc.Requests, measuredOf(m))
		}
	}
	if frames {
		doc.Frames = framesOf(d.Exchanges(unit))
	}
	return doc
}

func byCode(m map[byte]uint64) map[int]uint64 {
	var out map[int]uint64
	for code, n := range m {
		if out == nil {
			out = map[int]uint64{}
		}
		out[int(code)] = n
	}
	return out
}

func framesOf(exchanges []wire.Exchange) []frameDoc {
	out := []frameDoc{}
	for _, e := range exchanges {
		out = append(out, frameDoc{clock.Wall(e.At).UnixMilli(), int(e.Unit), e.Sent, e.Received, e.Error, millis(e.Took)})
	}
	return out
}
