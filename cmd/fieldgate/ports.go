package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"fieldgate/drivers/port"
)

func (a *app) portsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "ports", Short: "List serial ports: stable name, driver, who holds them, may I open them",
		Long:    "Lists the serial ports of this machine without opening any: opening would reset a line in use.",
		GroupID: "field", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			list, err := port.List()
			if err != nil {
				return fmt.Errorf("list serial ports: %w", err)
			}
			if a.json {
				return a.printJSON(portsDocument(list))
			}
			a.printPorts(list)
			return nil
		},
	}
}

type portDoc struct {
	Path      string   `json:"path"`
	Node      string   `json:"node"`
	ByID      string   `json:"by_id,omitempty"`
	ByPath    string   `json:"by_path,omitempty"`
	Driver    string   `json:"driver,omitempty"`
	Product   string   `json:"product,omitempty"`
	Serial    string   `json:"serial,omitempty"`
	LatencyMs int      `json:"latency_ms,omitempty"`
	Holders   []string `json:"holders"`
	Usable    bool     `json:"usable"`
	Why       string   `json:"why,omitempty"`
	Warning   string   `json:"warning,omitempty"`
}

func portsDocument(list []port.Info) any {
	docs := make([]portDoc, 0, len(list))
	for _, p := range list {
		docs = append(docs, portDoc{
			Path: p.Path, Node: p.Node, ByID: p.ByID, ByPath: p.ByPath, Driver: p.Driver, Product: p.Product,
			Serial: p.Serial, LatencyMs: p.Latency, Holders: holders(p), Usable: p.Access == "", Why: p.Access, Warning: p.Warning,
		})
	}
	return struct {
		Schema string    `json:"schema"`
		Ports  []portDoc `json:"ports"`
	}{"fieldgate.ports/1", docs}
}

func holders(p port.Info) []string {
	names := make([]string, 0, len(p.Holders))
	for _, h := range p.Holders {
		names = append(names, h.String())
	}
	return names
}

func (a *app) printPorts(list []port.Info) {
	if len(list) == 0 {
		a.say("no serial ports; plug an adapter in, and look again")
		return
	}
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "PORT\tNODE\tDRIVER\tUSED BY\tUSABLE")
	for _, p := range list {
		usable, used := "yes", strings.Join(holders(p), ", ")
		if p.Access != "" {
			usable = "no: " + p.Access
		}
		if used == "" {
			used = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.Path, p.Node, p.Driver, used, usable)
	}
	w.Flush()
	for _, p := range list {
		if p.Warning != "" {
			a.say("%s %s: %s", a.paint(yellow, "note:"), p.Path, p.Warning)
		}
		if p.Latency > 2 {
			a.say("%s %s: the adapter holds bytes back for up to %d ms; fieldgate sets that to 1 while it has the port", a.paint(yellow, "note:"), p.Path, p.Latency)
		}
	}
}
