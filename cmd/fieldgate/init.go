package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"fieldgate/buffer"
	"fieldgate/configs"
)

func (a *app) initCommand() *cobra.Command {
	return &cobra.Command{
		Use: "init [FILE]", Short: "Write a first configuration, ready to run and to be filled in", GroupID: "file", Args: cobra.MaximumNArgs(1),
		Long: "Beside " + defaultConfig + " the queue lies in " + buffer.DefaultDir + ", which the installer makes; a file elsewhere gets a queue beside it, so that you may run it as you are.",
		RunE: func(_ *cobra.Command, args []string) error {
			path := a.configPath()
			if len(args) == 1 {
				path = args[0]
			}
			text, err := firstConfig(path)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
				return err
			}
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
			switch {
			case errors.Is(err, fs.ErrExist):
				return withCode(exitProblems, "%s exists and is left as it is; choose another place with -c FILE", path)
			case errors.Is(err, fs.ErrPermission):
				return withCode(exitPermission, "%w; use sudo, or choose another place with -c FILE", err)
			case err != nil:
				return err
			}
			_, err = f.WriteString(text)
			if err := errors.Join(err, f.Close()); err != nil {
				return fmt.Errorf("write %s: %w", path, err)
			}
			a.say("%s is written; fill it in, then: fieldgate check %s", path, path)
			return nil
		},
	}
}

// firstConfig is the first configuration, for its place: only the installed
// one finds the service's folder for the queue.
func firstConfig(path string) (string, error) {
	if path == defaultConfig {
		return configs.First, nil
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return configs.First + fmt.Sprintf("\n[buffer]\ndir = %q\n", filepath.Join(filepath.Dir(full), "fieldgate-data")), nil
}
