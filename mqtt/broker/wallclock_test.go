package broker

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldgate/buffer"
	"fieldgate/buffer/clock"
	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// A gateway without a clock battery starts in 1970; the wall clock jumps 56
// years ahead, and, in the other case, 56 years back, once while the broker
// runs and once while it is down. Sessions, messages and delayed wills have
// the lives that they were given, neither shorter nor longer.
func TestWallClockJump(t *testing.T) {
	toEpoch := time.Until(time.Unix(1000, 0))
	for name, shift := range map[string][3]time.Duration{
		"56 years ahead": {toEpoch, 0, -toEpoch}, "56 years back": {0, toEpoch, 2 * toEpoch},
	} {
		t.Run(name, func(t *testing.T) { wallClockJump(t, shift) })
	}
}

func wallClockJump(t *testing.T, shift [3]time.Duration) {
	dir := t.TempDir()
	open := func() *buffer.Buffer {
		b, err := buffer.Open(buffer.Config{Dir: dir, MinFree: conf.Size(1)}, buffer.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	jump := func(n int) { t.Cleanup(clock.Pretend(shift[n], n > 0)) }
	jump(0)
	store := open()
	s := start(t, Config{}, store.State())
	watch := s.connect(mqtt.V5, "watch", durable)
	watch.subscribe(sub("will/#", 1), sub("m/#", 1))
	watch.leave()
	leaves := func(id string, expiry, delay uint32) {
		c := s.connect(mqtt.V5, id, withWill(delay, expiry, mqtt.Message{Topic: "will/" + id, Payload: []byte("x"), QoS: 1}))
		c.send(&packet.Disconnect{Reason: mqtt.DisconnectWithWill})
		c.gone()
		s.offline(id)
	}
	begin := time.Now()
	leaves("hour", 7200, 3600)
	leaves("seconds", 5, 3)
	w := s.connect(mqtt.V5, "w")
	for topic, life := range map[string]uint32{"m/hour": 3600, "m/seconds": 4} {
		w.send(&packet.Publish{Topic: topic, Payload: []byte("x"), QoS: 1, PacketID: 1, Retain: true, Props: &mqtt.Properties{HasExpiry: true, MessageExpiry: life}})
		expect[*packet.Puback](w)
	}
	jump(1)
	if n := len(s.Retained("m/#")); n != 2 && time.Since(begin) < 3*time.Second {
		t.Errorf("%d of 2 messages are retained after the jump", n)
	}
	if s.session("hour") == nil || s.session("seconds") == nil && time.Since(begin) < 3*time.Second {
		t.Error("a session has ended with the jump")
	}
	s.stop()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	jump(2)
	store = open()
	defer store.Close()
	s = start(t, Config{}, store.State())
	defer s.stop()
	waitFor(t, "the end of the short session", func() bool { return s.session("seconds") == nil })
	if took := time.Since(begin); took < 4900*time.Millisecond { // a stamp is a little older than begin
		t.Errorf("a session of 5 s has ended after %v", took)
	}
	if s.session("hour") == nil {
		t.Error("the session of two hours has ended")
	}
	if left := s.Retained("m/#"); len(left) != 1 || left[0].Topic != "m/hour" {
		t.Errorf("retained: %v, want m/hour", left)
	}
	watch = s.connect(mqtt.V5, "watch", durable)
	seen := map[string]*packet.Publish{}
	watch.send(&packet.Pingreq{})
	for range 2 {
		m := watch.mustNext()
		for m.Type() != packet.TypePublish {
			m = watch.mustNext()
		}
		p := m.(*packet.Publish)
		seen[p.Topic] = p
		watch.send(&packet.Puback{PacketID: p.PacketID})
	}
	watch.silent()
	if seen["will/seconds"] == nil || seen["m/hour"] == nil {
		t.Fatalf("seen %v", seen)
	}
	if left := seen["m/hour"].Props.MessageExpiry; left < 3400 || left > 3597 {
		t.Errorf("%d s of an hour are left after 5 s", left)
	}
}

// Nothing in here reckons with the wall clock: what strips a reading of its
// monotonic part, or makes a number of it, stands in the list.
func TestNoReckoningWithTheWallClock(t *testing.T) {
	allowed := map[string]string{
		"run.go Truncate":     "$SYS is aligned to the wall clock, within bounds",
		"tls.go Date":         "the validity of a certificate",
		"connect.go Truncate": "of a duration",
		"output.go Unix":      "a deadline that has passed whatever the time is",
	}
	stripping := map[string]bool{
		"Unix": true, "UnixNano": true, "UnixMilli": true, "UnixMicro": true, "Truncate": true, "Round": true, "UTC": true, "Local": true, "In": true, "Date": true,
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); ok {
				looked++
				if _, known := allowed[name+" "+f.Sel.Name]; stripping[f.Sel.Name] && !known {
					t.Errorf("%s calls %s: a wall-clock jump would be felt", name, f.Sel.Name)
				}
			}
			return true
		})
	}
	if looked < 1000 {
		t.Errorf("only %d calls were looked at", looked)
	}
}
