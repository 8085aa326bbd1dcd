package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"fieldgate/configs"
)

func (a *app) initCommand() *cobra.Command {
	return &cobra.Command{
		Use: "init", Short: "Write a first configuration, ready to run and to be filled in", GroupID: "file", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			path := a.configPath()
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
			_, err = f.WriteString(configs.First)
			if err := errors.Join(err, f.Close()); err != nil {
				return fmt.Errorf("write %s: %w", path, err)
			}
			a.say("%s is written; fill it in, then: fieldgate check", path)
			return nil
		},
	}
}
