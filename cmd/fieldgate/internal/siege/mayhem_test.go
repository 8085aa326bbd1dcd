package siege

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"fieldgate/cmd/fieldgate/internal/proctest"
	"fieldgate/mqtt"
)

// mayhem is the scene of TestMayhem: one upstream with a stand-by, in strict
// order.
type mayhem struct {
	*gateway
	rnd     *rand.Rand
	sites   []*upstream
	reloads int
}

// TestMayhem does everything at once that may befall a gateway: it is killed
// and paused, its link is cut and stalled, its configuration is reloaded, its
// upstream fails over to a stand-by and back. Of each publisher's numbers none
// that was acknowledged is missing, and they arrive in order.
func TestMayhem(t *testing.T) {
	rounds := 2 * strikes
	if long() {
		rounds = 30 * strikes
	}
	m := &mayhem{rnd: seeded(t), sites: []*upstream{newUpstream(t), newUpstream(t)}}
	m.gateway = newGateway(t, "min_free = \"1MiB\"\ncommit = \"200ms\"", m.config())
	m.start()
	pubs := []*publisher{
		newPublisher(m.port, "one-3", mqtt.V311, 1), newPublisher(m.port, "one-5", mqtt.V5, 1),
		newPublisher(m.port, "two-3", mqtt.V311, 2), newPublisher(m.port, "two-5", mqtt.V5, 2),
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, p := range pubs {
		running.Go(func() { p.run(ctx, t) })
	}
	counts := map[string]int{}
	var order []int
	for range rounds {
		if len(order) == 0 { // each once, in an order that changes
			order = m.rnd.Perm(strikes)
		}
		counts[m.strike(order[0])]++
		order = order[1:]
		time.Sleep(between(m.rnd, 100*time.Millisecond, 700*time.Millisecond))
	}
	for _, u := range m.sites {
		u.link.Restore()
	}
	stop()
	running.Wait()
	proctest.Eventually(t, "the queue is empty", func() bool { return m.queues()["cloud"].Messages == 0 })
	got := m.arrivals()
	for _, p := range pubs {
		list := numbers(got, p.topic)
		p.check(t, "cloud", list, p.qos == 2)
		seen := map[int]bool{}
		inOrder(t, "cloud", p.topic, slices.DeleteFunc(list, func(n int) bool {
			again := seen[n] // of QoS 1, sent again by its publisher
			seen[n] = true
			return again
		}))
	}
	t.Logf("%v: %d messages came", counts, len(got))
	if q := m.queues()["cloud"]; dropped(q) > 0 {
		t.Errorf("%v were dropped", q.Dropped)
	}
}

func (m *mayhem) config() string {
	return fmt.Sprintf(`
[[upstream]]
name = "cloud"
urls = [%q, %q]
failover = "primary"
connect = { timeout = "1s", backoff_min = "50ms", backoff_max = "%dms" }
drain = { order = "strict" }
[[upstream.route]]
from = "line/#"
`, m.sites[0].url(), m.sites[1].url(), 200+m.reloads)
}

// strikes is how many things strike can do.
const strikes = 7

// strike does one thing and says what.
func (m *mayhem) strike(what int) string {
	site := m.sites[m.rnd.IntN(len(m.sites))]
	switch what {
	case 0:
		m.kill()
		m.start()
		return "kill"
	case 1:
		m.proc.Signal(syscall.SIGSTOP)
		time.Sleep(between(m.rnd, 100*time.Millisecond, time.Second))
		m.proc.Signal(syscall.SIGCONT)
		return "pause"
	case 2:
		site.link.Cut()
		return "cut"
	case 3:
		site.link.Stall()
		time.Sleep(between(m.rnd, 100*time.Millisecond, 500*time.Millisecond))
		site.link.Restore()
		return "stall"
	case 4:
		m.reloads++
		m.write("min_free = \"1MiB\"\ncommit = \"200ms\"", m.config())
		m.proc.Signal(syscall.SIGHUP)
		return "reload"
	case 5:
		site.stop()
		site.start()
		return "restart of a site"
	default:
		for _, u := range m.sites {
			u.link.Restore()
		}
		return "restore"
	}
}

// arrivals is what both sites have got, by time, without repeats.
func (m *mayhem) arrivals() (kept []receipt) {
	all := append(m.sites[0].all(), m.sites[1].all()...)
	slices.SortStableFunc(all, func(a, b receipt) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
	seen := map[string]bool{}
	for _, r := range all {
		if r.id != "" && !seen[r.id] {
			seen[r.id] = true
			kept = append(kept, r)
		}
	}
	return kept
}
