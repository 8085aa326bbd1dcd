package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"fieldgate/cmd/fieldgate/internal/mosquittoconf"
)

func (a *app) configImportCommand() *cobra.Command {
	c := &cobra.Command{Use: "import", Short: "Turn another program's configuration into ours", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(&cobra.Command{
		Use: "mosquitto FILE", Short: "The bridges of a mosquitto.conf as [[upstream]] sections", Args: cobra.ExactArgs(1),
		Long: `Prints an [[upstream]] section for each connection of the file, with a comment for every option that has no
counterpart here. Put it into a file of its own that include names, then run fieldgate check. Exit code 1: something of
it cannot work here, as a pre-shared key.`,
		RunE: func(_ *cobra.Command, args []string) error { return a.importMosquitto(args[0]) },
	})
	return c
}

func (a *app) importMosquitto(path string) error {
	in, err := os.Open(path)
	if err != nil {
		return withCode(exitProblems, "read the bridges: %w", err)
	}
	defer in.Close()
	file, err := mosquittoconf.Read(in)
	if err != nil {
		return withCode(exitProblems, "%s: %w", path, err)
	}
	if len(file.Bridges) == 0 {
		return withCode(exitProblems, "%w", fmt.Errorf("%s has no bridge: no connection line", path))
	}
	var text bytes.Buffer
	res, err := mosquittoconf.Write(&text, file, path)
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(struct {
			Schema  string   `json:"schema"`
			TOML    string   `json:"toml"`
			Bridges int      `json:"bridges"`
			Notes   int      `json:"notes"`
			Refused []string `json:"refused,omitempty"`
		}{"fieldgate.import/1", text.String(), res.Bridges, res.Notes, res.Refused})
	} else {
		a.printf("%s", text.String())
		a.say("%d bridge%s; %d comment%s on what has no counterpart", res.Bridges, plural(res.Bridges), res.Notes, plural(res.Notes))
	}
	if err == nil && len(res.Refused) > 0 {
		for _, r := range res.Refused {
			a.say("%s %s", a.paint(red, "refused:"), r)
		}
		return withCode(exitProblems, "%w", errors.New("not everything can work here as it stands"))
	}
	return err
}
