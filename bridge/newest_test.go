package bridge

import (
	"strconv"
	"strings"
	"testing"

	"fieldgate/buffer"
)

// The backlog goes up from the newest to the oldest, inside of a batch forward.
func TestNewestFirstUp(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true")
	c := m.consumer("up/#")
	r := newRig(t, Config{URL: "mqtt://" + m.addr, Drain: Drain{Backlog: "newest-first"}, Route: []Route{{From: "acme/n", To: "up/n"},
		{From: "acme/pump/#", To: "up/batch", Format: "json", Batch: Batch{MaxSamples: 10}}}})
	const n = 500
	for i := range n {
		r.publish(counted(i, 0), value(i))
	}
	r.run()
	r.drained()
	until(t, "all", func() bool { return len(c.on("up/n")) == n && len(c.on("up/batch")) == n/10 })
	last := n
	for _, p := range c.on("up/n") {
		v, err := strconv.Atoi(p)
		if err != nil || v >= last {
			t.Fatalf("%s after %d", p, last)
		}
		last = v
	}
	if first := c.on("up/batch")[0]; !strings.Contains(first, `"value":490`) || strings.Index(first, `"value":490`) > strings.Index(first, `"value":499`) {
		t.Errorf("the first batch is %s", first)
	}
	if r.Stats().Backlog.ByPriority[buffer.Normal.String()] != 0 {
		t.Error("something is left")
	}
}
