package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fieldgate/drivers/modbus"
)

func (a *app) pollCommand() *cobra.Command {
	relearn := false
	c := &cobra.Command{
		Use: "poll DEVICE", Short: "One real poll of a device, with the time of each request", GroupID: "field", Args: cobra.ExactArgs(1),
		Long: `Has the running gateway read all tags of a device now, between its polls, and shows what each request took and what
the tags are. The values are published as after any poll.

--relearn forgets first what was found out about the device: blocks that it refused and that are read in pieces since,
registers that it does not have and that are left alone. For a device that was changed, or repaired.`,
		RunE: func(c *cobra.Command, args []string) error {
			var doc pollDoc
			if err := a.ask(c.Context(), 10*time.Second, "POST", "/poll", pollRequest{args[0], relearn}, &doc); err != nil {
				return err
			}
			var err error
			if a.json {
				err = a.printJSON(doc)
			} else {
				a.printPoll(&doc)
			}
			if err == nil && doc.Error != "" {
				err = withCode(doc.code(), "%s", doc.Error)
			}
			return err
		},
	}
	c.Flags().BoolVar(&relearn, "relearn", false, "forget first what was found out about the device")
	return c
}

type pollRequest struct {
	Device  string `json:"device"`
	Relearn bool   `json:"relearn,omitempty"`
}

// pollDoc is the document of `fieldgate poll --json`.
type pollDoc struct {
	Schema   string          `json:"schema"`
	Device   string          `json:"device"`
	Requests []polledRequest `json:"requests"`
	Values   []valueDoc      `json:"values"`
	Ms       float64         `json:"ms"`
	Error    string          `json:"error,omitempty"` // a device that did not answer
	Exit     int             `json:"exit,omitempty"`
}

type polledRequest struct {
	Function int      `json:"function"`
	First    string   `json:"first"`
	Hex      string   `json:"hex"`
	Modicon  string   `json:"modicon"`
	Count    int      `json:"count"`
	Tags     []string `json:"tags"`
	Ms       float64  `json:"ms"`
	Error    string   `json:"error,omitempty"`
}

func (d *pollDoc) code() int {
	if d.Exit == 0 {
		return exitProblems
	}
	return d.Exit
}

// poll serves `fieldgate poll`.
func (c *control) poll(r *http.Request) (any, error) {
	var q pollRequest
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		return nil, usageError{fmt.Errorf("request: %w", err)}
	}
	d, _, _, err := c.g.find(target{Device: q.Device})
	if err != nil {
		return nil, err
	}
	if q.Relearn {
		if err := d.Relearn(r.Context(), q.Device); err != nil {
			return nil, err
		}
	}
	started := time.Now()
	samples, requests, failed := d.PollOnce(r.Context(), q.Device)
	if failed != nil && len(requests) == 0 {
		return nil, failed
	}
	doc := &pollDoc{Schema: "fieldgate.poll/1", Device: q.Device, Requests: []polledRequest{}, Values: []valueDoc{}, Ms: millis(time.Since(started))}
	if failed != nil {
		doc.Error, doc.Exit = failed.Error(), exitCodeOf(failed)
	}
	for _, p := range requests {
		doc.Requests = append(doc.Requests, polledOf(p))
	}
	for _, s := range samples {
		doc.Values = append(doc.Values, c.g.tagDoc(s))
	}
	return doc, nil
}

func polledOf(p modbus.PolledRequest) polledRequest {
	r := polledRequest{
		Function: p.Function, First: p.First.Wire(), Hex: p.First.Hex(), Modicon: p.First.Modicon(), Count: p.Count, Tags: p.Tags, Ms: millis(p.Took),
	}
	if p.Err != nil {
		r.Error = p.Err.Error()
	}
	return r
}

func (a *app) printPoll(d *pollDoc) {
	a.printf("%s   %d request%s, %.0f ms\n", a.paintOn(a.out, bold, d.Device), len(d.Requests), plural(len(d.Requests)), d.Ms)
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	for _, r := range d.Requests {
		fmt.Fprintf(w, "  FC %d\t%s  %s  %s\t%d\t%d tags\t%.1f ms\t%s\n", r.Function, r.First, r.Hex, r.Modicon, r.Count, len(r.Tags), r.Ms, r.Error)
	}
	w.Flush()
	w = tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	for _, v := range d.Values {
		fmt.Fprintf(w, "  %s\t%s %s\t%s\t%s\n", v.Reg, plain(v.Value), v.Unit, v.Quality, v.Error)
	}
	w.Flush()
}
