package modbus

import (
	"fmt"
	"slices"

	"fieldgate/configs/conf"
	"fieldgate/drivers"
)

// Computed is a [[device.computed]] section: a value that follows from others.
type Computed struct {
	Name     string        `toml:"name"` // REQUIRED
	Label    string        `toml:"label"`
	Expr     string        `toml:"expr"` // REQUIRED: "water_temp > setpoint + 10"
	Unit     string        `toml:"unit"`
	Round    *int          `toml:"round"`
	Deadband any           `toml:"deadband"`
	Report   string        `toml:"report"` // change|poll
	MaxAge   conf.Duration `toml:"max_age"`
}

// validate reports what can be told without the other devices; configs checks
// that the tags exist.
func (c *Computed) validate(bad conf.Bad, device string) {
	say := report(bad)
	if text := drivers.CheckName(c.Name); text != "" {
		say("name", "E0301", c.Name, "", "computed tag: %s", text)
	}
	if _, _, err := drivers.ParseDeadband(c.Deadband); err != nil {
		say("deadband", "E0217", "", "", "%v", err)
	}
	if !slices.Contains([]string{"", "change", "poll"}, c.Report) {
		say("report", "E0219", c.Report, `use "change" or "poll"`, "unknown report %q", c.Report)
	}
	if c.Round != nil && (*c.Round < -9 || *c.Round > 15) {
		say("round", "E0216", "", "", "round takes -9 to 15 decimal places, not %d", *c.Round)
	}
	if c.Expr == "" {
		say("expr", "E0349", "", `write for example expr = "water_temp > setpoint + 10"`, "computed tag %q has no expr", c.Name)
	} else if _, err := drivers.NewComputed(device, c.Expr, c.Round, nil); err != nil {
		say("expr", "E0349", "", "", "expr: %v", err)
	}
}

// tag is the computed tag as the supervisor wants it.
func (c *Computed) tag(d *Device) (drivers.Tag, error) {
	t := drivers.Tag{Device: d.Name, Name: c.Name, Label: c.Label, Unit: c.Unit, Address: c.Expr}
	t.Publish = drivers.PublishRule{OnPoll: c.Report == "poll", OnChange: c.Report == "change", MaxAge: c.MaxAge.Std()}
	var err error
	if t.Publish.Deadband, t.Publish.Percent, err = drivers.ParseDeadband(c.Deadband); err != nil {
		return t, err
	}
	if t.Computed, err = drivers.NewComputed(d.Name, c.Expr, c.Round, nil); err != nil {
		return t, fmt.Errorf("expr: %w", err)
	}
	return t, nil
}
