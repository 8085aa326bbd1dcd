package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fieldgate/buffer"
	"fieldgate/configs"
	"fieldgate/drivers"
	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
	"fieldgate/web"
)

// smallFile is a gateway without devices.
func smallFile(dir string, brokerPort int, more string) string {
	return fmt.Sprintf(`
[gateway]
id = "gw"
[log]
format = "text"
[web]
bind = ""
[buffer]
dir = "%s/state"
min_free = "1MiB"
[[broker.listener]]
name = "local"
bind = "127.0.0.1:%d"
allow_anonymous = true
%s`, dir, brokerPort, more)
}

// upstreamSection is an upstream where nobody answers.
func upstreamSection(name string) string {
	return fmt.Sprintf("[[upstream]]\nname = %q\nurl = \"mqtt://127.0.0.1:9\"\n[[upstream.route]]\nfrom = \"gw/#\"\n", name)
}

func openSmall(t *testing.T, dir, text string) *gateway {
	t.Helper()
	g, err := openGateway(parse(t, text), gatewayOptions{path: filepath.Join(dir, "fieldgate.toml"), log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func parse(t *testing.T, text string) *configs.File {
	t.Helper()
	file, report := configs.LoadText("fieldgate.toml", text, configs.Options{})
	if !report.OK() {
		t.Fatal(report.Err())
	}
	return file
}

// TestReloadBeforeAndAfterTheRun: a reload may come before the upstreams run
// and after they have ended; then it starts none, for nobody would end them.
func TestReloadBeforeAndAfterTheRun(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	g := openSmall(t, dir, smallFile(dir, port, upstreamSection("a")))
	defer g.close()
	reload := func(names ...string) error {
		t.Helper()
		text := ""
		for _, n := range names {
			text += upstreamSection(n)
		}
		return g.reload(parse(t, smallFile(dir, port, text)))
	}
	if err := reload("a", "b"); err != nil {
		t.Fatal(err)
	}
	for name, l := range g.links {
		if l.cancel != nil {
			t.Errorf("upstream %s runs before run", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.run(ctx) }()
	eventually(t, "the upstreams run", func() bool {
		s := g.Status()
		return len(s.Upstream) == 2 && s.Upstream[0].State != "stopped" && s.Upstream[1].State != "stopped"
	})
	if err := reload("b", "c"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a is gone and c runs", func() bool {
		s := g.Status()
		return len(s.Upstream) == 2 && s.Upstream[0].Name == "b" && s.Upstream[1].State != "stopped"
	})
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := g.reloadLinks(parse(t, smallFile(dir, port, upstreamSection("b")+upstreamSection("d")))); err != nil {
		t.Fatal(err)
	}
	if l := g.links["d"]; l == nil || l.cancel != nil {
		t.Error("an upstream runs after the end")
	}
}

// TestRemovedUpstream: its queue stays, is shown, and is empty only after a
// person has dropped it.
func TestRemovedUpstream(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	g := openSmall(t, dir, smallFile(dir, port, upstreamSection("gone")))
	defer g.close()
	defer g.release()
	for i := range 3 {
		if err := g.broker.Publish(t.Context(), mqtt.Message{Topic: "gw/x", Payload: []byte{byte('0' + i)}, QoS: 1}); err != nil {
			t.Fatal(err)
		}
	}
	shown := func() (n int) {
		for _, p := range g.Status().Problems {
			if p.Code == "W0731" && p.Part == "queue gone" && strings.Contains(p.Text, "3 messages") {
				n++
			}
		}
		return n
	}
	if shown() != 0 {
		t.Error("a queue that is in use is shown as left behind")
	}
	if err := g.reload(parse(t, smallFile(dir, port, ""))); err != nil {
		t.Fatal(err)
	}
	if shown() != 1 {
		t.Errorf("the queue of a removed upstream: %+v", g.Status().Problems)
	}
	if n, err := g.buffer.Drop(t.Context(), "gone"); n != 3 || err != nil {
		t.Errorf("dropped %d, %v", n, err)
	}
	if shown() != 0 {
		t.Error("the dropped queue is still shown")
	}
}

// TestReloadIsToldInTheGatewaysTopics: the retained info shows the
// configuration that is in force.
func TestReloadIsToldInTheGatewaysTopics(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	g := openSmall(t, dir, smallFile(dir, port, ""))
	defer g.close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.run(ctx) }()
	told := func(config string, upstreams int) bool {
		for _, m := range g.broker.Retained("fieldgate/gw/info") {
			var doc struct {
				Config    string `json:"config"`
				Upstreams int    `json:"upstreams"`
			}
			return json.Unmarshal(m.Payload, &doc) == nil && doc.Config == config && doc.Upstreams == upstreams
		}
		return false
	}
	eventually(t, "info", func() bool { return told(g.Status().Gateway.ConfigID, 0) })
	next := parse(t, smallFile(dir, port, upstreamSection("a")))
	if err := g.reload(next); err != nil {
		t.Fatal(err)
	}
	eventually(t, "info after the reload", func() bool { return told(next.Fingerprint(), 1) })
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestReloadThatFails is an error to who asked, and a problem until the next one.
func TestReloadThatFails(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	text := smallFile(dir, port, "")
	g := openSmall(t, dir, text)
	defer g.close()
	writeFile(t, g.path, text)
	r := newReloader(g, nil, func() { t.Error("a fresh start") })
	g.release() // a broker that has ended refuses
	if done := r.reload(); done.err == nil || exitCodeOf(done.err) != exitProblems {
		t.Errorf("%v", done.err)
	}
	if p := g.Status().Problems; len(p) != 1 || p[0].Code != "E0714" {
		t.Errorf("%+v", p)
	}
}

// TestPersistNeedsAFreshStart: the broker takes its store at the start only.
func TestPersistNeedsAFreshStart(t *testing.T) {
	file := parse(t, smallFile(t.TempDir(), freePort(t), ""))
	g := &gateway{file: file}
	next := *file
	if g.needsFreshStart(&next) {
		t.Error("the same file needs a fresh start")
	}
	next.Broker.Persist = new(bool)
	if !g.needsFreshStart(&next) {
		t.Error("persist = false would be ignored")
	}
}

// TestListenersComeAndGo: a client keeps its connection while another listener
// is added, changed and taken away; a port that is taken changes nothing.
func TestListenersComeAndGo(t *testing.T) {
	dir, port, second := t.TempDir(), freePort(t), freePort(t)
	g := openSmall(t, dir, smallFile(dir, port, ""))
	defer g.close()
	running, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.broker.Run(running) }()
	defer func() { stop(); <-ended }()
	dial := func(port int) (*client.Conn, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return client.Dial(ctx, client.Config{URL: fmt.Sprintf("mqtt://127.0.0.1:%d", port), ClientID: fmt.Sprint("client", port), CleanStart: true})
	}
	first, err := dial(port)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	listener := func(port int) string {
		return fmt.Sprintf("[[broker.listener]]\nname = \"second\"\nbind = \"127.0.0.1:%d\"\nallow_anonymous = true\n", port)
	}
	change := func(more string) error {
		next := parse(t, smallFile(dir, port, more))
		if g.needsFreshStart(next) {
			t.Fatal("a listener makes everything start afresh")
		}
		return g.reload(next)
	}
	if err := change(listener(second)); err != nil {
		t.Fatal(err)
	}
	other, err := dial(second)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := change(listener(taken.Addr().(*net.TCPAddr).Port)); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a port that is taken: %v", err)
	}
	if err := change(""); err != nil {
		t.Fatal(err)
	}
	select {
	case <-other.Done():
	case <-time.After(patience):
		t.Error("the client of a listener that is gone is still there")
	}
	if err := first.Publish(t.Context(), mqtt.Message{Topic: "a/b", QoS: 1}); err != nil {
		t.Errorf("the first client: %v", err)
	}
}

// TestOpenThatFailsFreesThePorts: after a new file that cannot be taken up the
// old one is opened again in the same process.
func TestOpenThatFailsFreesThePorts(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir, port := t.TempDir(), freePort(t)
	text := smallFile(dir, port, "")
	bad := strings.Replace(text, `bind = ""`, fmt.Sprintf("bind = %q", taken.Addr()), 1)
	if _, err := openGateway(parse(t, bad), gatewayOptions{log: slog.New(slog.DiscardHandler)}); err == nil || exitCodeOf(err) != exitNetwork {
		t.Fatalf("%v", err)
	}
	g := openSmall(t, dir, text)
	g.release()
	g.close()
}

// stuckBroker never takes a message.
type stuckBroker struct{}

func (stuckBroker) Publish(ctx context.Context, _ ...mqtt.Message) error {
	<-ctx.Done()
	return ctx.Err()
}

func (stuckBroker) Handle(string, func(context.Context, []mqtt.Message) error) error { return nil }

// TestEventsDoNotWait: the queue's writer reports while the supervisor waits
// for that very writer.
func TestEventsDoNotWait(t *testing.T) {
	super, err := drivers.NewSupervisor(drivers.Options{Broker: stuckBroker{}, Gateway: drivers.Gateway{ID: "gw"}})
	if err != nil {
		t.Fatal(err)
	}
	e := newEvents()
	e.publishBy(super)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 5000 {
			e.take(buffer.Event{Code: "I0712", Text: "queue.db is written again"})
		}
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the queue waits for the supervisor")
	}
}

// TestFreshStart: a changed log is taken up, a port that is taken is not the
// end of the gateway, and a signal at any moment of a fresh start is a reload.
func TestFreshStart(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	path := writeFile(t, filepath.Join(dir, "fieldgate.toml"), smallFile(dir, port, ""))
	socket := filepath.Join(dir, "control.sock")
	p := start(t, fieldgateBinary(t), "run", "-c", path, "--socket", socket)
	p.wait("INFO  running")

	second, err := exec.Command(fieldgateBinary(t), "run", "-c", path, "--socket", socket).CombinedOutput()
	if exitStatus(err) != exitProblems || !strings.Contains(string(second), "running already") {
		t.Errorf("a second gateway: %v\n%s", err, second)
	}

	inJSON := strings.Replace(smallFile(dir, port, ""), `format = "text"`, `format = "json"`, 1)
	writeFile(t, path, inJSON)
	if out, err := exec.Command(fieldgateBinary(t), "reload", "--socket", socket).CombinedOutput(); err != nil {
		t.Errorf("reload by a fresh start: %v\n%s", err, out)
	}
	p.wait(`"msg":"running"`)

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	writeFile(t, path, strings.Replace(inJSON, `bind = ""`, fmt.Sprintf("bind = %q", taken.Addr()), 1))
	signalTo(t, p, syscall.SIGHUP)
	p.until("goes on with the old file", func() bool { return statusHas(t, socket, "E0714") })
	status, err := exec.Command(fieldgateBinary(t), "status", "--socket", socket).CombinedOutput()
	if !strings.Contains(string(status), taken.Addr().String()) {
		t.Errorf("status does not say what is in the way: %v\n%s", err, status)
	}

	for i := range 40 {
		writeFile(t, path, strings.Replace(inJSON, `id = "gw"`, fmt.Sprintf("id = \"gw%d\"", i), 1))
		signalTo(t, p, syscall.SIGHUP)
		time.Sleep(25 * time.Millisecond)
	}
	p.until("has the last file", func() bool { return statusHas(t, socket, `"gw39"`) })
	p.stop(syscall.SIGTERM)
	if code := p.Cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.everything())
	}
}

func signalTo(t *testing.T, p *proc, sig syscall.Signal) {
	t.Helper()
	if err := p.Cmd.Process.Signal(sig); err != nil {
		t.Fatalf("%v: %s", err, p.everything())
	}
}

func statusHas(t *testing.T, socket, text string) bool {
	t.Helper()
	var s web.Status
	if newControlClient(socket).call(t.Context(), "GET", "/status", nil, &s) != nil {
		return false // between two runs
	}
	doc, err := json.Marshal(s)
	return err == nil && strings.Contains(string(doc), text)
}

// TestNotify is what systemd hears: READY once everything is in place, every
// reload opened and closed, also by a fresh start and by a file with errors,
// the watchdog fed, and STOPPING when the end begins.
func TestNotify(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	text := smallFile(dir, port, "")
	path := writeFile(t, filepath.Join(dir, "fieldgate.toml"), text)
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	p := newProc(t, fieldgateBinary(t), "run", "-c", path, "--socket", filepath.Join(dir, "control.sock"))
	p.run([]string{"NOTIFY_SOCKET=" + filepath.Join(dir, "notify"), "WATCHDOG_USEC=60000000"})
	hear := func(want ...string) {
		t.Helper()
		buf := make([]byte, 4096)
		for _, w := range want {
			for {
				if err := systemd.SetReadDeadline(time.Now().Add(patience)); err != nil {
					t.Fatal(err)
				}
				n, err := systemd.Read(buf)
				if err != nil {
					t.Fatalf("waiting for %s: %v\n%s", w, err, p.everything())
				}
				got, _, _ := strings.Cut(string(buf[:n]), "\n")
				if strings.HasPrefix(got, "STATUS=") || got == "WATCHDOG=1" && w != got {
					continue // at any time
				}
				if got != w || w == "RELOADING=1" && !strings.Contains(string(buf[:n]), "\nMONOTONIC_USEC=") {
					t.Fatalf("%q, want %s", buf[:n], w)
				}
				break
			}
		}
	}
	hear("READY=1", "WATCHDOG=1")
	signalTo(t, p, syscall.SIGHUP)
	hear("RELOADING=1", "READY=1")
	writeFile(t, path, text+"no_such_key = 1\n")
	signalTo(t, p, syscall.SIGHUP)
	hear("RELOADING=1", "READY=1")
	writeFile(t, path, strings.Replace(text, `id = "gw"`, `id = "gw2"`, 1))
	signalTo(t, p, syscall.SIGHUP)
	hear("RELOADING=1", "READY=1", "WATCHDOG=1")
	signalTo(t, p, syscall.SIGTERM)
	hear("STOPPING=1")
	p.stop(syscall.SIGTERM)
}
