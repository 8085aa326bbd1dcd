package siege

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"fieldgate/cmd/fieldgate/internal/proctest"
	"fieldgate/mqtt"
	"fieldgate/web"
)

// TestFullDisk gives the gateway a disk of 24 MiB, and another process fills
// it while publishers of QoS 1 and 2 go on and the upstream is away. By policy
// they go on being acknowledged or are held back; status says what is the
// matter; when there is room again everything is as before. To the message:
// what was acknowledged has come or is reported as missing, and nothing of it
// where nothing may be given up. min_free is more than what one second of
// publishes takes: with less the queue can use the very last byte before it
// notices, and then it waits for room (DESIGN.md, known limits).
func TestFullDisk(t *testing.T) {
	for _, policy := range []string{"drop-oldest", "block"} {
		t.Run(policy, func(t *testing.T) { fullOne(t, policy) })
	}
}

func fullOne(t *testing.T, policy string) {
	disk := proctest.SmallDisk(t, "24m")
	up := newUpstream(t)
	up.link.Cut()
	g := newGateway(t, "", "")
	g.dir = disk
	g.write("min_free = \"6MiB\"\nfull = \""+policy+"\"", fmt.Sprintf(`
[[upstream]]
name = "far"
url = %q
connect = { backoff_min = "50ms", backoff_max = "200ms" }
[[upstream.route]]
from = "line/#"
`, up.url()))
	g.start()
	pubs := []*publisher{newPublisher(g.port, "one", mqtt.V311, 1), newPublisher(g.port, "two", mqtt.V5, 2)}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait() // before the test ends, whatever comes
	defer stop()
	for _, p := range pubs {
		p.size = 2000
		running.Go(func() { p.run(ctx, t) })
	}
	acked := func() (n int) {
		for _, p := range pubs {
			n += p.count()
		}
		return n
	}
	proctest.Eventually(t, "publishers are acknowledged", func() bool { return acked() > 200 })
	proctest.Eventually(t, "the ballast is laid down", func() bool { _, err := os.Stat(filepath.Join(g.state(), "ballast")); return err == nil })
	// It holds still meanwhile, or what its ballast gives back is filled too.
	g.proc.Signal(syscall.SIGSTOP)
	proctest.Fill(t, filepath.Join(disk, "fill"))
	g.proc.Signal(syscall.SIGCONT)
	proctest.Eventually(t, "status tells of the disk", func() bool { return g.problem("queue") != "" })
	t.Logf("status: %s", g.problem("queue"))
	if policy == "block" {
		proctest.Eventually(t, "status tells that publishers wait", func() bool { s := g.status(); return s != nil && s.State == "failed" })
	}
	if policy == "drop-oldest" {
		n := acked()
		if !proctest.Within(proctest.Patience, func() bool { return acked() > n+200 }) {
			out, _ := exec.Command("ls", "-la", g.state(), disk).CombinedOutput()
			t.Fatalf("publishers are not acknowledged on a full disk: %d and %d, %d before\n%s\n%s", pubs[0].count(), pubs[1].count(), n, g.proc.Everything(), out)
		}
	}
	if err := os.Remove(filepath.Join(disk, "fill")); err != nil {
		t.Fatal(err)
	}
	proctest.Eventually(t, "status tells of no trouble", func() bool { s := g.status(); return s != nil && g.problem("queue") == "" })
	n := acked()
	proctest.Eventually(t, "publishers are acknowledged again", func() bool { return acked() > n+200 })
	stop()
	running.Wait()
	up.link.Restore()
	total := uint64(0)
	for _, p := range pubs {
		total += uint64(p.count())
	}
	proctest.Eventually(t, "the queue is empty", func() bool {
		_, reported, _ := up.once()
		q := g.queues()["far"]
		return q.Messages == 0 && reported >= dropped(q)
	})
	kept, reported, _ := up.once()
	if uint64(len(kept))+reported != total {
		t.Errorf("%d came and %d are reported as missing, %d were acknowledged", len(kept), reported, total)
	}
	for _, p := range pubs {
		inOrder(t, "far", p.topic, numbers(kept, p.topic))
		if policy == "block" {
			p.check(t, "far", numbers(kept, p.topic), true)
		}
	}
	t.Logf("%d acknowledged, %d came, %d are reported", total, len(kept), reported)
}

// count is how many messages were acknowledged.
func (p *publisher) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.acked)
}

// status is the whole state of the gateway; nil where it does not answer.
func (g *gateway) status() *web.Status {
	out, err := g.command("status", "--json")
	s := &web.Status{}
	if err != nil || json.Unmarshal(out, s) != nil {
		return nil
	}
	return s
}

// problem is what status says of a part, with its code.
func (g *gateway) problem(part string) string {
	s := g.status()
	if s == nil {
		return ""
	}
	for _, p := range s.Problems {
		if p.Part == part {
			if s.State == "ok" {
				g.t.Errorf("%s, and the state is ok", p.Text)
			}
			return p.Code + " " + strings.TrimSpace(p.Text)
		}
	}
	return ""
}
