package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) writeCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "write TARGET REG=VALUE… | write DEVICE/TAG VALUE", Short: "Write registers or a tag, with read-back",
		Long:    targetHelp + "\nA tag is written by its rules (write = { min, max, … }); registers are written as they are. Asks first unless --yes.",
		Example: "  fieldgate write boiler2/setpoint 72.5\n  fieldgate write tcp://192.168.10.20/1 h101:int16=725",
		GroupID: "field", Args: cobra.MinimumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			t, err := parseTarget(args[0])
			if err != nil {
				return err
			}
			writes, err := parseWrites(t, args[1:])
			if err != nil {
				return err
			}
			if err := a.confirmWrites(writes, yes); err != nil {
				return err
			}
			for i := range writes {
				if err := a.writeAndPrint(c.Context(), &writes[i]); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

func parseWrites(t target, args []string) ([]access, error) {
	if t.Tag != "" {
		if len(args) != 1 {
			return nil, usageError{errors.New("a tag takes one value: fieldgate write DEVICE/TAG VALUE")}
		}
		return []access{{Target: t, Value: args[0]}}, nil
	}
	writes := make([]access, 0, len(args))
	for _, arg := range args {
		reg, value, ok := strings.Cut(arg, "=")
		if !ok || value == "" {
			return nil, usageError{fmt.Errorf("%q: write REG=VALUE, as h101:int16=725", arg)}
		}
		x := access{Target: t, Regs: []string{reg}, Value: value}
		if _, err := x.registers(""); err != nil {
			return nil, err
		}
		writes = append(writes, x)
	}
	return writes, nil
}

func (a *app) confirmWrites(writes []access, yes bool) error {
	if yes {
		return nil
	}
	what := make([]string, 0, len(writes))
	for _, x := range writes {
		what = append(what, fmt.Sprintf("write %s to %s %s", x.Value, x.Target.name(), strings.Join(x.Regs, " ")))
	}
	return a.confirm(strings.Join(what, "\n"))
}

// confirm asks a person. Where nobody can be asked, --yes is needed.
func (a *app) confirm(what string) error {
	if a.noInput || !isTerminal(a.in) {
		return withCode(exitUsage, "this needs a yes: %s; give it with --yes", what)
	}
	fmt.Fprintf(a.err, "%s\ngo on? [y/N] ", what)
	answer, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil || !strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y") {
		return withCode(exitInterrupt, "nothing was done")
	}
	return nil
}

func (a *app) writeAndPrint(ctx context.Context, x *access) error {
	doc, err := a.writeTarget(ctx, x)
	if err != nil {
		return codeError{exitCodeOf(err), err}
	}
	if a.json {
		return a.printJSON(doc)
	}
	a.printf("%s  %s = %s, read back %s\n", doc.Target, doc.Reg, plain(doc.Value), plain(doc.ReadBack))
	a.say("ok  %.0f ms", doc.Ms)
	return nil
}

// writeTarget writes and says by which way.
func (a *app) writeTarget(ctx context.Context, x *access) (*written, error) {
	doc, via, err := reach(ctx, a, x, "/write", x.writeOn)
	if err != nil {
		return nil, err
	}
	doc.Via = via
	return doc, nil
}
