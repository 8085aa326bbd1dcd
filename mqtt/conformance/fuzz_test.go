package conformance

import (
	"cmp"
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
// The seeds are fixed; FIELDGATE_LONG adds ten minutes of random ones.
func TestTwoConnections(t *testing.T) {
	ours, theirs := ourBroker(t, false), mosquitto(t, false)
	for seed := range uint64(12) {
		for _, v := range versions {
			if diff := twoBrokers(t, seed, v, ours, theirs); diff != "" {
				t.Error(diff)
			}
		}
	}
	if os.Getenv("FIELDGATE_LONG") == "" {
		return
	}
	n := 0
	for until := time.Now().Add(10 * time.Minute); time.Now().Before(until) && !t.Failed(); n++ {
		if diff := twoBrokers(t, rand.Uint64(), versions[n%2], ours, theirs); diff != "" {
			t.Error(diff)
		}
	}
	t.Logf("%d random scripts", n)
}

// twoBrokers plays one script on both and returns where they part, or nothing.
func twoBrokers(t *testing.T, seed uint64, v version, ours, theirs string) string {
	t.Helper()
	steps := randomSteps(seed, v.v5)
	diff := compareSteps(steps, play(t, ours, v.v5, seed, true, steps), play(t, theirs, v.v5, seed, false, steps))
	if diff != "" {
		return fmt.Sprintf("seed %d, MQTT %s: %s", seed, v.name, diff)
	}
	return ""
}

func compareSteps(steps []string, ours, theirs [][]string) string {
	for i := range steps {
		if !slices.Equal(ours[i], theirs[i]) {
			return fmt.Sprintf("after %q\nours %q\nmosquitto %q\nsteps:\n%s", steps[i], ours[i], theirs[i], strings.Join(steps[:i+1], "\n"))
		}
	}
	return ""
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

// play runs the steps and returns what could be seen after each. once is set
// where a message may come to a client only once, however many of its
// subscriptions match.
func play(t *testing.T, addr string, v5 bool, seed uint64, once bool, steps []string) (seen [][]string) {
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
				for _, line := range inOrder(w.drain(), once) {
					now = append(now, name+" "+line)
				}
			}
		}
		seen = append(seen, now)
	}
	return seen
}

// inOrder puts what a client saw into a form that can be compared: what was
// published in its order, topic by topic; what was retained, which has none, by
// its name; and of the copies for overlapping subscriptions only the one with
// the highest QoS.
func inOrder(seen []delivered, once bool) (lines []string) {
	var kept []delivered
	for _, d := range seen {
		same := func(k delivered) bool { return k.topic == d.topic && k.payload == d.payload && k.retain == d.retain }
		switch i := slices.IndexFunc(kept, same); {
		case i < 0:
			kept = append(kept, d)
		case once:
			d.payload += " again"
			kept = append(kept, d)
		default:
			kept[i].qos = max(kept[i].qos, d.qos)
		}
	}
	slices.SortStableFunc(kept, func(x, y delivered) int {
		order := cmp.Or(cmp.Compare(x.retain, y.retain), cmp.Compare(x.topic, y.topic))
		if x.retain == 1 {
			order = cmp.Or(order, cmp.Compare(x.payload, y.payload))
		}
		return order
	})
	for _, d := range kept {
		lines = append(lines, fmt.Sprintf("%s %q QoS %d retain %d", d.topic, d.payload, d.qos, d.retain))
	}
	return lines
}

// delivered is something that a client saw: a PUBLISH, or, without a topic,
// what the payload says.
type delivered struct {
	topic, payload string
	qos, retain    byte
}

// drain takes and acknowledges what has come.
func (w *wire) drain() (seen []delivered) {
	if w.last != nil && w.last[0] == 0x20 {
		seen = append(seen, delivered{payload: fmt.Sprintf("session present %d", w.last[2])})
		w.last = nil
	}
	for more := true; more; {
		if w.sync() != nil {
			return append(seen, delivered{payload: "closed"})
		}
		packets := w.early
		w.early, more = nil, len(packets) > 0
		for _, b := range packets {
			_, used := readVarint(b[1:])
			body := b[1+used:]
			switch b[0] & 0xF0 {
			case 0x30:
				seen = append(seen, w.take(b[0], body))
			case 0x60:
				w.sendText(fmt.Sprintf("70( %x )", body[:2]))
			case 0xE0:
				w.last = nil
			}
		}
	}
	return seen
}

// take acknowledges a PUBLISH.
func (w *wire) take(first byte, body []byte) delivered {
	n := 2 + int(body[0])<<8 + int(body[1])
	d := delivered{topic: string(body[2:n]), retain: first & 1}
	rest, qos := body[n:], first>>1&3
	if qos > 0 {
		w.sendText(fmt.Sprintf("%02x( %x )", 0x30+0x10*qos, rest[:2]))
		rest = rest[2:]
	}
	if w.v5 { // before, mosquitto sends one copy for overlapping subscriptions, with the QoS of any of them
		d.qos = qos
		size, used := readVarint(rest)
		rest = rest[used+size:]
	}
	d.payload = string(rest)
	return d
}
