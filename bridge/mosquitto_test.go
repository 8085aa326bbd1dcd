package bridge

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
	"fieldgate/mqtt/mqtttest"
	"fieldgate/scripts/peertest"
)

// counted is a client's publish with a number for payload.
func counted(n int, qos mqtt.QoS) mqtt.Message {
	return mqtt.Message{Topic: "acme/n", Payload: []byte(strconv.Itoa(n)), QoS: qos}
}

// TestOutage cuts the link twice and stops the upstream once, while values
// keep coming: all arrive, in order within a lane, and repeats are few.
func TestOutage(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true", "persistence true", "persistence_location "+t.TempDir()+"/")
	link := mqtttest.NewLink(t, m.addr)
	c := m.consumer("up/#")
	r := newRig(t, Config{URL: "mqtt://" + link.Address(), Route: []Route{{From: "acme/#", To: "up/{topic}"}}})
	r.run()
	r.online()
	n := 0
	feed := func(count int) {
		for range count {
			r.publish(counted(n, mqtt.QoS(n%2)))
			n++
		}
	}
	for range 2 {
		feed(200)
		link.Cut()
		feed(200)
		until(t, "the cut is noticed", func() bool { return r.Stats().State != StateOnline })
		feed(200)
		link.Restore()
		r.online()
		feed(200)
	}
	r.drained()
	until(t, "all arrived", func() bool { return len(c.messages()) >= n })
	repeats := account(t, c.messages(), n)
	if limit := 2 * windowMax; repeats > limit {
		t.Errorf("%d repeats, at most %d are bearable", repeats, limit)
	}
	checkLanes(t, c.messages())
	t.Logf("%d messages, %d repeats, stats %+v", n, repeats, r.Stats())
}

// checkLanes checks the order of first arrivals: what was stored before a
// connection and what came during it are two sequences, each rising. In a run
// of several connections that means that every message has behind it at most
// what was live while it was backlog; so each value must be above the last
// one of at least one of the two sequences.
func checkLanes(t *testing.T, got []mqtt.Message) {
	t.Helper()
	seen := map[string]bool{}
	lanes := [2]int{-1, -1}
	for _, m := range got {
		id := string(m.Payload)
		if seen[id] {
			continue
		}
		seen[id] = true
		v, _ := strconv.Atoi(id)
		high := 0
		if lanes[1] > lanes[0] {
			high = 1
		}
		switch {
		case v > lanes[high]:
			lanes[high] = v
		case v > lanes[1-high]:
			lanes[1-high] = v
		default:
			t.Errorf("%d came after %v", v, lanes)
			return
		}
	}
}

// TestKill kills the upstream in the middle of the traffic, three times.
// Nothing that it has acknowledged is sent again by the gateway, and nothing
// it has not is lost.
func TestKill(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true")
	r := newRig(t, Config{URL: "mqtt://" + m.addr, Drain: Drain{Rate: "2000/s"}, Route: []Route{{From: "acme/#", To: "up/{topic}"}}})
	r.run()
	var all []mqtt.Message
	n := 0
	for range 3 {
		c := m.watcher("up/#")
		r.online()
		acked := r.Stats().Acked
		for range 1000 {
			r.publish(counted(n, 0))
			n++
		}
		until(t, "some are acknowledged", func() bool { return r.Stats().Acked > acked+100 })
		m.stop(syscall.SIGKILL)
		<-c.conn.Done() // it has read what was on its way
		all = append(all, c.messages()...)
		until(t, "the loss is noticed", func() bool { return r.Stats().State != StateOnline })
		m.start()
	}
	c := m.watcher("up/#")
	r.drained()
	until(t, "the rest arrived", func() bool { return len(all)+len(c.messages()) >= n })
	all = append(all, c.messages()...)
	repeats := account(t, all, n)
	if s := r.Stats(); repeats > int(s.Sent-s.Acked) {
		t.Errorf("%d repeats, but only %d publishes were not acknowledged", repeats, s.Sent-s.Acked)
	}
}

// TestLiveFirstMosquitto: values that come while 20,000 wait are not late.
func TestLiveFirstMosquitto(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true")
	c := m.consumer("new/#")
	r := newRig(t, Config{URL: "mqtt://" + m.addr, Drain: Drain{Rate: "500/s"}, Route: []Route{{From: "#"}}})
	msgs := make([]mqtt.Message, 20_000)
	for i := range msgs {
		msgs[i] = counted(i, 0)
	}
	r.publish(msgs...)
	r.run()
	r.online()
	for i := range 50 {
		r.publish(mqtt.Message{Topic: "new/v", Payload: []byte(strconv.Itoa(i))})
		time.Sleep(10 * time.Millisecond)
	}
	until(t, "the live values arrived", func() bool { return len(c.messages()) == 50 })
	// The backlog needs 40 s at that rate: live values did not stand behind it.
	if left := r.Stats().Backlog.Messages; left < 5000 {
		t.Errorf("only %d of the backlog are left", left)
	}
	for i, p := range c.on("new/v") {
		if p != strconv.Itoa(i) {
			t.Fatalf("value %d is %s", i, p)
		}
	}
}

// TestBatchesArrive: columns with gzip, at the upstream.
func TestBatchesArrive(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true")
	c := m.consumer("batch/#")
	r := newRig(t, Config{URL: "mqtt://" + m.addr, Route: []Route{{From: "acme/#", To: "batch/{gateway}", Format: "columns", Compress: "zstd",
		Batch: Batch{MaxSamples: 100, MaxWait: conf.Duration(time.Minute)}}}})
	for i := range 1000 {
		r.publish(value(i))
	}
	r.run()
	r.drained()
	until(t, "ten batches arrived", func() bool { return len(c.messages()) == 10 })
	for _, msg := range c.messages() {
		if msg.Topic != "batch/gw" || msg.Props.ContentType != "application/json+zstd" {
			t.Errorf("%s, %+v", msg.Topic, msg.Props)
		}
	}
}

// TestCommandsFromMosquitto: a fresh command is carried out and answered, a
// retained and an old one are not, and nothing comes from an offline queue.
func TestCommandsFromMosquitto(t *testing.T) {
	for _, version := range []int{5, 4} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			m := newMosquitto(t, "allow_anonymous true")
			c := m.consumer("cmd/+/set/result")
			app := m.client(func(*client.Config) {})
			send := func(topic, payload string, retain bool) {
				t.Helper()
				if err := app.Publish(t.Context(), mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: 1, Retain: retain}); err != nil {
					t.Fatal(err)
				}
			}
			r := newRig(t, Config{URL: "mqtt://" + m.addr, Version: version, Command: []Command{{From: "cmd/+/set", To: "acme/{1}/set"}}})
			send("cmd/kept/set", "1", true)
			send("cmd/missed/set", "1", false)
			r.run()
			r.online()
			send("cmd/old/set", fmt.Sprintf(`{"value":1,"id":"x7","ts":%d}`, time.Now().Add(-time.Hour).UnixMilli()), false)
			send("cmd/fresh/set", "72.5", false)
			until(t, "the fresh command", func() bool { return len(r.local.on("acme/fresh/set")) == 1 })
			r.publish(mqtt.Message{Topic: "acme/fresh/set/result", Payload: []byte(`{"status":"ok"}`), Kind: mqtt.KindCommandResult})
			until(t, "results at the upstream", func() bool { return len(c.on("cmd/fresh/set/result")) == 1 && len(c.on("cmd/old/set/result")) == 1 })
			// The queue's clock may count as not set, then the age cannot be told; either way it is refused.
			if p := c.on("cmd/old/set/result")[0]; !strings.Contains(p, CodeTooOld) && !strings.Contains(p, CodeClock) || !strings.Contains(p, "x7") {
				t.Errorf("result of the old one: %s", p)
			}
			for _, topic := range []string{"acme/kept/set", "acme/missed/set", "acme/old/set"} {
				if got := r.local.on(topic); len(got) != 0 {
					t.Errorf("%s was carried out", topic)
				}
			}
			if s := r.Stats(); s.Version != version || s.Commands != 1 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// TestState: online and offline at the upstream, by word and by will.
func TestState(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true")
	link := mqtttest.NewLink(t, m.addr)
	c := m.consumer("fieldgate/gw/status")
	r := newRig(t, Config{URL: "mqtt://" + link.Address()})
	r.run()
	seen := 0
	// next waits until the last state is the wanted one and a new one.
	next := func(want string) {
		t.Helper()
		until(t, fmt.Sprintf("%s after %q", want, c.on("fieldgate/gw/status")), func() bool {
			got := c.on("fieldgate/gw/status")
			return len(got) > seen && got[len(got)-1] == want
		})
		seen = len(c.on("fieldgate/gw/status"))
	}
	next("online")
	link.Cut()
	next("offline") // the will
	link.Restore()
	next("online")
	r.stop()
	next("offline")
}

// TestLogin: a wrong password gives a sentence and a long pause; after the file
// is right a kick connects at once.
func TestLogin(t *testing.T) {
	passwords := filepath.Join(t.TempDir(), "passwords")
	if out, err := exec.Command(peertest.Need(t, "mosquitto_passwd"), "-c", "-b", passwords, "plant7", "right").CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_passwd: %v: %s", err, out)
	}
	m := newMosquitto(t, "allow_anonymous false", "password_file "+passwords)
	file := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("wrong\n")
	r := newRig(t, Config{URL: "mqtt://" + m.addr, Username: "plant7", PasswordFile: file})
	r.run()
	until(t, "the reason", func() bool { return r.Stats().State == StateWaiting })
	s := r.Stats()
	if !strings.Contains(s.Reason, `wrong user name or password for "plant7"`) || s.Hint == "" || time.Until(s.NextTry) < time.Minute {
		t.Errorf("reason %q, hint %q, next try in %s", s.Reason, s.Hint, time.Until(s.NextTry))
	}
	if got := r.local.on("fieldgate/gw/upstream/up/status"); !strings.Contains(got[len(got)-1], "offline: MQTT: wrong user name") {
		t.Errorf("state here: %q", got)
	}
	write("right\n")
	r.Kick()
	r.online()
}

// TestRefusedByMosquitto: what the upstream's rules forbid is put aside, and
// what is allowed still flows.
func TestRefusedByMosquitto(t *testing.T) {
	acl := filepath.Join(t.TempDir(), "acl")
	if err := os.WriteFile(acl, []byte("topic readwrite ok/#\ntopic readwrite fieldgate/#\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := newMosquitto(t, "allow_anonymous true", "acl_file "+acl)
	c := m.consumer("ok/#")
	r := newRig(t, Config{URL: "mqtt://" + m.addr, Route: []Route{{From: "#"}}, Command: []Command{{From: "forbidden/#", To: "x"}}})
	r.run()
	r.publish(mqtt.Message{Topic: "forbidden/a", Payload: []byte("1"), QoS: 0})
	for i := range 20 {
		r.publish(mqtt.Message{Topic: "ok/a", Payload: []byte(strconv.Itoa(i))})
	}
	until(t, "the allowed ones", func() bool { return len(c.messages()) == 20 })
	until(t, "a refusal", func() bool { return r.Stats().Refused > 0 })
	until(t, "the forbidden one is put aside", func() bool { return r.Stats().Quarantined == 1 })
	if events := strings.Join(r.local.on("fieldgate/gw/event"), "\n"); !strings.Contains(events, CodeQuarantine) || !strings.Contains(events, "forbidden/a") {
		t.Errorf("events %s", events)
	}
}

// TestProbe goes through the steps of a working upstream and of one that is
// not there.
func TestProbe(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true")
	cfg := Config{URL: "mqtt://" + m.addr, Command: []Command{{From: "cmd/#", To: "acme/{#}"}}}
	steps := Test(t.Context(), cfg, TestOptions{Gateway: "gw"})
	var names []string
	for _, s := range steps {
		names = append(names, s.Name)
		if !s.OK || s.Text == "" {
			t.Errorf("%+v", s)
		}
	}
	if want := []string{"route", "tcp", "mqtt", "publish", "subscribe"}; !slices.Equal(names, want) {
		t.Errorf("steps %q, want %q", names, want)
	}
	m.stop(syscall.SIGTERM)
	steps = Test(t.Context(), cfg, TestOptions{Gateway: "gw"})
	if s := steps[len(steps)-1]; s.OK || s.Name != "tcp" || !strings.Contains(s.Text, "refused") || s.Hint == "" {
		t.Errorf("%+v", s)
	}
}
