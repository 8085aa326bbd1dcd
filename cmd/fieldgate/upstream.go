package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fieldgate/bridge"
	"fieldgate/configs"
	"fieldgate/web"
)

func (a *app) upstreamCommand() *cobra.Command {
	c := &cobra.Command{Use: "upstream", Short: "List upstream brokers, test one step by step", GroupID: "mqtt", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(
		&cobra.Command{
			Use: "list", Short: "The upstreams of the running gateway with their state and queue", Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error { return a.upstreamList(c.Context()) },
		},
		&cobra.Command{
			Use: "test NAME", Short: "Connect step by step and say what to change", Args: cobra.ExactArgs(1),
			Long: `Goes the way to the upstream of the configuration step by step: address, route, DNS, TCP, TLS, MQTT login,
publish, subscribe. It connects with a client id of its own, so the running gateway is not disturbed.`,
			RunE: func(c *cobra.Command, args []string) error { return a.upstreamTest(c.Context(), args[0]) },
		},
	)
	return c
}

func (a *app) upstreamList(ctx context.Context) error {
	s, err := a.askStatus(ctx)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(struct {
			Schema    string     `json:"schema"`
			Upstreams []web.Link `json:"upstreams"`
		}{"fieldgate.upstreams/1", s.Upstream})
	}
	if len(s.Upstream) == 0 {
		a.say("the configuration has no [[upstream]]")
	}
	for _, l := range s.Upstream {
		a.printf("%s\n  %s\n", a.linkLine(a.out, l), queueLine(l.Queue))
	}
	return nil
}

func (a *app) upstreamTest(ctx context.Context, name string) error {
	file, err := a.load(exitProblems)
	if err != nil {
		return err
	}
	var cfg *bridge.Config
	for i := range file.Upstream {
		if file.Upstream[i].Name == name {
			cfg = &file.Upstream[i]
		}
	}
	if cfg == nil {
		return usageError{fmt.Errorf("there is no upstream %q in %s; it has %s", name, a.configPath(), upstreamNames(file))}
	}
	ctx, cancel := a.deadline(ctx, time.Minute)
	defer cancel()
	steps := bridge.Test(ctx, *cfg, bridge.TestOptions{Gateway: file.Gateway.ID, Build: buildTime()})
	if err := a.printSteps(name, steps); err != nil {
		return err
	}
	if len(steps) == 0 || !steps[len(steps)-1].OK {
		return codeError{code: exitNetwork}
	}
	return nil
}

// upstreamNames lists the upstreams of a file for a person.
func upstreamNames(file *configs.File) string {
	names := make([]string, 0, len(file.Upstream))
	for _, u := range file.Upstream {
		names = append(names, u.Name)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func (a *app) printSteps(name string, steps []bridge.Step) error {
	if a.json {
		type stepDoc struct {
			Step string  `json:"step"`
			OK   bool    `json:"ok"`
			Text string  `json:"text"`
			Hint string  `json:"hint,omitempty"`
			Ms   float64 `json:"ms"`
		}
		docs := make([]stepDoc, 0, len(steps))
		for _, s := range steps {
			docs = append(docs, stepDoc{s.Name, s.OK, s.Text, s.Hint, millis(s.Took)})
		}
		return a.printJSON(struct {
			Schema   string    `json:"schema"`
			Upstream string    `json:"upstream"`
			Steps    []stepDoc `json:"steps"`
		}{"fieldgate.upstream-test/1", name, docs})
	}
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	for _, s := range steps {
		mark := a.paintOn(a.out, green, "ok  ")
		if !s.OK {
			mark = a.paintOn(a.out, red, "FAIL")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.0f ms\n", mark, s.Name, s.Text, millis(s.Took))
	}
	w.Flush()
	for _, s := range steps {
		if s.Hint != "" {
			a.printf("next: %s\n", s.Hint)
		}
	}
	return nil
}
