package conformance

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTwoConnections lets two clients do random things, legal and not, and
// compares step by step what each of them sees on our broker and on mosquitto.
// The seeds are fixed; FIELDGATE_LONG adds two minutes of random ones.
func TestTwoConnections(t *testing.T) {
	ours, theirs := ourBroker(t, false), mosquitto(t, false)
	try := func(seed uint64) {
		for _, v := range versions {
			steps := randomSteps(seed, v.v5)
			compareSteps(t, fmt.Sprintf("seed %d, MQTT %s", seed, v.name), steps, play(t, ours, v.v5, seed, steps), play(t, theirs, v.v5, seed, steps))
		}
	}
	for seed := range uint64(12) {
		try(seed)
	}
	if os.Getenv("FIELDGATE_LONG") != "" {
		for until := time.Now().Add(2 * time.Minute); time.Now().Before(until) && !t.Failed(); {
			try(rand.Uint64())
		}
	}
}

func compareSteps(t *testing.T, what string, steps []string, ours, theirs [][]string) {
	t.Helper()
	for i := range steps {
		if !slices.Equal(ours[i], theirs[i]) {
			t.Errorf("%s: after %q\nours %q\nmosquitto %q\nsteps:\n%s", what, steps[i], ours[i], theirs[i], strings.Join(steps[:i+1], "\n"))
			return
		}
	}
}

// illegal ends the connection on both brokers.
var illegal = []string{
	`36( '%/a' 0001 {} "x" )`, `30( '%/+' {} "x" )`, `30( <c328> {} "x" )`, `82( 0001 {} )`, `82( 0000 {} '%/a' 00 )`, `a2( 0001 {} )`,
	`80( 0001 {} '%/a' 00 )`, `32( '%/a' )`, `62( 00 )`, `00()`, `30( '' {} "x" )`,
}

// randomSteps makes the lines of a script; each payload is another.
func randomSteps(seed uint64, v5 bool) []string {
	r := rand.New(rand.NewPCG(seed, 0))
	one := func(list ...string) string { return list[r.IntN(len(list))] }
	topic := func() string { return one("%/a", "%/b", "%/a/b", "%//", "%") }
	filter := func() string { return one("%/a", "%/+", "%/#", "%/+/b", "%/+/+", "%", "%/b") }
	steps := []string{"a session", "b session"}
	for i := range 60 {
		who := one("a", "b")
		switch n := r.IntN(20); {
		case n < 10:
			payload := fmt.Sprintf("p%d", i)
			qos := one("0", "1", "2")
			if r.IntN(3) == 0 {
				qos += "r"
				payload = one(payload, payload, "-")
			}
			steps = append(steps, fmt.Sprintf("%s pub %s %s %s", who, topic(), qos, payload))
		case n < 14:
			f, options := filter(), one("0", "1", "2")
			switch {
			case v5 && f == "%/b":
				// No Local, without retained messages, of which mosquitto sends its own in spite of it.
				// Always on this filter: mosquitto does not replace the option [MQTT-3.8.4-3].
				options = one("25", "26")
			case v5 && r.IntN(3) == 0:
				options = one("21", "12") // retain handling
			}
			steps = append(steps, fmt.Sprintf("%s sub %s %s", who, f, options))
		case n < 16:
			steps = append(steps, fmt.Sprintf("%s> a2( 7001 {} '%s' )", who, filter()))
		case n < 17:
			steps = append(steps, who+"> "+one(illegal...), who+" session")
		default:
			steps = append(steps, who+" "+one("session", "session", "connect"))
		}
	}
	return steps
}

// play runs the steps and returns what could be seen after each.
func play(t *testing.T, addr string, v5 bool, seed uint64, steps []string) (seen [][]string) {
	t.Helper()
	r := newRun(addr, v5, false, generous)
	r.unique = fmt.Sprintf("f%d", seed)
	if v5 {
		r.unique += "v"
	}
	defer func() {
		for _, w := range r.peers {
			w.nc.Close()
		}
	}()
	for _, step := range steps {
		if err := r.step(step); err != nil {
			t.Fatalf("%s: %s: %v", r.unique, step, err)
		}
		var now []string
		for _, name := range []string{"a", "b"} {
			if w := r.peers[name]; w != nil {
				for _, line := range w.drain() {
					now = append(now, name+" "+line)
				}
			}
		}
		// Copies for overlapping subscriptions are one, and retained messages have no order.
		slices.Sort(now)
		seen = append(seen, slices.Compact(now))
	}
	return seen
}

// drain takes and acknowledges what has come.
func (w *wire) drain() (lines []string) {
	if w.last != nil && w.last[0] == 0x20 {
		lines = append(lines, fmt.Sprintf("session present %d", w.last[2]))
		w.last = nil
	}
	for more := true; more; {
		if w.sync() != nil {
			return append(lines, "closed")
		}
		packets := w.early
		w.early, more = nil, len(packets) > 0
		for _, b := range packets {
			_, used := readVarint(b[1:])
			body := b[1+used:]
			switch b[0] & 0xF0 {
			case 0x30:
				lines = append(lines, w.take(b[0], body))
			case 0x60:
				w.sendText(fmt.Sprintf("70( %x )", body[:2]))
			case 0xE0:
				w.last = nil
			}
		}
	}
	return lines
}

// take acknowledges a PUBLISH and describes it. Its QoS is not compared, as
// that of the copies for overlapping subscriptions differs.
func (w *wire) take(first byte, body []byte) string {
	n := 2 + int(body[0])<<8 + int(body[1])
	topic, rest := body[2:n], body[n:]
	if qos := first >> 1 & 3; qos > 0 {
		w.sendText(fmt.Sprintf("%02x( %x )", 0x30+0x10*qos, rest[:2]))
		rest = rest[2:]
	}
	if w.v5 {
		size, used := readVarint(rest)
		rest = rest[used+size:]
	}
	return fmt.Sprintf("%s %q retain %d", topic, rest, first&1)
}
