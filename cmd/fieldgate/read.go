package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fieldgate/configs"
	"fieldgate/drivers/modbus"
)

const targetHelp = `TARGET is DEVICE or DEVICE/TAG of the gateway, or a line and unit of its own:
tcp://HOST[:502][/UNIT], rtu://PATH[/UNIT]?baud=9600&mode=8E1, ascii://…, rtu+tcp://HOST:PORT/UNIT.
REG is an area (c coil, d discrete input, i input register, h holding register) with a wire address, or a Modicon
reference, with bit, type and order where needed: h100:int16, 40101:float32@CDAB, h120.3, d4.
Where the running gateway has the line, the request goes through it, between two polls.`

func (a *app) readCommand() *cobra.Command {
	var decode string
	var every time.Duration
	c := &cobra.Command{
		Use: "read TARGET [REG…]", Short: "Read registers or a tag", Long: targetHelp,
		Example: "  fieldgate read meter1 i0:float32 i6:float32\n  fieldgate read tcp://192.168.10.20/1 h100 --decode all",
		GroupID: "field", Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if decode != "" && decode != "all" {
				return usageError{fmt.Errorf("--decode %q: only all is known", decode)}
			}
			t, err := parseTarget(args[0])
			if err != nil {
				return err
			}
			return a.readRepeatedly(c.Context(), &access{Target: t, Regs: args[1:], All: decode != ""}, every)
		},
	}
	c.Flags().StringVar(&decode, "decode", "", "all: show every type and order side by side")
	c.Flags().DurationVar(&every, "every", 0, "read again and again, until Ctrl-C")
	return c
}

func (a *app) readRepeatedly(ctx context.Context, x *access, every time.Duration) error {
	for {
		doc, err := a.readTarget(ctx, x)
		if err != nil {
			return codeError{exitCodeOf(err), err}
		}
		if a.json {
			err = a.printJSON(doc)
		} else {
			a.printReading(doc)
		}
		if err != nil || every <= 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(every):
		}
	}
}

// readTarget reads and says by which way.
func (a *app) readTarget(ctx context.Context, x *access) (*reading, error) {
	doc, via, err := reach(ctx, a, x, "/read", x.readOn)
	if err != nil {
		return nil, err
	}
	doc.Via = via
	return doc, nil
}

// reach does what x asks through the running gateway (path) where that has the
// line, else with on, on a line of the command's own. via says which.
func reach[Doc any](ctx context.Context, a *app, x *access, path string,
	on func(ctx context.Context, line modbus.Doer, unit byte, order string) (*Doc, error),
) (doc *Doc, via string, err error) {
	ctx, cancel := a.deadline(ctx, 10*time.Second)
	defer cancel()
	client, err := a.gatewayFor(ctx, x.Target)
	if err != nil {
		return nil, "", err
	}
	if client != nil {
		doc = new(Doc)
		return doc, "gateway", client.call(ctx, "POST", path, x, doc)
	}
	order, err := a.directTarget(x)
	if err != nil {
		return nil, "", err
	}
	err = x.direct(func(line modbus.Doer, unit byte) (err error) {
		doc, err = on(ctx, line, unit, order)
		return err
	})
	return doc, "direct", err
}

// gatewayFor is the running gateway if the target is one of its devices or
// lines, nil where the command must open the line itself.
func (a *app) gatewayFor(ctx context.Context, t target) (*controlClient, error) {
	client, err := a.dialControl(ctx)
	if err != nil {
		var coded codeError
		if errors.As(err, &coded) && coded.code == exitNotRunning {
			return nil, nil
		}
		return nil, err
	}
	if t.Bus == nil {
		return client, nil
	}
	var has bool
	if err := client.call(ctx, "POST", "/owner", access{Target: t}, &has); err != nil || !has {
		return nil, err
	}
	return client, nil
}

// directTarget completes a device by the configuration and checks that there
// is something to read or write.
func (a *app) directTarget(x *access) (order string, err error) {
	if x.Target.Bus == nil {
		file, report := configs.Load(a.configPath(), configs.Options{})
		if !report.OK() {
			return "", withCode(exitNotRunning, "no gateway is running, and %s cannot be used either: %w", a.configPath(), report.Err())
		}
		name := x.Target.Device
		if order, err = x.Target.fromFile(file); err != nil {
			return "", err
		}
		if x.Target.Tag != "" || len(x.Regs) == 0 {
			return "", withCode(exitNotRunning, "tags of %s need the running gateway; start it, or name registers as h100:int16", name)
		}
	}
	if len(x.Regs) == 0 {
		return "", usageError{errors.New("name the registers, as h100:int16 or 40101")}
	}
	return order, nil
}

func (a *app) printReading(doc *reading) {
	via := ""
	if doc.Via == "gateway" {
		via = a.paintOn(a.out, dim, "via running gateway")
	}
	a.printf("%s   %s\n", a.paintOn(a.out, bold, doc.Target), via)
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	for _, v := range doc.Values {
		text := plain(v.Value)
		if v.Unit != "" {
			text += " " + v.Unit
		}
		if v.Error != "" {
			text += "  " + v.Error
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\n", v.Reg, v.Hex, v.Modicon, text, v.Raw)
	}
	w.Flush()
	if len(doc.Decoded) > 0 {
		a.printf("  the same bytes as every type and order:\n")
		w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
		for _, d := range doc.Decoded {
			fmt.Fprintf(w, "    %s\t%s\t%s\n", d.Type, d.Order, plain(d.Value))
		}
		w.Flush()
	}
	took := ""
	if doc.Ms > 0 {
		took = fmt.Sprintf(", %d request%s, %.0f ms", doc.Requests, plural(doc.Requests), doc.Ms)
	}
	a.say("ok  %d value%s%s", len(doc.Values), plural(len(doc.Values)), took)
}
