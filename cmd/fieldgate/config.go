package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fieldgate/configs"
)

func (a *app) configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Show, explain and describe the configuration", GroupID: "file", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(
		&cobra.Command{
			Use: "show", Short: "The effective configuration: defaults marked, secrets hidden", Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error { return a.configShow() },
		},
		&cobra.Command{
			Use: "explain [KEY|CODE]", Short: "One key or one code explained; without, every key", Args: cobra.MaximumNArgs(1),
			RunE: func(_ *cobra.Command, args []string) error { return a.configExplain(args) },
		},
		&cobra.Command{
			Use: "schema", Short: "JSON Schema of the configuration, for editors", Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error { return configs.Schema(a.out) },
		},
		a.configImportCommand(),
	)
	return c
}

func (a *app) configShow() error {
	file, err := a.load(exitProblems)
	if err != nil {
		return err
	}
	if !a.json {
		return file.Show(a.out)
	}
	var text bytes.Buffer
	if err := file.Show(&text); err != nil {
		return err
	}
	return a.printJSON(struct {
		Schema string `json:"schema"`
		File   string `json:"file"`
		TOML   string `json:"toml"`
	}{"fieldgate.config/1", a.configPath(), text.String()})
}

func (a *app) configExplain(args []string) error {
	if len(args) == 0 {
		a.printf("%s", configs.Reference)
		return nil
	}
	text, err := configs.Explain(args[0])
	if err != nil {
		return usageError{err}
	}
	if a.json {
		return a.printJSON(struct {
			Schema string `json:"schema"`
			What   string `json:"what"`
			Text   string `json:"text"`
		}{"fieldgate.explain/1", args[0], text})
	}
	a.printf("%s\n", strings.TrimRight(text, "\n"))
	return nil
}

// reloadLimit covers a driver that must finish its request before it ends.
const reloadLimit = time.Minute

func (a *app) reloadCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reload", Short: "Make the running gateway take up its changed configuration", GroupID: "run", Args: cobra.NoArgs,
		Long: "What did not change keeps running without losing a poll, a session or a queued message. A file with an error changes nothing.",
		RunE: func(c *cobra.Command, _ []string) error {
			var report configs.Report
			if err := a.ask(c.Context(), reloadLimit, "POST", "/reload", nil, &report); err != nil {
				return err
			}
			if a.json {
				text, err := json.Marshal(report)
				if err != nil {
					return err
				}
				a.printf("%s\n", text)
			} else if err := report.Render(a.err, a.colorOn(a.err)); err != nil {
				return err
			}
			if !report.OK() {
				return withCode(exitProblems, "%w", errors.New("the configuration is not taken up; the gateway keeps the one it has"))
			}
			return nil
		},
	}
}
