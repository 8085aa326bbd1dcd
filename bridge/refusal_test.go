package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/buffer"
	"fieldgate/mqtt"
)

// TestPoison: a message that the upstream refuses goes five times, then aside,
// and does not hold up the others.
func TestPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.opts.Quarantine = bit(8)
		for i := range 50 {
			w.q.add(value(i), buffer.Normal)
		}
		c := newFakeConn(10 * time.Millisecond)
		tries := 0
		c.answer = func(m *mqtt.Message) error {
			if string(m.Payload) == "3" {
				tries++
				return mqtt.PayloadFormatInvalid
			}
			return nil
		}
		stop := w.start(c)
		time.Sleep(time.Second)
		if left := w.q.left(); left != 1 {
			t.Errorf("%d left after a second, want the refused one", left)
		}
		time.Sleep(time.Minute)
		stop()
		s := w.Stats()
		if tries != 5 || w.q.left() != 0 || s.Quarantined != 1 || s.Refused != 5 || s.Acked != 49 {
			t.Errorf("%d tries, %d left, stats %+v", tries, w.q.left(), s)
		}
		if len(w.store.items) != 1 || w.store.items[0].Targets != 8 || string(w.store.items[0].Message.Payload) != "3" {
			t.Fatalf("quarantine has %+v", w.store.items)
		}
		kept := w.store.items[0].Message
		if by, why := Refusal(&kept); by != "up" || !strings.Contains(why, "payload format invalid") {
			t.Errorf("refused by %q: %q", by, why)
		}
		again := w.Retry(kept)
		if by, _ := Refusal(&again.Message); by != "" || again.Targets != w.queue.Bit() || again.Message.Sample == nil || again.Priority != buffer.Normal {
			t.Errorf("again %+v", again)
		}
		events := w.broker.on("fieldgate/gw/event")
		if len(events) != 1 || !strings.Contains(events[0], CodeQuarantine) || !strings.Contains(events[0], "payload format invalid") {
			t.Errorf("events %q", events)
		}
	})
}

type bit uint64

func (b bit) Bit() uint64 { return uint64(b) }

// TestQuota: "quota exceeded" is about us, not about the message: everything
// pauses and nothing is lost.
func TestQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		for i := range 20 {
			w.q.add(value(i), buffer.Normal)
		}
		c := newFakeConn(10 * time.Millisecond)
		start := time.Now()
		c.answer = func(m *mqtt.Message) error {
			if time.Since(start) < 10*time.Second {
				return mqtt.QuotaExceeded
			}
			return nil
		}
		stop := w.start(c)
		time.Sleep(10 * time.Second)
		if n := len(c.payloads()); n > 20 {
			t.Errorf("%d messages in ten seconds of an exceeded quota", n)
		}
		time.Sleep(time.Minute)
		stop()
		if w.q.left() != 0 || w.Stats().Quarantined != 0 {
			t.Errorf("%d left, %d put aside", w.q.left(), w.Stats().Quarantined)
		}
		var accepted []string
		for i, p := range c.payloads() {
			if c.at[i].Sub(start) >= 10*time.Second {
				accepted = append(accepted, p)
			}
		}
		for i, p := range accepted {
			if p != strconv.Itoa(i) {
				t.Fatalf("after the pause message %d is %s", i, p)
			}
		}
	})
}

// TestCloserFindsPoison: an upstream that closes the connection on one message,
// as 3.1.1 brokers do, gets all the others, and the one is put aside.
func TestCloserFindsPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.q.add(value(-1), buffer.Normal) // the poison, first of all
		for i := range 20 {
			w.q.add(value(i), buffer.Normal)
		}
		got := map[string]int{}
		for range 30 {
			c := newFakeConn(10 * time.Millisecond)
			c.answer = func(m *mqtt.Message) error {
				if string(m.Payload) == "-1" {
					time.AfterFunc(time.Millisecond, func() { c.cut(errors.New("EOF")) })
					return errSilent
				}
				got[string(m.Payload)]++
				return nil
			}
			stop := w.start(c)
			time.Sleep(5 * time.Second)
			stop()
		}
		if w.q.left() != 0 || w.Stats().Quarantined != 1 || w.Stats().Acked != 20 {
			t.Errorf("%d left, %d put aside, %d acknowledged", w.q.left(), w.Stats().Quarantined, w.Stats().Acked)
		}
		for p, n := range got {
			if n > 2 {
				t.Errorf("%s went %d times", p, n)
			}
		}
	})
}

// TestTooLarge: what the upstream's packet limit does not allow is put aside,
// a batch is divided first.
func TestTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Route: []Route{{From: "big/#"}, {From: "#", To: "batch", Format: "json", Batch: Batch{MaxSamples: 100, MaxBytes: 32 << 10}}}})
		w.q.add(mqtt.Message{Topic: "big/a", Payload: make([]byte, 3000)}, buffer.Normal)
		for i := range 100 {
			w.q.add(value(i), buffer.Normal)
		}
		c := newFakeConn(time.Millisecond)
		c.lim.maxPacket = 2000
		stop := w.start(c)
		time.Sleep(10 * time.Second)
		stop()
		if w.q.left() != 0 || w.Stats().Quarantined != 1 {
			t.Errorf("%d left, %d put aside", w.q.left(), w.Stats().Quarantined)
		}
		n := 0
		for _, m := range c.published {
			if size := packetSize(&m); size > 2000 {
				t.Errorf("a packet of %d bytes", size)
			}
			n += len(batchValues(t, m.Payload))
		}
		if n != 100 {
			t.Errorf("%d samples arrived", n)
		}
	})
}

func batchValues(t *testing.T, payload []byte) (values []int) {
	t.Helper()
	var b struct {
		Samples []struct{ Value int }
		Seq     [][2]uint64
	}
	if err := json.Unmarshal(payload, &b); err != nil {
		t.Fatalf("%v in %s", err, payload)
	}
	numbers := 0
	for _, s := range b.Seq {
		numbers += int(s[1]-s[0]) + 1
	}
	if numbers != len(b.Samples) {
		t.Errorf("%d numbers for %d samples", numbers, len(b.Samples))
	}
	for _, s := range b.Samples {
		values = append(values, s.Value)
	}
	return values
}

// TestNoAcks: an upstream that acknowledges nothing: the window shrinks and
// the connection is given up.
func TestNoAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		for i := range 20 {
			w.q.add(value(i), buffer.Normal)
		}
		c := newFakeConn(time.Millisecond)
		c.answer = func(*mqtt.Message) error { return errSilent }
		start := time.Now()
		err := newSender(w.Bridge, c, c.lim).run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "no acknowledgement") {
			t.Errorf("ended with %v", err)
		}
		if took := time.Since(start); took < ackGiveUp || took > ackGiveUp+5*time.Second {
			t.Errorf("gave up after %s", took)
		}
		if len(c.published) != windowStart || w.q.left() != 20 {
			t.Errorf("%d published, %d left", len(c.published), w.q.left())
		}
	})
}

// TestFit: QoS, retain and properties bend to what the upstream can.
func TestFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Route: []Route{{From: "#", QoS: ptr(2)}}})
		m := value(1)
		m.Retain = true
		w.q.add(m, buffer.Normal)
		c := newFakeConn(time.Millisecond)
		c.lim = limits{receiveMaximum: 10, maxQoS: 1}
		stop := w.start(c)
		time.Sleep(time.Second)
		stop()
		if len(c.published) != 1 || c.published[0].QoS != 1 || c.published[0].Retain || c.published[0].Props != nil {
			t.Errorf("published %+v", c.published)
		}
	})
}

// TestExpiredAndUnrouted are done without being sent, and counted.
func TestExpiredAndUnrouted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Route: []Route{{From: "acme/#"}}})
		old := value(1)
		old.Stamp = old.Sample.Time
		old.Props = &mqtt.Properties{HasExpiry: true, MessageExpiry: 60}
		w.q.add(old, buffer.Normal)
		w.q.add(mqtt.Message{Topic: "elsewhere"}, buffer.Normal)
		aging := old
		aging.Payload, aging.Props = []byte("aging"), &mqtt.Properties{HasExpiry: true, MessageExpiry: 600}
		w.q.add(aging, buffer.Normal)
		w.q.add(mqtt.Message{Topic: "fieldgate/gw/event", Kind: mqtt.KindEvent, Payload: []byte("gap")}, buffer.Alarm)
		time.Sleep(2 * time.Minute)
		c := newFakeConn(time.Millisecond)
		stop := w.start(c)
		time.Sleep(time.Second)
		stop()
		if s := w.Stats(); s.Expired != 1 || s.Unrouted != 1 || w.q.left() != 0 {
			t.Errorf("expired %d, unrouted %d, %d left", s.Expired, s.Unrouted, w.q.left())
		}
		if got := c.payloads(); !slices.Equal(got, []string{"gap", "aging"}) {
			t.Fatalf("published %q; the queue's own record has no route and must go all the same", got)
		}
		if left := c.published[1].Props.MessageExpiry; left != 480 {
			t.Errorf("after two minutes of ten the expiry is %d s", left)
		}
	})
}

// TestCutRepeats: after a cut exactly the unacknowledged messages come again.
func TestCutRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		for i := range 500 {
			w.q.add(value(i), buffer.Normal)
		}
		seen := map[string]int{}
		for w.q.left() > 0 {
			c := newFakeConn(20 * time.Millisecond)
			time.AfterFunc(450*time.Millisecond, func() { c.cut(errors.New("cut")) })
			stop := w.start(c)
			time.Sleep(500 * time.Millisecond)
			if err := stop(); err == nil || err.Error() != "cut" {
				t.Fatalf("ended with %v", err)
			}
			for _, p := range c.payloads() {
				seen[p]++
			}
		}
		repeats := 0
		for i := range 500 {
			n := seen[fmt.Sprint(i)]
			if n == 0 {
				t.Fatalf("%d is missing", i)
			}
			repeats += n - 1
		}
		if s := w.Stats(); s.Acked != 500 || repeats > 30*int(s.Sent-s.Acked+1) || int(s.Sent) != 500+repeats {
			t.Errorf("%d repeats, stats %+v", repeats, s)
		}
	})
}
