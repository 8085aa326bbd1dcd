package configs

import (
	"fmt"
	"strings"
	"time"

	"fieldgate/configs/conf"
)

// Validate reports what is wrong with the [log] section.
func (c Log) Validate(bad conf.Bad) {
	choice(bad, "level", c.Level, "debug", "info", "warn", "error")
	choice(bad, "format", c.Format, "auto", "journal", "text", "json")
	if c.RepeatWindow.Std() > 24*time.Hour {
		bad(conf.Problem{Key: "repeat_window", Code: "E0130", Text: "repeat_window is longer than a day",
			Help: `a count of repeats is shown when the window ends; write for example "60s"`, Part: c.RepeatWindow.String()})
	}
}

// Validate refuses what is not built yet.
func (c HomeAssistant) Validate(bad conf.Bad) {
	if c.Enabled {
		bad(conf.Problem{Key: "enabled", Code: "E0106", Text: "homeassistant is known but not supported in this version",
			Help: "set enabled = false"})
	}
}

// choice reports a word that is not one of the known ones.
func choice(bad conf.Bad, key, value string, known ...string) {
	for _, k := range known {
		if value == k {
			return
		}
	}
	p := conf.Problem{Key: key, Code: "E0130", Text: fmt.Sprintf("unknown %s %q", key, value), Part: value}
	if near := conf.Nearest(value, known); near != "" {
		p.Help = fmt.Sprintf("did you mean %q?", near)
	} else {
		p.Help = "one of " + strings.Join(known, ", ")
	}
	bad(p)
}
