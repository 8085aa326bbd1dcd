package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fieldgate/drivers/modbus/server"
	"fieldgate/drivers/modbus/wire"
)

// dialing is the kinds a device that dials in can speak.
var dialing = []wire.Kind{wire.RTUOverTCP, wire.TCP}

// gate is a port that lines wait at; its name is the test's.
type gate struct {
	ln   net.Listener
	name string
}

func newGate(t *testing.T) *gate { return &gate{listen(t), t.Name()} }

// line waits at the gate for a registration.
func (g *gate) line(t *testing.T, kind wire.Kind, registration string, change ...func(*wire.Config)) *wire.Line {
	t.Helper()
	pattern, err := wire.ParsePattern(registration)
	if err != nil {
		t.Fatal(err)
	}
	return newLine(t, wire.Config{Name: registration, Kind: kind, Timeout: patience, ConnectTimeout: patience, LateGuard: time.Millisecond,
		ReconnectMin: 5 * time.Millisecond, ReconnectMax: 20 * time.Millisecond, Listen: &wire.Listen{
			Address: g.name, Registration: pattern, Heartbeat: []byte("PING"),
			Bind: func(string, string) (net.Listener, error) { return g.ln, nil }}}, change...)
}

// dtu dials in, says what it has to, and serves until its connection ends.
func (g *gate) dtu(t *testing.T, kind wire.Kind, says string, s *server.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", g.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, says); err != nil {
		t.Fatal(err)
	}
	one := &oneConn{conn: conn, done: make(chan struct{})}
	run(t, func(ctx context.Context) error {
		if kind == wire.TCP {
			return s.ServeTCP(ctx, one)
		}
		return s.ServeRTUOverTCP(ctx, one)
	})
	return conn
}

// oneConn is a listener with one connection, made already.
type oneConn struct {
	conn  net.Conn
	taken atomic.Bool
	once  sync.Once
	done  chan struct{}
}

func (o *oneConn) Accept() (net.Conn, error) {
	if o.taken.CompareAndSwap(false, true) {
		return o.conn, nil
	}
	<-o.done
	return nil, net.ErrClosed
}
func (o *oneConn) Close() error   { o.once.Do(func() { close(o.done) }); return nil }
func (o *oneConn) Addr() net.Addr { return o.conn.LocalAddr() }

// plant is a device whose registers are offset + number.
func plant(offset int) *server.Server {
	m := &server.Memory{}
	for n := range 100 {
		m.Set(server.Holdings, n, uint16(offset+n))
	}
	return &server.Server{Units: map[byte]server.Bank{1: m}}
}

func TestDialIn(t *testing.T) {
	t.Parallel()
	each(t, dialing, func(t *testing.T, kind wire.Kind) {
		g := newGate(t)
		l := g.line(t, kind, "")
		done := make(chan error, 1)
		go func() { _, err := l.Do(context.Background(), read(0, 1)); done <- err }() // waits for the device
		g.dtu(t, kind, "", oneMeter())
		if err := <-done; err != nil {
			t.Fatalf("got %v", err)
		}
		for n := range uint16(10) {
			mustRead(t, l, n, 3)
		}
	})
}

// TestSeveralOnOnePort: the registration chooses the line, the longest that fits.
func TestSeveralOnOnePort(t *testing.T) {
	t.Parallel()
	each(t, dialing, func(t *testing.T, kind wire.Kind) {
		g := newGate(t)
		lines := []*wire.Line{}
		for _, r := range []string{"DTU-1", "DTU-10", "hex:00 ff 17", `regex:\d{15}`} {
			l := g.line(t, kind, r)
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			_, _ = l.Do(ctx, read(5, 1)) // nobody is there yet; the line takes its place at the port
			cancel()
			lines = append(lines, l)
		}
		for i, says := range []string{"DTU-1", "DTU-10", "\x00\xff\x17PING", "867530900000001\r\n"} {
			g.dtu(t, kind, says, plant(10000*(i+1)))
		}
		for i, l := range lines {
			want, got := fmt.Sprintf("%04x", 10000*(i+1)+7), ""
			waitFor(t, fmt.Sprintf("line %d to be answered", i), func() bool {
				reply, err := do(t, l, read(7, 1))
				got = fmt.Sprintf("%x", reply.Data)
				return err == nil
			})
			if got != want {
				t.Errorf("line %d: %s, want %s", i, got, want)
			}
		}
	})
}

// TestNewestWins: a device that has lost its connection without a word dials
// in again.
func TestNewestWins(t *testing.T) {
	t.Parallel()
	each(t, dialing, func(t *testing.T, kind wire.Kind) {
		g := newGate(t)
		l := g.line(t, kind, "DTU")
		for n := range uint16(5) {
			s := oneMeter()
			g.dtu(t, kind, "DTU", s)
			waitFor(t, "the newest connection to be asked", func() bool {
				reply, err := do(t, l, read(n, 1))
				if err == nil {
					checkValues(t, n, 1, reply.Data)
				}
				return s.Calls() > 0
			})
			mustRead(t, l, n+10, 1)
		}
	})
}

func TestHeartbeats(t *testing.T) {
	t.Parallel()
	each(t, dialing, func(t *testing.T, kind wire.Kind) {
		g := newGate(t)
		l := g.line(t, kind, "DTU")
		s := oneMeter()
		s.Fault = func(c server.Call) server.Fault {
			f := server.Fault{Before: []byte("PING")}
			if c.Number%2 == 0 {
				f.Before = []byte("PINGPING")
			}
			return f
		}
		conn := g.dtu(t, kind, "DTUPING", s)
		for n := range uint16(20) {
			mustRead(t, l, n, 2)
			if _, err := io.WriteString(conn, "PING"); err != nil {
				t.Fatal(err)
			}
		}
		if st := l.Stats(); st.Reconnects != 0 || st.Late != 0 {
			t.Errorf("reconnects %d, late %d", st.Reconnects, st.Late)
		}
	})
}

// TestSilentUnitKeepsTheConnection: other units behind the same device answer.
func TestSilentUnitKeepsTheConnection(t *testing.T) {
	t.Parallel()
	each(t, dialing, func(t *testing.T, kind wire.Kind) {
		g := newGate(t)
		l := g.line(t, kind, "DTU")
		g.dtu(t, kind, "DTU", oneMeter())
		mustRead(t, l, 0, 1)
		for range 4 {
			dead := short(read(0, 1))
			dead.Unit = 9
			if _, err := do(t, l, dead); !errors.Is(err, wire.ErrTimeout) {
				t.Fatalf("got %v", err)
			}
		}
		mustRead(t, l, 1, 1)
		if st := l.Stats(); st.Reconnects != 0 {
			t.Errorf("reconnects %d", st.Reconnects)
		}
	})
}

// TestForsaken: a device that sends nothing for the idle time is hung up.
func TestForsaken(t *testing.T) {
	t.Parallel()
	each(t, dialing, func(t *testing.T, kind wire.Kind) {
		g := newGate(t)
		l := g.line(t, kind, "DTU", func(c *wire.Config) { c.IdleClose = 200 * time.Millisecond })
		g.dtu(t, kind, "DTU", oneMeter())
		eventually(t, l, 0, 1)
		waitFor(t, "the line to hang up", func() bool { return !l.Stats().Open })
		g.dtu(t, kind, "DTU", oneMeter())
		eventually(t, l, 1, 1)
	})
}

func TestUnknownRegistration(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.line(t, wire.RTUOverTCP, "DTU-7", func(c *wire.Config) { c.ConnectTimeout = 50 * time.Millisecond })
	if _, err := do(t, l, read(0, 1)); !errors.Is(err, wire.ErrGone) || !strings.Contains(err.Error(), `no device with registration "DTU-7" has dialled in`) {
		t.Errorf("got %v", err)
	}
	stranger, err := net.Dial("tcp", g.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, err := stranger.Write([]byte(strings.Repeat("who ", 64))); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the stranger to be named", func() bool {
		_, err := do(t, l, read(0, 1))
		return err != nil && strings.Contains(err.Error(), `which said "who who`)
	})
}

func TestPatterns(t *testing.T) {
	for _, bad := range []string{"hex:", "hex:0", "hex:zz", "regex:(", "regex:.*"} {
		if _, err := wire.ParsePattern(bad); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
	for _, c := range []struct {
		text string
		kind wire.Kind
		good bool
	}{
		{"", wire.TCP, true}, {"PING", wire.TCP, true}, {"hex:fe", wire.RTUOverTCP, true}, {"hex:fe", wire.TCP, false},
		{"hex:00 01 00 00 00", wire.TCP, false}, {"regex:a+", wire.RTUOverTCP, false}, {strings.Repeat("x", 65), wire.RTUOverTCP, false},
	} {
		if _, err := wire.ParseHeartbeat(c.text, c.kind); (err == nil) != c.good {
			t.Errorf("%q on %s: %v", c.text, c.kind, err)
		}
	}
}
