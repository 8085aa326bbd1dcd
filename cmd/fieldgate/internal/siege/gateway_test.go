package siege

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"fieldgate/cmd/fieldgate/internal/proctest"
	"fieldgate/drivers/modbus/server"
	"fieldgate/scripts/peertest"
	"fieldgate/web"
)

// gateway is the product under siege: a directory, a file and, at times, a
// process.
type gateway struct {
	t    *testing.T
	dir  string
	port int // of the broker
	proc *proctest.Proc
}

// newGateway writes the file; more is appended to what every gateway here has.
func newGateway(t *testing.T, buffer, more string) *gateway {
	t.Helper()
	g := &gateway{t: t, dir: t.TempDir(), port: peertest.FreePort(t)}
	g.write(buffer, more)
	return g
}

func (g *gateway) write(buffer, more string) {
	g.t.Helper()
	proctest.WriteFile(g.t, g.conf(), fmt.Sprintf(`[gateway]
id = "gw"
[log]
format = "text"
[web]
bind = ""
[broker]
max_queued = 10000000
[[broker.listener]]
name = "local"
bind = "127.0.0.1:%d"
allow_anonymous = true
max_connects = 1000000
[buffer]
dir = "%s"
%s
%s`, g.port, g.state(), buffer, more))
}

func (g *gateway) conf() string   { return filepath.Join(g.dir, "fieldgate.toml") }
func (g *gateway) state() string  { return filepath.Join(g.dir, "state") }
func (g *gateway) socket() string { return filepath.Join(g.dir, "control.sock") }

func (g *gateway) start() {
	g.t.Helper()
	g.proc = proctest.Start(g.t, proctest.Binary(g.t), "run", "-c", g.conf(), "--socket", g.socket())
	g.proc.Until("listens", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(g.port))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (g *gateway) kill() {
	g.t.Helper()
	if g.proc.Ended() {
		g.t.Fatalf("the gateway ended by itself:\n%s", g.proc.Everything())
	}
	g.proc.Stop(syscall.SIGKILL)
}

// command runs a command of the product against the gateway.
func (g *gateway) command(args ...string) ([]byte, error) {
	return exec.Command(proctest.Binary(g.t), append(args, "--socket", g.socket())...).Output()
}

// queues is what queue status says, by upstream.
func (g *gateway) queues() map[string]web.Queue {
	g.t.Helper()
	out, err := g.command("queue", "status", "--json")
	if err != nil {
		g.t.Fatalf("queue status: %v\n%s", err, g.proc.Everything())
	}
	var doc struct{ Queues map[string]web.Queue }
	if err := json.Unmarshal(out, &doc); err != nil {
		g.t.Fatal(err)
	}
	return doc.Queues
}

// dropped is the sum over all reasons.
func dropped(q web.Queue) (n uint64) {
	for _, x := range q.Dropped {
		n += x
	}
	return n
}

// counter is a PLC whose register h0:uint32 counts how often it was read.
type counter struct {
	server.Memory
	port int

	mu    sync.Mutex
	reads uint32
	times []time.Time // of the reads
}

func newCounter(t *testing.T) *counter {
	t.Helper()
	c := &counter{port: peertest.FreePort(t)}
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(c.port))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = (&server.Server{Any: c}).ServeTCP(ctx, l) // ends with ctx
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return c
}

// ReadRegisters implements server.Bank.
func (c *counter) ReadRegisters(server.Area, int, int) ([]uint16, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads++
	c.times = append(c.times, time.Now())
	b := binary.BigEndian.AppendUint32(nil, c.reads)
	return []uint16{binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])}, nil
}

// when is the time of a read, counted from 1.
func (c *counter) when(n int) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.times[n-1]
}

// section is the part of the file that polls it.
func (c *counter) section(poll string) string {
	return fmt.Sprintf(`
[[bus]]
name = "net"
tcp = "127.0.0.1:%d"
[[device]]
name = "plc"
bus = "net"
poll = %q
tags = [ { name = "reads", reg = "h0:uint32" } ]
`, c.port, poll)
}
