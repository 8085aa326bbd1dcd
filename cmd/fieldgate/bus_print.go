package main

import (
	"fmt"
	"text/tabwriter"
	"time"
)

func (a *app) printBusDoc(d *busDoc) {
	state := a.paintOn(a.out, green, "open")
	if !d.Open {
		state = a.paintOn(a.out, red, "closed")
	}
	a.printf("%s   %s %s   %s   %s\n", a.paintOn(a.out, bold, d.Bus), d.Kind, d.Target, state, d.Error)
	a.printf("  %d requests in %s, %d bytes out, %d in, %d reconnects, %.1f %% of the time busy\n",
		d.Sent, (time.Duration(d.Seconds) * time.Second), d.BytesOut, d.BytesIn, d.Reconnects, d.Line.Load*100)
	a.printf("  %d ok, %s\n", d.Line.OK, d.Line.failures())
	if d.LatencyMs > 0 {
		a.printf("  the adapter holds bytes back for up to %d ms\n", d.LatencyMs)
	}
	for _, n := range d.Notes {
		a.printf("  %s\n", n)
	}
	for _, h := range d.Hints {
		a.printf("  %s %s\n", a.paintOn(a.out, yellow, "!"), h)
	}
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "  UNIT\tOK\tP50\tP95\tMAX\tLOAD\tFAILED\tLAST FAILURE")
	for _, u := range d.Units {
		fmt.Fprintf(w, "  %d\t%d\t%.1f ms\t%.1f ms\t%.1f ms\t%.2f %%\t%s\t%s\n", u.Unit, u.OK, u.P50ms, u.P95ms, u.MaxMs, u.Load*100, u.failures(), u.Failure)
	}
	w.Flush()
	if len(d.Requests) > 0 {
		w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "  DEVICE\tUNIT\tFC\tFIRST\tCOUNT\tOK\tP50\tP95\tMAX\tLOAD\tFAILED")
		for _, r := range d.Requests {
			m := r.Measured
			fmt.Fprintf(w, "  %s\t%d\t%d\t%s  %s  %s\t%d\t%d\t%.1f ms\t%.1f ms\t%.1f ms\t%.2f %%\t%s\n",
				r.Device, r.Unit, r.Function, r.First, r.Hex, r.Modicon, r.Count, m.OK, m.P50ms, m.P95ms, m.MaxMs, m.Load*100, m.failures())
		}
		w.Flush()
	}
	for _, f := range d.Frames {
		a.printf("%s  unit %d  %.1f ms  %s\n  > %s\n  < %s\n", time.UnixMilli(f.TS).Format("15:04:05.000"), f.Unit, f.Ms, f.Error, f.Sent, f.Received)
	}
}

// failures is what went wrong, "-" where nothing did.
func (c *counts) failures() string {
	m := requestMeasured{Timeouts: c.Timeouts, CRC: c.CRC, Misfits: c.Misfits, Exceptions: c.Exceptions, Late: c.Late, Retries: c.Retries}
	return m.failures()
}
