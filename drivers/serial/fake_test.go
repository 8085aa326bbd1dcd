package serial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"fieldgate/drivers"
)

// recorder keeps what a driver reports, in short form: "a=1 b=bad(parse)".
type recorder struct {
	mu   sync.Mutex
	list []string
}

func (r *recorder) report(samples []drivers.Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var parts []string
	for _, s := range samples {
		parts = append(parts, s.Tag+"="+show(s))
	}
	r.list = append(r.list, strings.Join(parts, " "))
}

func (r *recorder) reports() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.list...)
}

// wires hands a driver the near ends of in-memory lines, for tests in which
// time is simulated; the test holds the far ends.
type wires struct {
	far  chan net.Conn
	fail error // set: opening fails
}

func (w *wires) open(context.Context) (line, error) {
	if w.fail != nil {
		return nil, w.fail
	}
	near, far := net.Pipe()
	w.far <- far
	return near, nil
}

// start runs a driver on in-memory lines until the test ends or stop is called.
func start(t *testing.T, c Config) (d *Driver, w *wires, r *recorder, stop func()) {
	t.Helper()
	d, err := New(sensor(c))
	if err != nil {
		t.Fatal(err)
	}
	w = &wires{far: make(chan net.Conn, 8)}
	d.open = w.open
	d.backoff = func(int) time.Duration { return time.Second }
	r = &recorder{}
	stop = run(t, d, r)
	return d, w, r, stop
}

func run(t *testing.T, d *Driver, r *recorder) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx, r.report) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// say sends a text as the instrument.
func say(t *testing.T, far net.Conn, text string) {
	t.Helper()
	if _, err := far.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// hear reads one request and fails if it is another one.
func hear(t *testing.T, far net.Conn, want string) {
	t.Helper()
	buf := make([]byte, len(want)+16)
	n, err := far.Read(buf)
	if err != nil || string(buf[:n]) != want {
		t.Fatalf("heard %q, %v; want %q", buf[:n], err, want)
	}
}

// eventually waits for a condition with a deadline no loaded machine misses.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 20 s for %s", what)
		}
	}
}

// noLeaks fails the test if it leaves goroutines behind. Call it first.
func noLeaks(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for end := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				buf := make([]byte, 1<<16)
				t.Fatalf("%d goroutines more than before:\n%s", runtime.NumGoroutine()-before, buf[:runtime.Stack(buf, true)])
			}
		}
	})
}

var errNoPort = errors.New("there is no such port")

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("reported\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}
