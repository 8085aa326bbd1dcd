package outages

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"fieldgate/bridge/netlab"
)

// TestMain runs the tests in a network namespace of their own.
func TestMain(m *testing.M) {
	if delay := os.Getenv(relayMark); delay != "" {
		fmt.Fprintln(os.Stderr, relayMain(delay, os.Getenv(relayTarget)))
		os.Exit(1)
	}
	if netlab.Missing() != nil {
		os.Exit(m.Run()) // newSite says so
	}
	if !netlab.Owned() {
		code, err := netlab.Own()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code)
	}
	if err := netlab.Settle(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, nameServer)
	}}
	// The tests wait more than they work: all of them side by side.
	flag.Parse()
	if err := flag.Set("test.parallel", "32"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// long says that the whole matrix is asked for.
func long() bool { return os.Getenv("FIELDGATE_LONG") != "" }

const patience = 2 * time.Minute

// until waits for a condition; what says it for the failure.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in %s: %s", patience, what)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lastCable numbers the cables of this process.
var lastCable atomic.Int32

// site is where the upstream lives: a namespace at the far end of a link that
// can be disturbed, and of a second cable that never is, for the test's own eyes.
type site struct {
	t     testing.TB
	space *netlab.Space
	link  *netlab.Cable
	aside *netlab.Cable
}

func newSite(t testing.TB) *site {
	t.Helper()
	if err := netlab.Missing(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	space, err := netlab.New()
	must(t, err)
	t.Cleanup(space.Close)
	s := &site{t: t, space: space, link: cable(t, space), aside: cable(t, space)}
	return s
}

func cable(t testing.TB, far *netlab.Space) *netlab.Cable {
	t.Helper()
	c, err := netlab.Join(netlab.Here(), far, int(lastCable.Add(1)))
	must(t, err)
	t.Cleanup(func() { must(t, c.Remove()) })
	return c
}

func (s *site) count(t testing.TB) netlab.Count {
	t.Helper()
	n, err := s.link.Count()
	must(t, err)
	return n
}
