package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"fieldgate/configs"
	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
	"fieldgate/scripts/peertest"
)

// imported runs `config import mosquitto` and returns the TOML.
func imported(t *testing.T, path string, want int) string {
	t.Helper()
	var out, talk bytes.Buffer
	if code := Main([]string{"config", "import", "mosquitto", path}, strings.NewReader(""), &out, &talk); code != want {
		t.Fatalf("exit code %d: %s", code, talk.String())
	}
	return out.String()
}

// TestImportPassesCheck: what the import writes has no error. (Certificates of
// another machine are not looked for.)
func TestImportPassesCheck(t *testing.T) {
	for name, code := range map[string]int{"aws": 0, "plant": 0, "psk": exitProblems} {
		text := imported(t, filepath.Join("internal/mosquittoconf/testdata", name+".conf"), code)
		_, report := configs.LoadText(name+".toml", text, configs.Options{SkipFiles: true})
		if !report.OK() {
			t.Errorf("%s: %v", name, report.Err())
		}
	}
	for path, want := range map[string]int{"internal/mosquittoconf/testdata/none.conf": exitProblems, "../../CHANGELOG.md": exitProblems} {
		if text := imported(t, path, want); text != "" {
			t.Errorf("%s gives %s", path, text)
		}
	}
}

// aMosquitto starts mosquitto with a configuration and a listener of its own.
func aMosquitto(t *testing.T, lines ...string) (port int) {
	t.Helper()
	bin := peertest.Need(t, "mosquitto")
	port = freePort(t)
	text := fmt.Sprintf("user root\nlistener %d 127.0.0.1\nallow_anonymous true\n%s\n", port, strings.Join(lines, "\n"))
	cmd := exec.Command(bin, "-c", writeFile(t, filepath.Join(t.TempDir(), "mosquitto.conf"), text))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	waitPort(t, port)
	return port
}

// listener collects what arrives at a broker, as "topic payload".
type listener struct {
	mu  sync.Mutex
	got []string
}

func listenAt(t *testing.T, port int, filter string) (*listener, *client.Conn) {
	t.Helper()
	l := &listener{}
	conn, err := client.Dial(t.Context(), client.Config{URL: "mqtt://127.0.0.1:" + strconv.Itoa(port), CleanStart: true,
		OnMessage: func(m *mqtt.Message, ack func()) {
			l.mu.Lock()
			l.got = append(l.got, m.Topic+" "+string(m.Payload))
			l.mu.Unlock()
			ack()
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := conn.Subscribe(t.Context(), mqtt.Subscription{Filter: filter, QoS: 1}); err != nil {
		t.Fatal(err)
	}
	return l, conn
}

func (l *listener) sorted() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(slices.Values(l.got))
}

func (l *listener) has(text string) bool { return slices.Contains(l.sorted(), text) }

// TestImportCarriesTheSame: mosquitto with a bridge, and a gateway with what
// the import makes of the same section, carry the same topics, up and down.
func TestImportCarriesTheSame(t *testing.T) {
	section := func(upstream int) string {
		return fmt.Sprintf(`connection twin
address 127.0.0.1:%d
bridge_protocol_version mqttv311
restart_timeout 1 2
notifications false
cleansession true
topic # out 1 plant/ factory/7/
topic +/set in 1 plant/cmd/ factory/7/cmd/
topic "" out 1 local/beat far/beat
topic line/+/state both 1`, upstream)
	}
	// Not among them: "plant" itself, which "plant/#" matches too; mosquitto makes "factory/7/plant" of it, we "factory/7".
	up := []string{"plant/a", "plant/a/b", "other", "local/beat", "line/1/state", "line/1/2/state"}
	down := []string{"factory/7/cmd/pump/set", "factory/7/cmd/pump/x/set", "line/2/state", "factory/7/else"}

	carries := func(t *testing.T, here, there int) (sent, came []string) {
		far, farConn := listenAt(t, there, "#")
		near, nearConn := listenAt(t, here, "#")
		// A first message in each direction shows that the bridge stands.
		until := func(what string, to *client.Conn, topic string, l *listener, want string) {
			t.Helper()
			eventually(t, what, func() bool {
				_ = to.Publish(t.Context(), mqtt.Message{Topic: topic, Payload: []byte("probe"), QoS: 1})
				return l.has(want)
			})
		}
		until("up", nearConn, "plant/probe", far, "factory/7/probe probe")
		until("down", farConn, "factory/7/cmd/probe/set", near, "plant/cmd/probe/set probe")
		for _, topic := range up {
			if err := nearConn.Publish(t.Context(), mqtt.Message{Topic: topic, Payload: []byte("1"), QoS: 1}); err != nil {
				t.Fatal(err)
			}
		}
		for _, topic := range down {
			if err := farConn.Publish(t.Context(), mqtt.Message{Topic: topic, Payload: []byte("2"), QoS: 1}); err != nil {
				t.Fatal(err)
			}
		}
		// The last of each direction closes it: order holds.
		until("the end up", nearConn, "plant/end", far, "factory/7/end probe")
		until("the end down", farConn, "factory/7/cmd/end/set", near, "plant/cmd/end/set probe")
		only := func(all []string, payload string, published []string) (list []string) {
			for _, m := range all {
				topic, ok := strings.CutSuffix(m, payload)
				if ok && !slices.Contains(published, topic) {
					list = append(list, topic)
				}
			}
			return list
		}
		// What crossed under the same name counts once beyond what was published there.
		for _, topic := range []string{"line/1/state"} {
			if far.has(topic + " 1") {
				sent = append(sent, topic)
			}
		}
		if near.has("line/2/state 2") {
			came = append(came, "line/2/state")
		}
		return append(sent, only(far.sorted(), " 1", up)...), append(came, only(near.sorted(), " 2", down)...)
	}

	there := aMosquitto(t)
	here := aMosquitto(t, section(there))
	wantUp, wantDown := carries(t, here, there)

	there = aMosquitto(t)
	conf := writeFile(t, filepath.Join(t.TempDir(), "bridge.conf"), section(there)+"\n")
	dir, port := t.TempDir(), freePort(t)
	file := writeFile(t, filepath.Join(dir, "fieldgate.toml"), smallFile(dir, port, imported(t, conf, 0)))
	p := start(t, fieldgateBinary(t), "run", "-c", file, "--socket", filepath.Join(dir, "s"))
	defer p.stop(os.Interrupt)
	waitPort(t, port)
	gotUp, gotDown := carries(t, port, there)

	if !slices.Equal(gotUp, wantUp) || !slices.Equal(gotDown, wantDown) {
		t.Errorf("up %q\nmosquitto's bridge: %q\ndown %q\nmosquitto's bridge: %q", gotUp, wantUp, gotDown, wantDown)
	}
	for _, topic := range []string{"far/beat", "line/1/state", "factory/7/a/b"} {
		if !slices.Contains(gotUp, topic) {
			t.Errorf("%s did not go up: %q", topic, gotUp)
		}
	}
	if !slices.Equal(gotDown, []string{"line/2/state", "plant/cmd/pump/set"}) {
		t.Errorf("down came %q", gotDown)
	}
}
