package main

import (
	"os"
	"regexp"

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
func (a *app) load(code int) (*configs.File, error) { return a.loadWith(code, configs.Options{}) }

func (a *app) loadWith(code int, o configs.Options) (*configs.File, error) {
	file, report := configs.Load(a.configPath(), o)
	if report.OK() {
		return file, nil
	}
	if err := report.Render(a.err, a.colorOn(a.err)); err != nil {
		return nil, err
	}
	return nil, codeError{code: code}
}

// bufferDirLine finds dir in the [buffer] section of a file that does not parse.
var bufferDirLine = regexp.MustCompile(`(?m)^\s*\[buffer\][^\[]*?^\s*dir\s*=\s*"([^"\n]+)"`)

// bufferDir is the folder of the queue that the configuration names, as far as
// it can be read: a gateway goes on running with the file it had before
// somebody broke it, and has to be found then too.
func (a *app) bufferDir() string {
	file, report := configs.Load(a.configPath(), configs.Options{SkipFiles: true})
	if report.OK() || file.Buffer.Dir != "" {
		return file.Buffer.Directory()
	}
	if text, err := os.ReadFile(a.configPath()); err == nil {
		if m := bufferDirLine.FindSubmatch(text); m != nil {
			return string(m[1])
		}
	}
	return file.Buffer.Directory()
}
