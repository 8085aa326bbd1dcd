package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"

	"fieldgate/configs/conf"
	"fieldgate/drivers/sim"
)

func (a *app) simCommand() *cobra.Command {
	var printConfig bool
	c := &cobra.Command{
		Use: "sim [FILE]", Short: "Run simulated devices only, for tests of your own", GroupID: "run", Args: cobra.MaximumNArgs(1),
		Long: `Runs a PLC on Modbus TCP, a meter on a Modbus RTU line (a pseudo-terminal) and a scale that prints lines, or the
devices of FILE, with faults where it asks for them (late, drop, noise, exception). Where to reach them and a
configuration that reads them are printed; Ctrl-C ends it.

A FILE may hold [[plc]], [[meter]] and [[scale]] sections, as:
  [[plc]]
  name   = "boiler"
  bind   = "127.0.0.1:1502"
  points = [ { name = "temp", reg = "h100:int16", wave = "sine", min = 600, max = 800, scale = 0.1, unit = "°C" } ]
  faults = { late = 0.05, drop = 0.02, exception = 0.01 }`,
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := simConfig(args)
			if err != nil {
				return err
			}
			err = a.simulate(c.Context(), cfg, printConfig)
			if errors.Is(err, context.Canceled) {
				return nil // the ordinary end
			}
			return err
		},
	}
	c.Flags().BoolVar(&printConfig, "config-only", false, "print only the configuration that reads the devices")
	return c
}

func simConfig(args []string) (sim.Config, error) {
	if len(args) == 0 {
		return sim.DefaultConfig(), nil
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return sim.Config{}, err
	}
	var cfg sim.Config
	meta, err := toml.NewDecoder(bytes.NewReader(text)).Decode(&cfg)
	var parse toml.ParseError
	switch {
	case errors.As(err, &parse):
		return cfg, fmt.Errorf("%s:%d: %s", args[0], parse.Position.Line, parse.Message)
	case err != nil:
		return cfg, fmt.Errorf("%s: %w", args[0], err)
	}
	var problems []error
	for _, key := range meta.Undecoded() {
		problems = append(problems, fmt.Errorf("%s: unknown key %s", args[0], key))
	}
	cfg.Validate(func(p conf.Problem) {
		problems = append(problems, fmt.Errorf("%s: %s: %s; %s", args[0], p.Key, p.Text, p.Help))
	})
	return cfg, errors.Join(problems...)
}

func (a *app) simulate(ctx context.Context, cfg sim.Config, printConfig bool) error {
	plant, err := sim.New(cfg)
	if err != nil {
		return err
	}
	return plant.Run(ctx, func() {
		if !printConfig {
			for _, d := range plant.Devices() {
				a.say("%-10s %s", d.Name(), d.Target())
			}
			a.say("a configuration that reads them:\n")
		}
		a.printf("%s", plant.TOML())
	})
}
