package siege

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"

	"fieldgate/cmd/fieldgate/internal/proctest"
	"fieldgate/mqtt"
)

// TestDamageStaysApart: what is done to queue.db touches no session, no
// retained message and no QoS 2 exchange; what is done to state.db touches
// nothing that waits for the upstream. The gateway starts with either.
func TestDamageStaysApart(t *testing.T) {
	for _, file := range []string{"queue.db", "state.db"} {
		t.Run(file, func(t *testing.T) { damageOne(t, file) })
	}
}

func damageOne(t *testing.T, file string) {
	const each = 500
	up := newUpstream(t)
	up.link.Cut()
	g := newGateway(t, "min_free = \"1MiB\"", fmt.Sprintf(`
[[upstream]]
name = "far"
url = %q
connect = { backoff_min = "50ms", backoff_max = "200ms" }
[[upstream.route]]
from = "line/#"
`, up.url()))
	g.start()
	away := newSubscriber(t, g.port, "away", "line/#")
	keep(t, g.port, 100)
	pubs := []*publisher{newPublisher(g.port, "one", mqtt.V311, 1), newPublisher(g.port, "two", mqtt.V5, 2)}
	for _, p := range pubs {
		p.send(t, each)
	}
	g.proc.Stop(syscall.SIGTERM) // an orderly end leaves nothing in the log that could heal the file
	spoil(t, filepath.Join(g.state(), file))
	g.start()
	if moved, err := filepath.Glob(filepath.Join(g.state(), "*.bad-*")); err != nil || len(moved) == 0 {
		t.Fatalf("nothing was moved aside: %v", err)
	}
	if file == "queue.db" {
		away.until(t, 2*each)
		checkKept(t, g.port, 100)
		for _, p := range pubs {
			got := numbers(away.all(), p.topic)
			p.check(t, "away", got, true)
			inOrder(t, "away", p.topic, got)
		}
	}
	up.link.Restore()
	var kept []receipt
	var reported uint64
	proctest.Eventually(t, "everything has come or is reported", func() bool {
		kept, reported, _ = up.once()
		return uint64(len(kept))+reported >= 2*each
	})
	if file == "queue.db" {
		t.Logf("%d came, %d are reported as missing", len(kept), reported)
		return
	}
	if reported > 0 {
		t.Errorf("%d messages for the upstream are reported as missing", reported)
	}
	for _, p := range pubs {
		got := numbers(kept, p.topic)
		p.check(t, "far", got, true)
		inOrder(t, "far", p.topic, got)
	}
}
