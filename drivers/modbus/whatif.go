package modbus

import (
	"fmt"
	"slices"
	"time"

	"fieldgate/drivers/port"
)

// Alternative is what another setting would make of a bus.
type Alternative struct {
	Setting  string        // as in the file: `baud = 19200`
	Requests int           //
	Cycle    time.Duration // if all polls were due at once
	Load     float64       // share of the line
}

// speeds are the common ones, for comparison.
var speeds = []int{1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200}

// Alternatives lists what other speeds of the line, and other rules for the
// holes between registers, would cost. Those that change nothing are left out.
func Alternatives(b Bus, devices []Device) []Alternative {
	now := measureUp("", Plan(b, devices))
	var out []Alternative
	consider := func(setting string, b Bus, devices []Device) {
		a := measureUp(setting, Plan(b, devices))
		if a.Requests != now.Requests || a.Cycle != now.Cycle {
			out = append(out, a)
		}
	}
	if b.Port != "" || b.RTUOverTCP != "" && b.Baud > 0 {
		baud := b.Baud
		if baud == 0 {
			baud = port.DefaultBaud
		}
		for _, speed := range speeds {
			other := b
			if other.Baud = speed; speed != baud && speed >= baud/2 {
				consider(fmt.Sprintf("baud = %d", speed), other, devices)
			}
		}
	}
	for _, gap := range []any{autoGap, 0} {
		other := slices.Clone(devices)
		for i := range other {
			other[i].MaxGap = gap
		}
		setting := fmt.Sprintf("max_gap = %v", gap)
		if gap == autoGap {
			setting = fmt.Sprintf("max_gap = %q", autoGap)
		}
		consider(setting, b, other)
	}
	return out
}

func measureUp(setting string, plan []PlannedRequest) Alternative {
	a := Alternative{Setting: setting, Requests: len(plan)}
	for _, r := range plan {
		a.Load += r.Load
		if r.Poll != OnDemand {
			a.Cycle += r.Time
		}
	}
	return a
}
