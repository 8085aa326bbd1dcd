package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fieldgate/scripts/peertest"
)

// TestEndToEnd has nothing of ours at either end: pymodbus over TCP and
// libmodbus over a pty pair as devices, Debian's mosquitto as upstream,
// mosquitto_sub and MQTT.js as consumers, paho as a local publisher. The
// upstream is stopped for a while and the gateway is killed with -9 twice.
// Every sample that was committed arrives once or more, in order, with its own
// time, and no message that was acknowledged is missing.
func TestEndToEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	e := newPlant(t)
	e.startUpstream()
	seenByJS := start(t, peertest.Need(t, "node"), "testdata/e2e/subscribe.js", peertest.NodeModules(t, "mqtt"), strconv.Itoa(e.upstreamPort), "factory/#", "e2e-js")
	seenByJS.wait("subscribed")
	// -c and an id: a persistent session, so that the upstream's own restart loses nothing.
	seen := start(t, peertest.Need(t, "mosquitto_sub"), "-p", strconv.Itoa(e.upstreamPort), "-t", "factory/#", "-q", "1", "-c", "-i", "e2e-sub", "-F", "%t %p")
	e.startGateway()
	local := start(t, peertest.Need(t, "mosquitto_sub"), "-p", strconv.Itoa(e.localPort), "-t", "gw/#", "-q", "1", "-i", "e2e-local", "-F", "%t %p")
	publisher := start(t, peertest.NeedPython(t, "paho.mqtt.client"), "testdata/e2e/publish.py", strconv.Itoa(e.localPort), "line/msg")

	seen.wait("factory/gw/plc/count ")
	seen.wait("factory/gw/meter/volt ")
	seen.wait("factory/line/msg ")
	seenByJS.wait("factory/gw/plc/count")
	local.wait("gw/plc/count ")

	var killed []time.Time
	kill := func() {
		killed = append(killed, time.Now())
		e.gateway.stop(syscall.SIGKILL)
		e.startGateway()
	}
	e.upstream.stop(syscall.SIGTERM)
	time.Sleep(4 * time.Second) // the outage: values pile up
	kill()                      // with a backlog on disk
	time.Sleep(3 * time.Second)
	e.startUpstream()
	time.Sleep(time.Second) // the backlog is on its way
	kill()                  // in the middle of the drain
	time.Sleep(3 * time.Second)

	publisher.stop(syscall.SIGKILL)
	acked := numbers(t, publisher.out())
	last := acked[len(acked)-1]
	seen.wait(fmt.Sprintf("factory/line/msg %d", last))
	truth := samples(t, local.out(), "gw/plc/count ")
	final := truth[len(truth)-1]
	for name, got := range map[string]func() []string{"mosquitto_sub": seen.out, "MQTT.js": func() []string { return jsLines(t, seenByJS.out()) }} {
		t.Run(name, func(t *testing.T) {
			eventually(t, "the newest value arrives", func() bool { return contains(samples(t, got(), "factory/gw/plc/count "), final) })
			eventually(t, "the newest message arrives", func() bool { return contains(samples(t, got(), "factory/line/msg "), sample{value: float64(last)}) })
			checkMessages(t, acked, samples(t, got(), "factory/line/msg "))
			checkSamples(t, truth, samples(t, got(), "factory/gw/plc/count "), killed)
			checkSamples(t, samples(t, local.out(), "gw/meter/volt "), samples(t, got(), "factory/gw/meter/volt "), killed)
		})
	}
	e.checkWrite()
}

// plant is the gateway with its devices and its upstream.
type plant struct {
	t                       *testing.T
	dir                     string
	upstreamPort, localPort int
	upstream, gateway       *proc
}

func newPlant(t *testing.T) *plant {
	t.Helper()
	e := &plant{t: t, dir: t.TempDir(), upstreamPort: freePort(t), localPort: freePort(t)}
	tcpPort := freePort(t)

	tcp := start(t, peertest.NeedPython(t, "pymodbus.server"), "testdata/e2e/slave_tcp.py", strconv.Itoa(tcpPort))
	tcp.wait("ready")
	waitPort(t, tcpPort)

	ours, theirs := filepath.Join(e.dir, "line"), filepath.Join(e.dir, "slave")
	socat := start(t, peertest.Need(t, "socat"), "-d", "-d", "pty,raw,echo=0,link="+ours, "pty,raw,echo=0,link="+theirs)
	socat.wait("starting data transfer loop")
	slave := filepath.Join(e.dir, "slave_rtu")
	cc := exec.Command(peertest.Need(t, "gcc"), "-o", slave, "testdata/e2e/slave_rtu.c", "-I/usr/include/modbus", "-lmodbus")
	if out, err := cc.CombinedOutput(); err != nil {
		t.Fatalf("compile the libmodbus slave: %v\n%s", err, out)
	}
	start(t, slave, theirs).wait("ready")

	writeFile(t, filepath.Join(e.dir, "mosquitto.conf"), fmt.Sprintf(`listener %d 127.0.0.1
allow_anonymous true
persistence true
persistence_location %s/
max_queued_messages 0
user root
`, e.upstreamPort, e.dir))
	writeFile(t, filepath.Join(e.dir, "fieldgate.toml"), fmt.Sprintf(`
[gateway]
id = "gw"
[log]
format = "text"
[web]
bind = ""
[buffer]
dir = "%[1]s/state"
min_free = "1MiB"
[publish]
on = "change"
qos = 1
[[broker.listener]]
name = "local"
bind = "127.0.0.1:%[2]d"
allow_anonymous = true
[[bus]]
name = "plc-net"
tcp = "127.0.0.1:%[3]d"
[[bus]]
name = "rs485"
port = "%[4]s"
mode = "8E1"
[[device]]
name = "plc"
bus = "plc-net"
poll = "200ms"
tags = [
  { name = "count", reg = "h0:uint32" },
  { name = "setpoint", reg = "h10:int16", scale = 0.1, write = { min = 0, max = 95 } },
]
[[device]]
name = "meter"
bus = "rs485"
unit = 3
poll = "500ms"
tags = [ { name = "volt", reg = "i0:float32", unit = "V" } ]
[[upstream]]
name = "cloud"
url = "mqtt://127.0.0.1:%[5]d"
connect = { backoff_min = "200ms", backoff_max = "1s" }
drain = { order = "strict" }
[[upstream.route]]
from = "gw/+/+"
to = "factory/{topic}"
[[upstream.route]]
from = "line/#"
to = "factory/{topic}"
[[upstream.command]]
from = "cmd/+/+/set"
to = "gw/{1}/{2}/set"
`, e.dir, e.localPort, tcpPort, ours, e.upstreamPort))
	return e
}

func (e *plant) startUpstream() {
	e.t.Helper()
	e.upstream = start(e.t, peertest.Need(e.t, "mosquitto"), "-c", filepath.Join(e.dir, "mosquitto.conf"))
	waitPort(e.t, e.upstreamPort)
}

func (e *plant) startGateway() {
	e.t.Helper()
	e.gateway = start(e.t, fieldgateBinary(e.t), "run", "-c", filepath.Join(e.dir, "fieldgate.toml"), "--socket", filepath.Join(e.dir, "control.sock"))
	waitPort(e.t, e.localPort)
}

// checkWrite sets a register from MQTT and reads it back through the gateway.
func (e *plant) checkWrite() {
	e.t.Helper()
	port := strconv.Itoa(e.localPort)
	result := start(e.t, peertest.Need(e.t, "mosquitto_sub"), "-p", port, "-t", "gw/plc/setpoint/set/result")
	// The set is sent again until its result is seen: the first may come before
	// the subscription stands.
	set := func(payload, want string) {
		e.t.Helper()
		result.until("prints "+want, func() bool {
			out, err := exec.Command(peertest.Need(e.t, "mosquitto_pub"), "-p", port, "-t", "gw/plc/setpoint/set", "-m", payload, "-q", "1").CombinedOutput()
			if err != nil {
				e.t.Fatalf("publish the set: %v %s", err, out)
			}
			time.Sleep(200 * time.Millisecond)
			return strings.Contains(strings.Join(result.out(), "\n"), want)
		})
	}
	set(`{"value":72.5,"id":"a1"}`, `"id":"a1","status":"ok","value":72.5,"readback":72.5`)
	set(`{"value":99,"id":"a2"}`, `"id":"a2","status":"error"`)
	e.checkCommand()
	out, err := exec.Command(fieldgateBinary(e.t), "read", "plc/setpoint", "--json", "--socket", filepath.Join(e.dir, "control.sock")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"value":68.5`) {
		e.t.Errorf("read back through the gateway: %v\n%s", err, out)
	}
}

// checkCommand sets a register from the upstream, with an MQTT 5 Response
// Topic: the result comes back there.
func (e *plant) checkCommand() {
	e.t.Helper()
	rr := peertest.Need(e.t, "mosquitto_rr")
	eventually(e.t, "a command from the upstream is answered", func() bool {
		out, _ := exec.Command(rr, "-V", "mqttv5", "-p", strconv.Itoa(e.upstreamPort), "-W", "5", "-q", "1",
			"-t", "cmd/plc/setpoint/set", "-e", "answers/1", "-m", `{"value":68.5,"id":"c1"}`).CombinedOutput() // a time-out is tried again
		return strings.Contains(string(out), `"id":"c1","status":"ok","value":68.5,"readback":68.5`)
	})
}

// sample is a value with its own time in Unix milliseconds; 0 for plain numbers.
type sample struct {
	value float64
	ts    int64
}

// samples picks the good values of one topic from "topic payload" lines.
func samples(t *testing.T, lines []string, prefix string) []sample {
	t.Helper()
	var got []sample
	for _, l := range lines {
		payload, ok := strings.CutPrefix(l, prefix)
		if !ok {
			continue
		}
		if v, err := strconv.ParseFloat(payload, 64); err == nil {
			got = append(got, sample{value: v})
			continue
		}
		var p struct {
			Value   *float64
			TS      int64
			Quality string
		}
		if err := json.Unmarshal([]byte(payload), &p); err != nil {
			t.Fatalf("%s%s: %v", prefix, payload, err)
		}
		if p.Quality == "good" && p.Value != nil {
			got = append(got, sample{*p.Value, p.TS})
		}
	}
	return got
}

func contains(all []sample, s sample) bool {
	for _, x := range all {
		if x.value == s.value {
			return true
		}
	}
	return false
}

// checkMessages: nothing acknowledged is missing.
func checkMessages(t *testing.T, acked []int, got []sample) {
	t.Helper()
	have := map[int]bool{}
	for _, g := range got {
		have[int(g.value)] = true
	}
	missing := 0
	for _, n := range acked {
		if !have[n] {
			missing++
		}
	}
	if missing > 0 || len(acked) < 50 {
		t.Errorf("%d of %d acknowledged messages are missing", missing, len(acked))
	}
}

// checkSamples: what was seen on the local broker arrived, except what was
// younger than one commit interval when the gateway was killed; first arrivals
// are in order; the time is the sample's own.
func checkSamples(t *testing.T, truth, got []sample, killed []time.Time) {
	t.Helper()
	times := map[float64]int64{}
	newest := -1.0
	for _, g := range got {
		if _, again := times[g.value]; again {
			continue
		}
		times[g.value] = g.ts
		if g.value < newest {
			t.Errorf("%v arrives after %v", g.value, newest)
		}
		newest = max(newest, g.value)
	}
	uncommitted := func(ts int64) bool {
		for _, k := range killed {
			if age := k.UnixMilli() - ts; age < 2000 && age > -2000 {
				return true
			}
		}
		return false
	}
	missing := 0
	for _, s := range truth {
		ts, ok := times[s.value]
		if !ok && !uncommitted(s.ts) {
			missing++
			t.Errorf("%v of %d is missing", s.value, s.ts)
		}
		if diff := ts - s.ts; ok && (diff > 5 || diff < -5) {
			t.Errorf("%v has time %d, was read at %d", s.value, ts, s.ts)
		}
	}
	if len(truth) < 10 {
		t.Errorf("only %d samples were seen locally", len(truth))
	}
}

func numbers(t *testing.T, lines []string) []int {
	t.Helper()
	var all []int
	for _, l := range lines {
		n, err := strconv.Atoi(l)
		if err != nil {
			t.Fatalf("the publisher printed %q", l)
		}
		all = append(all, n)
	}
	if len(all) == 0 {
		t.Fatal("nothing was acknowledged")
	}
	return all
}

// jsLines turns the JSON lines of MQTT.js into "topic payload" lines.
func jsLines(t *testing.T, lines []string) []string {
	t.Helper()
	var all []string
	for _, l := range lines {
		var m struct{ Topic, Payload string }
		if err := json.Unmarshal([]byte(l), &m); err != nil {
			t.Fatalf("%s: %v", l, err)
		}
		all = append(all, m.Topic+" "+m.Payload)
	}
	return all
}
