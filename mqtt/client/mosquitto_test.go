package client

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
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

	"github.com/google/go-cmp/cmp"

	"fieldgate/mqtt"
	"fieldgate/mqtt/mqtttest"
	"fieldgate/scripts/peertest"
)

// mosquitto is a broker of another maker, with a listener of each kind.
type mosquitto struct {
	tcp, tls, ws string // host:port
	unix         string
	ca           *authority
}

// startMosquitto starts a broker that ends with the test. Another process may
// take a port between the look and the start, so it tries again.
func startMosquitto(t *testing.T, settings string) *mosquitto {
	t.Helper()
	program := peertest.Need(t, "mosquitto")
	for range 5 {
		if m := tryMosquitto(t, program, settings); m != nil {
			return m
		}
	}
	t.Fatal("mosquitto does not start")
	return nil
}

func tryMosquitto(t *testing.T, program, settings string) *mosquitto {
	t.Helper()
	dir := t.TempDir()
	ca := newAuthority(t)
	cert := ca.issue("broker.test", time.Now().Add(time.Hour))
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, data []byte) string {
		path := filepath.Join(dir, name)
		if kind != "" {
			data = pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data})
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tcp, tlsPort, ws := strconv.Itoa(peertest.FreePort(t)), strconv.Itoa(peertest.FreePort(t)), strconv.Itoa(peertest.FreePort(t))
	m := &mosquitto{tcp: "127.0.0.1:" + tcp, tls: "127.0.0.1:" + tlsPort, ws: "127.0.0.1:" + ws, unix: filepath.Join(dir, "s"), ca: ca}
	config := fmt.Sprintf(`allow_anonymous true
user root
%s
listener %s 127.0.0.1
listener 0 %s
listener %s 127.0.0.1
protocol websockets
listener %s 127.0.0.1
certfile %s
keyfile %s
cafile %s
require_certificate true
`, settings, tcp, m.unix, ws, tlsPort, write("cert.pem", "CERTIFICATE", cert.Certificate[0]), write("key.pem", "PRIVATE KEY", key),
		write("ca.pem", "CERTIFICATE", ca.cert.Raw))
	var out bytes.Buffer
	cmd := exec.Command(program, "-v", "-c", write("mosquitto.conf", "", []byte(config)))
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	stop := func() { _ = cmd.Process.Kill(); <-ended }
	for end := time.Now().Add(mqtttest.Patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		select {
		case <-ended:
			t.Logf("mosquitto ended:\n%s", &out)
			return nil
		default:
		}
		if m.listens() {
			t.Cleanup(func() {
				stop()
				if t.Failed() {
					t.Logf("mosquitto:\n%s", lastLines(out.String(), 60))
				}
			})
			return m
		}
	}
	stop()
	t.Logf("mosquitto does not listen:\n%s", &out)
	return nil
}

func (m *mosquitto) listens() bool {
	for _, address := range []string{m.tcp, m.tls, m.ws} {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		_ = nc.Close()
	}
	_, err := os.Stat(m.unix)
	return err == nil
}

func lastLines(s string, n int) string {
	lines := strings.Split(s, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// inbox collects messages and acknowledges them.
type inbox chan mqtt.Message

func (b inbox) onMessage(m *mqtt.Message, ack func()) {
	b <- *m
	ack()
}

func subscribe(t *testing.T, c *Conn, subs ...mqtt.Subscription) {
	t.Helper()
	reasons, err := c.Subscribe(bg, subs...)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range reasons {
		if r.Failed() {
			t.Fatalf("%s: %s", subs[i].Filter, r)
		}
	}
}

func TestMosquitto(t *testing.T) {
	noLeak(t)
	m := startMosquitto(t, "")
	tlsConfig := &tls.Config{RootCAs: m.ca.pool(), Certificates: []tls.Certificate{m.ca.issue("gw", time.Now().Add(time.Hour))}}
	for what, cfg := range map[string]Config{
		"tcp":           {URL: "mqtt://" + m.tcp},
		"tcp 3.1.1":     {URL: "mqtt://" + m.tcp, Version: mqtt.V311},
		"tcp 3.1":       {URL: "mqtt://" + m.tcp, Version: mqtt.V31, ClientID: "old"},
		"tls":           {URL: "mqtts://broker.test", Dialer: to(m.tls), TLS: tlsConfig},
		"websocket":     {URL: "ws://" + m.ws + "/mqtt"},
		"websocket 3.1": {URL: "ws://" + m.ws + "/mqtt", Version: mqtt.V31, ClientID: "old-ws"},
		"unix":          {URL: "unix://" + m.unix},
	} {
		t.Run(what, func(t *testing.T) {
			box := make(inbox, 10)
			cfg.OnMessage, cfg.KeepAlive = box.onMessage, time.Minute
			c := mustDial(t, cfg)
			prefix := strings.ReplaceAll(what, " ", "/")
			subscribe(t, c, mqtt.Subscription{Filter: prefix + "/+/x", QoS: 2})
			large := 200_000
			if strings.HasPrefix(cfg.URL, "ws") {
				large = 10_000 // mosquitto's WebSockets take 4 KiB in 100 ms
			}
			for qos := range mqtt.QoS(3) {
				for _, size := range []int{0, 10, large} {
					want := mqtt.Message{Topic: prefix + "/a/x", Payload: bytes.Repeat([]byte{'p'}, size), QoS: qos}
					if c.Limits().Version == mqtt.V5 {
						want.Props = &mqtt.Properties{ContentType: "c", ResponseTopic: "r", CorrelationData: []byte("d"), PayloadFormat: 1,
							User: []mqtt.UserProperty{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}}}
					}
					if err := c.Publish(bg, want); err != nil {
						t.Fatal(err)
					}
					got := within(t, "message", box)
					if !bytes.Equal(got.Payload, want.Payload) {
						t.Errorf("QoS %d: %d bytes came, want %d", qos, len(got.Payload), size)
					}
					got.Payload, want.Payload = nil, nil
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("QoS %d, %d bytes: %s", qos, size, diff)
					}
				}
			}
			if _, err := c.Unsubscribe(bg, prefix+"/+/x"); err != nil {
				t.Error(err)
			}
			if err := c.Close(); err != nil || !errors.Is(c.Err(), ErrClosed) {
				t.Errorf("%v, %v", err, c.Err())
			}
		})
	}
}

func TestMosquittoFeatures(t *testing.T) {
	m := startMosquitto(t, "max_packet_size 5000\nmax_inflight_messages 7\nmax_keepalive 40")
	box := make(inbox, 100)
	c := mustDial(t, Config{URL: "mqtt://" + m.tcp, OnMessage: box.onMessage, KeepAlive: time.Minute, TopicAliasMax: 5})
	l := c.Limits()
	if l.AliasMax != 10 || l.MaxPacket != 5000 || l.ReceiveMaximum != 7 || l.KeepAlive != 40*time.Second || l.AssignedClientID == "" {
		t.Errorf("%+v", l)
	}
	wantReason(t, "too large", c.Publish(bg, mqtt.Message{Topic: "t", Payload: make([]byte, 5000)}), mqtt.PacketTooLarge)

	subscribe(t, c, mqtt.Subscription{Filter: "many/#", QoS: 1, ID: 9})
	const n = 60 // more topics than aliases, more messages than the window
	for i := range n {
		msg := mqtt.Message{Topic: fmt.Sprintf("many/%d", i%12), Payload: fmt.Append(nil, i), QoS: 1}
		if err := c.PublishAsync(bg, msg, func(err error) {
			if err != nil {
				t.Errorf("message %d: %v", i, err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		got := within(t, "message", box)
		if got.Topic != fmt.Sprintf("many/%d", i%12) || string(got.Payload) != fmt.Sprint(i) || got.Props == nil || got.Props.SubscriptionIDs[0] != 9 {
			t.Errorf("message %d: %s %s %+v", i, got.Topic, got.Payload, got.Props)
		}
	}

	// No local, retained messages, and the will.
	subscribe(t, c, mqtt.Subscription{Filter: "own/#", QoS: 1, NoLocal: true})
	will := &mqtt.Will{Message: mqtt.Message{Topic: "own/will", Payload: []byte("gone"), QoS: 1, Props: &mqtt.Properties{ContentType: "c"}}}
	other := mustDial(t, Config{URL: "mqtt://" + m.tcp, Will: will, KeepAlive: time.Minute})
	if err := c.Publish(bg, mqtt.Message{Topic: "own/1", QoS: 1}); err != nil {
		t.Error(err)
	}
	if err := other.Publish(bg, mqtt.Message{Topic: "own/kept", Payload: []byte("r"), QoS: 1, Retain: true}); err != nil {
		t.Error(err)
	}
	if got := within(t, "message", box); got.Topic != "own/kept" || got.Retain {
		t.Errorf("%+v", got)
	}
	_ = other.Disconnect(mqtt.DisconnectWithWill)
	if got := within(t, "will", box); got.Topic != "own/will" || string(got.Payload) != "gone" || got.Props.ContentType != "c" {
		t.Errorf("%+v", got)
	}
	late := make(inbox, 10)
	subscribe(t, mustDial(t, Config{URL: "mqtt://" + m.tcp, OnMessage: late.onMessage, KeepAlive: time.Minute}), mqtt.Subscription{Filter: "own/#"})
	if got := within(t, "retained", late); got.Topic != "own/kept" || !got.Retain {
		t.Errorf("%+v", got)
	}
}

// The bridge bit keeps mosquitto from sending back what we publish.
func TestMosquittoBridge(t *testing.T) {
	m := startMosquitto(t, "")
	box, sign := make(inbox, 10), mqtt.Message{Topic: "b/sign", QoS: 1}
	c := mustDial(t, Config{URL: "mqtt://" + m.tcp, Version: mqtt.V311, ClientID: "bridge", Bridge: true, OnMessage: box.onMessage})
	other := mustDial(t, Config{URL: "mqtt://" + m.tcp, ClientID: "other"})
	subscribe(t, c, mqtt.Subscription{Filter: "b/#", QoS: 1})
	for _, err := range []error{c.Publish(bg, mqtt.Message{Topic: "b/own", QoS: 1}), other.Publish(bg, sign)} {
		if err != nil {
			t.Error(err)
		}
	}
	if got := within(t, "message", box); got.Topic != "b/sign" {
		t.Errorf("%s came back", got.Topic)
	}
}

// A session goes on over cuts: what was published arrives, QoS 2 once, in
// order, and what waited for the subscriber too.
func TestMosquittoResume(t *testing.T) {
	noLeak(t)
	m := startMosquitto(t, "")
	for _, version := range []mqtt.Version{mqtt.V5, mqtt.V311} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			const total = 300
			var mu sync.Mutex
			got, order := map[string]int{}, []string(nil)
			sub := Config{
				URL: "mqtt://" + m.tcp, Version: version, ClientID: fmt.Sprintf("sub%d", version), SessionExpiry: 600,
				OnMessage: func(m *mqtt.Message, ack func()) {
					mu.Lock()
					if got[string(m.Payload)]++; got[string(m.Payload)] == 1 {
						order = append(order, string(m.Payload))
					}
					mu.Unlock()
					ack()
				},
			}
			topic := fmt.Sprintf("resume/%d", version)
			subscribe(t, mustDial(t, sub), mqtt.Subscription{Filter: topic, QoS: 2})

			k := mqtttest.NewLink(t, m.tcp)
			pub := Config{
				URL: "mqtt://" + k.Address(), Version: version, ClientID: fmt.Sprintf("pub%d", version),
				SessionExpiry: 600, Session: NewSession(), MaxInflight: 10,
			}
			r := newResults(t)
			c := mustDial(t, pub)
			for i := range total {
				if i%70 == 50 {
					k.Cut()
					k.Restore()
				}
				msg := mqtt.Message{Topic: topic, Payload: fmt.Append(nil, i), QoS: 2}
				for c.PublishAsync(bg, msg, r.done(fmt.Sprint(i))) != nil {
					within(t, "the cut", c.Done())
					c = mustDial(t, pub)
				}
			}
			until(t, "all acknowledged", func() bool {
				if c.Err() != nil {
					within(t, "the cut", c.Done())
					c = mustDial(t, pub)
				}
				return pub.Session.Unfinished() == 0
			})
			until(t, "all arrived", func() bool { mu.Lock(); defer mu.Unlock(); return len(order) == total })
			mu.Lock()
			defer mu.Unlock()
			for i, p := range order {
				if p != fmt.Sprint(i) || got[p] != 1 {
					t.Fatalf("place %d: message %s, %d times", i, p, got[p])
				}
			}
		})
	}
}

// A slow subscriber with a small Receive Maximum. Mosquitto 2.0.11 does not keep
// to it, yet the application never has more than one message beyond it, and
// nothing is lost.
func TestMosquittoReceiveMaximum(t *testing.T) {
	m := startMosquitto(t, "max_queued_messages 0")
	const total = 300
	acks := make(chan func(), total)
	c := mustDial(t, Config{URL: "mqtt://" + m.tcp, ReceiveMaximum: 3, OnMessage: func(_ *mqtt.Message, ack func()) { acks <- ack }})
	subscribe(t, c, mqtt.Subscription{Filter: "rm", QoS: 2})
	pub := mustDial(t, Config{URL: "mqtt://" + m.tcp})
	for i := range total {
		if err := pub.PublishAsync(bg, mqtt.Message{Topic: "rm", Payload: fmt.Append(nil, i), QoS: mqtt.QoS(1 + i%2)}, func(error) {}); err != nil {
			t.Fatal(err)
		}
	}
	for range total {
		if len(acks) > 4 {
			t.Errorf("%d messages at once", len(acks))
		}
		within(t, "message", acks)()
	}
	until(t, "the last exchange", func() bool {
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		return c.s.receiver.Open() == 0
	})
	if c.Err() != nil {
		t.Error(c.Err())
	}
}
