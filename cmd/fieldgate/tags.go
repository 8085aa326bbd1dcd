package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fieldgate/web"
)

func (a *app) tagsCommand() *cobra.Command {
	var asCSV bool
	c := &cobra.Command{
		Use: "tags [PATTERN]", Short: "List tags of the running gateway with value, age and quality",
		Long:    `PATTERN is a shell pattern over "device/tag", a device or a tag: boiler2/*, *temp*.`,
		GroupID: "mqtt", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			pattern := ""
			if len(args) == 1 {
				pattern = args[0]
			}
			// Values stay the text that the gateway wrote: a 64-bit counter is exact.
			var tags []struct {
				web.Tag
				Value json.RawMessage `json:"value"`
			}
			if err := a.ask(c.Context(), 5*time.Second, "GET", "/tags?match="+url.QueryEscape(pattern), nil, &tags); err != nil {
				return err
			}
			list := make([]web.Tag, 0, len(tags))
			for _, t := range tags {
				t.Tag.Value = t.Value
				list = append(list, t.Tag)
			}
			switch {
			case a.json:
				return a.printJSON(struct {
					Schema string    `json:"schema"`
					Tags   []web.Tag `json:"tags"`
				}{"fieldgate.tags/1", list})
			case asCSV:
				return a.printTagsCSV(list)
			}
			a.printTags(list)
			return nil
		},
	}
	c.Flags().BoolVar(&asCSV, "csv", false, "print as CSV")
	return c
}

func (a *app) printTags(tags []web.Tag) {
	if len(tags) == 0 {
		a.say("no tag matches")
		return
	}
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "TAG\tVALUE\tUNIT\tQUALITY\tAGE\tADDRESS")
	for _, t := range tags {
		fmt.Fprintf(w, "%s/%s\t%s\t%s\t%s\t%s\t%s\n", t.Device, t.Tag, plain(t.Value), t.Unit, quality(t), tagAge(t), t.Address)
	}
	w.Flush()
}

func (a *app) printTagsCSV(tags []web.Tag) error {
	w := csv.NewWriter(a.out)
	rows := [][]string{{"device", "tag", "value", "unit", "quality", "reason", "time", "address"}}
	for _, t := range tags {
		at := ""
		if t.Time != nil {
			at = t.Time.UTC().Format(time.RFC3339Nano)
		}
		rows = append(rows, []string{t.Device, t.Tag, plain(t.Value), t.Unit, t.Quality, t.Reason, at, t.Address})
	}
	return w.WriteAll(rows)
}

// plain is a JSON value for people: texts without quotes, null as "-".
func plain(v any) string {
	raw, ok := v.(json.RawMessage)
	if !ok || string(raw) == "null" {
		return "-"
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}

func quality(t web.Tag) string {
	if t.Reason != "" {
		return t.Quality + " (" + t.Reason + ")"
	}
	return t.Quality
}

func tagAge(t web.Tag) string {
	if t.Time == nil {
		return "-"
	}
	return age(time.Duration(t.AgeS * float64(time.Second)))
}
