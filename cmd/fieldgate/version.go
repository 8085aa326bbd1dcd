package main

import (
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// release is set by the linker in scripts/release; builds from a checkout
// fall back to what the Go tool recorded.
var release string

// releaseTime is the Unix time of the release, set by the linker too.
var releaseTime string

// versionText is the version of this binary.
func versionText() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	version := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (version == "" || version == "(devel)") && len(s.Value) >= 12 {
			version = "devel-" + s.Value[:12]
		}
	}
	if version == "" || version == "(devel)" {
		return "devel"
	}
	return version
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", GroupID: "run", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return a.printJSON(struct {
					Schema  string `json:"schema"`
					Version string `json:"version"`
					Go      string `json:"go"`
					OS      string `json:"os"`
					Arch    string `json:"arch"`
				}{"fieldgate.version/1", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH})
			}
			a.printf("fieldgate %s (%s %s/%s)\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}

// buildTime is when the source of this binary was committed; a clock that
// shows an earlier time is wrong. Zero where the build did not record it.
func buildTime() time.Time {
	if unix, err := strconv.ParseInt(releaseTime, 10, 64); err == nil {
		return time.Unix(unix, 0)
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if t, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil {
			return t
		}
	}
	return time.Time{}
}
