package serial

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"fieldgate/drivers"
)

// offlineAfter is how often in a row every request must fail before the
// instrument counts as offline; until then it is degraded.
const offlineAfter = 3

// ringSize is how many turn-around times are kept for the percentiles.
const ringSize = 128

// counters is what Stats shows. Its lock is never held while anything waits.
type counters struct {
	mu       sync.Mutex
	bus      drivers.BusStats
	device   drivers.DeviceStats
	framing  frameCounts // of the open line
	past     frameCounts // of the lines before
	opens    int
	failures int             // polls that failed in a row
	zeros    uint64          // bytes 00 and FF since the last good frame
	sinceOK  uint64          // all bytes since then
	tail     []byte          // the last frame nobody understood, or the last bytes
	took     []time.Duration // ring
	next     int
}

func (c *counters) start(name, target string) {
	c.bus = drivers.BusStats{Bus: name, Kind: "serial", Target: target, Errors: map[string]uint64{}}
	c.device = drivers.DeviceStats{Device: name, State: drivers.DeviceUnknown, Since: time.Now(), Reason: drivers.ReasonNotRead}
}

func (c *counters) opened() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bus.Open, c.bus.Error = true, ""
	if c.opens++; c.opens > 1 {
		c.bus.Reconnects++
	}
	c.past, c.framing = c.total(), frameCounts{}
}

// closed notes why the line is not open; fresh is true for a new reason.
func (c *counters) closed(err error) (fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := ""
	if err != nil {
		text = err.Error()
		c.bus.Errors[drivers.ReasonPort]++
		c.state(drivers.DeviceOffline, drivers.ReasonPort)
	}
	fresh = c.bus.Open || c.bus.Error != text
	c.bus.Open, c.bus.Error = false, text
	return fresh
}

func (c *counters) read(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bus.BytesIn += uint64(len(b))
	c.sinceOK += uint64(len(b))
	for _, x := range b {
		if x == 0 || x == 0xFF {
			c.zeros++
		}
	}
	if c.device.LastOK.IsZero() {
		c.keepTail(b)
	}
}

// keepTail remembers the last 32 bytes that made no sense.
func (c *counters) keepTail(b []byte) {
	c.tail = append(c.tail, b...)
	if n := len(c.tail); n > 32 {
		c.tail = slices.Delete(c.tail, 0, n-32)
	}
}

func (c *counters) wrote(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bus.BytesOut += uint64(n)
}

func (c *counters) framed(f frameCounts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.framing = f
}

// hit is a frame that gave samples.
func (c *counters) hit() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.device.LastOK = time.Now()
	c.zeros, c.sinceOK, c.tail, c.failures = 0, 0, nil, 0
	c.state(drivers.DeviceOnline, "")
}

// miss is a frame that gave none.
func (c *counters) miss(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bus.Errors[drivers.ReasonParse]++
	c.tail = c.tail[:0]
	c.keepTail(frame)
}

// asked is the end of an exchange.
func (c *counters) asked(took time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bus.Requests++
	c.bus.Busy += took
	c.device.Polls++
	if !ok {
		return
	}
	if len(c.took) < ringSize {
		c.took = append(c.took, took)
	} else {
		c.took[c.next] = took
	}
	c.next = (c.next + 1) % ringSize
	c.device.Max = max(c.device.Max, took)
}

func (c *counters) retry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bus.Retries++
}

func (c *counters) late() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bus.Late++
}

func (c *counters) overrun(slots int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.device.Overruns += uint64(slots)
}

// failed is a poll, one of so many different ones, without an answer; it
// reports whether the instrument counts as offline by now.
func (c *counters) failed(reason string, requests int) (offline bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if reason == drivers.ReasonTimeout { // the others are counted where they happen
		c.bus.Errors[reason]++
	}
	c.device.Failures++
	if c.failures++; c.failures >= offlineAfter*requests {
		c.state(drivers.DeviceOffline, reason)
		return true
	}
	c.state("degraded", reason)
	return false
}

// silent is a stream that has said nothing for too long.
func (c *counters) silent(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bus.Errors[reason]++
	c.device.Failures++
	c.state(drivers.DeviceOffline, reason)
}

func (c *counters) state(state, reason string) {
	if c.device.State != state {
		c.device.State, c.device.Since = state, time.Now()
	}
	if reason != "" {
		c.device.Reason = reason
	} else if c.device.Reason == drivers.ReasonNotRead {
		c.device.Reason = ""
	}
}

func (c *counters) total() frameCounts {
	a, b := c.past, c.framing
	return frameCounts{a.frames + b.frames, a.unchecked + b.unchecked, a.badChecks + b.badChecks, a.overlong + b.overlong, a.dropped + b.dropped}
}

func (c *counters) snapshot() drivers.BusStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.bus
	out.Errors = make(map[string]uint64, len(c.bus.Errors)+2)
	for reason, n := range c.bus.Errors {
		out.Errors[reason] = n
	}
	t := c.total()
	if t.badChecks > 0 {
		out.Errors[drivers.ReasonCRC] = t.badChecks
	}
	if t.overlong > 0 {
		out.Errors["overlong"] = t.overlong
	}
	device := c.device
	if n := len(c.took); n > 0 {
		sorted := slices.Sorted(slices.Values(c.took))
		device.P50, device.P95 = sorted[n/2], sorted[n*95/100]
	}
	out.Devices = []drivers.DeviceStats{device}
	out.Hints = c.hints(t)
	return out
}

// hints says in plain words what the counters mean.
func (c *counters) hints(t frameCounts) (out []string) {
	switch {
	case t.frames == 0 && t.badChecks > 0:
		out = append(out, "frames arrive, but no check is right: is it the right kind, range and place?")
	case c.sinceOK >= 32 && c.zeros*10 >= c.sinceOK*9:
		out = append(out, "only bytes 00 and FF arrive: wrong baud or mode?")
	case t.frames == 0 && t.overlong > 0:
		out = append(out, "no frame ends within max: wrong end marker, baud or mode?")
	case t.badChecks > t.frames/20 && t.badChecks > 3:
		out = append(out, "many bad checks: wiring, interference, or two instruments on one line?")
	}
	if len(c.tail) > 0 && c.sinceOK > 0 {
		out = append(out, fmt.Sprintf("received and not understood: %q", c.tail))
	}
	if t.unchecked > 0 {
		out = append(out, fmt.Sprintf("%d frames came without their optional check", t.unchecked))
	}
	if t.dropped > c.bus.BytesIn/20 && t.dropped > 256 {
		out = append(out, fmt.Sprintf("%d bytes belonged to no frame", t.dropped))
	}
	return out
}
