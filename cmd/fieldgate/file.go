package main

import (
	"os"

	"fieldgate/configs"
)

// defaultConfig is where the installer puts the configuration.
const defaultConfig = "/etc/fieldgate/fieldgate.toml"

func (a *app) configPath() string {
	switch {
	case a.config != "":
		return a.config
	case os.Getenv("FIELDGATE_CONFIG") != "":
		return os.Getenv("FIELDGATE_CONFIG")
	}
	return defaultConfig
}

// load reads the configuration; problems are printed to stderr and end the
// command with the given exit code.
func (a *app) load(code int) (*configs.File, error) {
	file, report := configs.Load(a.configPath(), configs.Options{})
	if report.OK() {
		return file, nil
	}
	if err := report.Render(a.err, a.colorOn(a.err)); err != nil {
		return nil, err
	}
	return nil, codeError{code: code}
}

// bufferDir is the folder of the queue that the configuration names, as far as
// it can be read: a gateway goes on running with the file it had before
// somebody broke it, and has to be found then too.
func (a *app) bufferDir() string {
	file, _ := configs.Load(a.configPath(), configs.Options{SkipFiles: true})
	return file.Buffer.Directory()
}
