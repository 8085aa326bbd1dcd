package modbus

import (
	"strconv"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/drivers"
	"fieldgate/drivers/modbus/wire"
)

// Stats counts what happened on the bus.
func (d *Driver) Stats() drivers.BusStats {
	cfg := &d.wire
	out := drivers.BusStats{Bus: d.bus.Name, Kind: cfg.Kind.String(), Target: cfg.Target(), Errors: map[string]uint64{}}
	d.mu.Lock()
	defer d.mu.Unlock()
	turnaround := map[byte]wire.UnitStats{}
	if counting, ok := d.line.(interface{ Stats() wire.Stats }); ok {
		s := counting.Stats()
		out.Open, out.Error, out.Requests, out.Retries, out.Late = s.Open, s.Error, s.Requests, s.Retries, s.Late
		out.BytesIn, out.BytesOut, out.Reconnects, out.Busy, out.Hints = s.BytesIn, s.BytesOut, s.Reconnects, s.Busy, s.Hints
		countErrors(out.Errors, s)
		for _, u := range s.Units {
			turnaround[u.Unit] = u
		}
	}
	for _, list := range [][]*device{d.devices, d.off} {
		for _, dev := range list {
			one := *d.stats[dev.name]
			if u := d.units[dev.unit]; u != nil && !dev.cfg.Disabled {
				one.State, one.Since, one.Reason, one.NextTry = u.state, u.since, u.reason, u.nextTry
				one.LastOK = wall(u.lastOK)
				if d.lineDown {
					one.State, one.Since, one.Reason = stateOffline, d.lineSince, drivers.ReasonPort
				}
			}
			t := turnaround[dev.unit]
			one.P50, one.P95, one.Max = t.P50, t.P95, t.Max
			one.DelayP50, one.DelayP99 = dev.delays.percentiles()
			out.Devices = append(out.Devices, one)
		}
	}
	return out
}

func wall(at clock.Stamp) time.Time {
	if at.IsZero() {
		return time.Time{}
	}
	return clock.Wall(at)
}

func countErrors(errors map[string]uint64, s wire.Stats) {
	for reason, n := range map[string]uint64{
		drivers.ReasonTimeout: s.Timeouts, drivers.ReasonCRC: s.CRC, drivers.ReasonParse: s.Misfits, drivers.ReasonPort: s.Lost,
	} {
		if n > 0 {
			errors[reason] = n
		}
	}
	for code, n := range s.Exceptions {
		errors["exception:"+strconv.Itoa(int(code))] = n
	}
}
