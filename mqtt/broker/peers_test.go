package broker

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
	"fieldgate/scripts/peertest"
)

// output collects what a program prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// background runs a program until the test ends.
func background(t *testing.T, name string, args ...string) *output {
	t.Helper()
	out := &output{}
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return out
}

func (s *server) port() (host, port string) {
	host, port, _ = net.SplitHostPort(s.addr())
	return host, port
}

// Debian's mosquitto clients, in each version and QoS, also through an outage.
func TestMosquittoClients(t *testing.T) {
	t.Parallel()
	mosquittoSub, mosquittoPub := peertest.Need(t, "mosquitto_sub"), peertest.Need(t, "mosquitto_pub")
	s := start(t, Config{}, nil)
	host, port := s.port()
	for _, v := range []string{"mqttv31", "mqttv311", "mqttv5"} {
		for qos := range 3 {
			t.Run(fmt.Sprintf("%s qos %d", v, qos), func(t *testing.T) {
				id, q := fmt.Sprintf("%s-%d", v, qos), fmt.Sprint(qos)
				out := background(t, mosquittoSub, "-h", host, "-p", port, "-V", v, "-q", q, "-i", id, "-t", "m/"+id+"/#", "-F", "%t %q %p")
				waitFor(t, "the subscription", func() bool {
					for _, c := range s.Clients() {
						if c.ID == id && c.Subscriptions == 1 {
							return true
						}
					}
					return false
				})
				cmd := exec.Command(mosquittoPub, "-h", host, "-p", port, "-V", v, "-q", q, "-t", "m/"+id+"/x", "-l")
				var lines, want strings.Builder
				for i := range 100 {
					fmt.Fprintln(&lines, i)
					fmt.Fprintf(&want, "m/%s/x %d %d\n", id, qos, i)
				}
				cmd.Stdin = strings.NewReader(lines.String())
				if got, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("mosquitto_pub: %v: %s", err, got)
				}
				waitFor(t, "100 lines", func() bool { return strings.Count(out.String(), "\n") >= 100 })
				if out.String() != want.String() {
					t.Errorf("mosquitto_sub printed\n%s", out)
				}
			})
		}
	}
	// A persistent session is filled while its client is away.
	args := []string{"-h", host, "-p", port, "-V", "mqttv311", "-c", "-i", "away", "-q", "1", "-t", "away", "-C", "1", "-W", "20"}
	if got, err := exec.Command(mosquittoSub, append(args, "-E")...).CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_sub -E: %v: %s", err, got)
	}
	s.offline("away")
	if got, err := exec.Command(mosquittoPub, "-h", host, "-p", port, "-q", "1", "-t", "away", "-m", "kept").CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_pub: %v: %s", err, got)
	}
	if got, err := exec.Command(mosquittoSub, args...).CombinedOutput(); err != nil || string(got) != "kept\n" {
		t.Errorf("mosquitto_sub: %v: %q", err, got)
	}
}

// A mosquitto broker bridges to ours: messages of each QoS go both ways, the
// state of the bridge is told, and what is published while our broker is away
// comes when it is back.
func TestMosquittoBridge(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"mqttv311", "mqttv50"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			bridge(t, version)
		})
	}
}

func bridge(t *testing.T, version string) {
	mosquitto := peertest.Need(t, "mosquitto")
	store := newMemory()
	// An address of its own: nobody takes the port while the broker is away.
	local := func(bind string) Config {
		return Config{Listener: []Listener{{Name: "local", Bind: bind, AllowAnonymous: true}}}
	}
	s := start(t, local("127.0.7.1:0"), store)
	ours := s.addr()
	port := strconv.Itoa(peertest.FreePort(t))
	theirs := "127.0.0.1:" + port
	file := filepath.Join(t.TempDir(), "m.conf")
	text := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\npersistence false\nconnection ours\naddress %s\nbridge_protocol_version %s\ncleansession false\nremote_clientid bridge\nlocal_clientid local\n"+
		"topic # both 2 here/ there/\nrestart_timeout 1\nkeepalive_interval 5\n", port, ours, version)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	log := background(t, mosquitto, "-c", file)
	waitFor(t, "the bridge", func() bool { return s.Stats().Subscriptions > 0 })
	dial := func(id string) (p *peer) {
		waitFor(t, "mosquitto", func() bool {
			nc, err := net.Dial("tcp", theirs)
			if err == nil {
				p = newPeer(t, nc)
			}
			return err == nil
		})
		p.connect(mqtt.V311, id)
		return p
	}
	p := dial("at-theirs")
	p.subscribe(sub("here/up/+", 2))
	q := s.connect(mqtt.V5, "at-ours", durable)
	q.subscribe(sub("there/down/+", 2), sub("$SYS/broker/connection/+/state", 0))
	if m := q.receive(); string(m.Payload) != "1" || !m.Retain {
		t.Errorf("state of the bridge: %+v", m)
	}
	for i := range 30 {
		qos, id := mqtt.QoS(i%3), uint16(i+1)
		q.publish("there/up/x", fmt.Sprint(i), qos, id)
		if m := p.receive(); string(m.Payload) != fmt.Sprint(i) || m.QoS != qos {
			t.Fatalf("up: got %s with QoS %d, want %d\n%s", m.Payload, m.QoS, i, log)
		}
		p.publish("here/down/x", fmt.Sprint(i), qos, id)
		if m := q.receive(); string(m.Payload) != fmt.Sprint(i) || m.QoS != qos || m.Topic != "there/down/x" {
			t.Fatalf("down: got %s %s with QoS %d, want %d\n%s", m.Topic, m.Payload, m.QoS, i, log)
		}
	}
	if version == "mqttv50" {
		return
	}
	waitFor(t, "all acknowledged", func() bool { n, _ := store.PendingCount("at-ours"); return n == 0 })
	s.stop()
	for i := range 10 {
		p.publish("here/down/x", fmt.Sprint("away ", i), 1, uint16(i+1))
	}
	s = start(t, local(ours), store)
	q = s.connect(mqtt.V5, "at-ours", durable)
	for next := 0; next < 10; next++ {
		m := q.receive()
		for strings.HasPrefix(m.Topic, "$SYS/") { // the bridge is off, and on again
			m = q.receive()
		}
		if m.Dup || string(m.Payload) != fmt.Sprint("away ", next) {
			t.Fatalf("got %s dup %v, want %d\n%s", m.Payload, m.Dup, next, log)
		}
	}
}

const pahoScript = `
import sys, threading
import paho.mqtt.client as mqtt
host, port, v = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
n, got, done, subscribed = 200, [], threading.Event(), threading.Event()
kw = {}
if hasattr(mqtt, "CallbackAPIVersion"):
    kw["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION1
def client(id):
    c = mqtt.Client(client_id=id, protocol=v, **kw)
    c.connect(host, port, 30)
    return c
def message(c, u, m):
    got.append((m.topic, int(m.payload), m.qos))
    if len(got) == n: done.set()
r = client("paho-r%d" % v)
r.on_message = message
r.on_subscribe = lambda *a: subscribed.set()
r.loop_start()
r.subscribe("paho/%d/+" % v, 2)
assert subscribed.wait(20), "no SUBACK"
w = client("paho-w%d" % v)
w.loop_start()
infos = [w.publish("paho/%d/x" % v, str(i), qos=i % 3) for i in range(n)]
for i in infos: i.wait_for_publish(20)
assert done.wait(20), "only %d messages" % len(got)
for q in range(3):
    numbers = [p for t, p, qos in got if qos == q]
    assert numbers == [i for i in range(n) if i % 3 == q], (q, numbers)
w.disconnect(); r.disconnect(); w.loop_stop(); r.loop_stop()
print("ok")
`

func TestPaho(t *testing.T) {
	t.Parallel()
	python := peertest.NeedPython(t, "paho.mqtt.client")
	s := start(t, Config{}, nil)
	host, port := s.port()
	for _, v := range versions {
		got, err := exec.Command(python, "-c", pahoScript, host, port, fmt.Sprint(v)).CombinedOutput()
		if err != nil || strings.TrimSpace(string(got)) != "ok" {
			t.Errorf("version %d: %v\n%s", v, err, got)
		}
	}
}

// What a microcontroller does: 3.1.1, packets of at most 256 bytes read one at
// a time, subscriptions of QoS 0 and 1, publishes of QoS 0, short keep-alive.
func TestMicrocontroller(t *testing.T) {
	s := start(t, Config{}, nil)
	m := s.connect(mqtt.V311, "esp", func(c *packet.Connect) {
		c.KeepAlive = 15
		c.Will = &mqtt.Will{Message: mqtt.Message{Topic: "esp/status", Payload: []byte("offline"), QoS: 1, Retain: true}}
	})
	m.send(&packet.Publish{Topic: "esp/status", Payload: []byte("online"), Retain: true})
	m.subscribe(sub("esp/cmd/#", 1))
	watch := s.connect(mqtt.V5, "watch")
	watch.subscribe(sub("esp/#", 1))
	w := s.connect(mqtt.V5, "w")
	if k := watch.receive(); string(k.Payload) != "online" || !k.Retain {
		t.Errorf("got %+v", k)
	}
	for i := range 50 {
		m.send(&packet.Publish{Topic: "esp/value", Payload: []byte(fmt.Sprint(i))})
		if k := watch.receive(); string(k.Payload) != fmt.Sprint(i) {
			t.Fatalf("got %s, want %d", k.Payload, i)
		}
		if i%10 == 0 {
			w.publish("esp/cmd/led", "on", 1, uint16(i+1))
			watch.receive()
			if k := m.receive(); string(k.Payload) != "on" || k.QoS != 1 {
				t.Errorf("got %+v", k)
			}
			m.silent()
		}
	}
	// What is larger than its buffer it reads and forgets, without an answer: it
	// must not stop what comes behind.
	for i := range 3 {
		w.publish("esp/cmd/big", strings.Repeat("x", 300), 1, uint16(i+1))
		watch.receive()
		if k := expect[*packet.Publish](m); len(k.Payload) != 300 {
			t.Errorf("got %+v", k)
		}
	}
	w.publish("esp/cmd/led", "off", 1, 9)
	watch.receive()
	if k := m.receive(); string(k.Payload) != "off" {
		t.Errorf("got %+v", k)
	}
	m.cut()
	if k := watch.receive(); string(k.Payload) != "offline" {
		t.Errorf("got %+v", k)
	}
	// It comes back with a clean session and the same id, before anybody has noticed that it was gone.
	for range 3 {
		again := s.connect(mqtt.V311, "esp", func(c *packet.Connect) { c.KeepAlive = 15 })
		again.subscribe(sub("esp/cmd/#", 1))
		w.publish("esp/cmd/led", "on", 1, 1)
		watch.receive()
		if k := again.receive(); string(k.Payload) != "on" || k.Dup {
			t.Errorf("got %+v", k)
		}
	}
}

// Its keep-alive of 15 seconds: it pings after 15, is gone after 22.5 without.
func TestMicrocontrollerKeepAlive(t *testing.T) {
	piped(t, Config{}, nil, func(t *testing.T, p *pipes) {
		watch := p.connect(mqtt.V5, "watch")
		watch.subscribe(sub("esp/status", 0))
		m := p.connect(mqtt.V311, "esp", func(c *packet.Connect) {
			c.KeepAlive = 15
			c.Will = &mqtt.Will{Message: mqtt.Message{Topic: "esp/status", Payload: []byte("offline")}}
		})
		for range 10 {
			time.Sleep(16 * time.Second)
			m.silent()
		}
		time.Sleep(22 * time.Second)
		if n := watch.wills(); n != 0 {
			t.Errorf("%d wills after 22 s of silence", n)
		}
		time.Sleep(2 * time.Second)
		if n := watch.wills(); n != 1 {
			t.Errorf("%d wills after 24 s of silence", n)
		}
	})
}
