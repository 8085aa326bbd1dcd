package main

import (
	"github.com/spf13/cobra"

	"fieldgate/configs"
)

func (a *app) checkCommand() *cobra.Command {
	var skipFiles bool
	c := &cobra.Command{
		Use: "check [FILE…]", Short: "Check a configuration: every problem in one run, with its place and remedy",
		Long: `Checks each file as a configuration of its own, with all that it includes. Exit code 0: the gateway
would run with it (there may be warnings). 1: it would not. Nothing is started and no device is asked.`,
		GroupID: "file",
		RunE: func(_ *cobra.Command, files []string) error {
			if len(files) == 0 {
				files = []string{a.configPath()}
			}
			return a.check(files, skipFiles)
		},
	}
	c.Flags().BoolVar(&skipFiles, "elsewhere", false, "leave out what depends on this machine: ports, key files, variables")
	return c
}

func (a *app) check(files []string, skipFiles bool) error {
	good := true
	for _, name := range files {
		_, report := configs.Load(name, configs.Options{SkipFiles: skipFiles})
		good = good && report.OK()
		var err error
		if a.json {
			err = report.JSON(a.out)
		} else {
			if len(files) > 1 {
				a.printf("%s: ", name)
			}
			err = report.Render(a.out, a.colorOn(a.out))
		}
		if err != nil {
			return err
		}
	}
	if !good {
		return codeError{code: exitProblems}
	}
	return nil
}
