package siege

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fieldgate/buffer"
	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/broker"
	"fieldgate/mqtt/mqtttest"
	"fieldgate/scripts/peertest"
)

// receipt is a message as the upstream took it.
type receipt struct {
	id    string // gateway, epoch and seq, which the gateway adds
	epoch int
	seq   int
	topic string
	text  string
	at    time.Time
}

// upstream is a broker that keeps nothing but a record of what it was sent,
// behind a link that can be cut. It can be stopped and started at will.
type upstream struct {
	t    *testing.T
	port int
	link *mqtttest.Link

	stop   func()
	forget bool // keeps no record

	mu  sync.Mutex
	got []receipt
}

func newUpstream(t *testing.T) *upstream {
	u := &upstream{t: t, port: peertest.FreePort(t), stop: func() {}}
	u.link = mqtttest.NewLink(t, "127.0.0.1:"+strconv.Itoa(u.port))
	u.start()
	t.Cleanup(func() { u.stop() })
	return u
}

func (u *upstream) url() string { return "mqtt://" + u.link.Address() }

// start starts the broker, on the port that it has always had.
func (u *upstream) start() {
	u.t.Helper()
	b, err := broker.New(broker.Config{
		Listener:    []broker.Listener{{Name: "up", Bind: "127.0.0.1:" + strconv.Itoa(u.port), AllowAnonymous: true, MaxConnects: 1 << 20}},
		SysInterval: new(conf.Duration),
	}, broker.Options{})
	if err != nil {
		u.t.Fatal(err)
	}
	if err := b.Handle("#", u.take); err != nil {
		u.t.Fatal(err)
	}
	if err := b.Listen(); err != nil {
		u.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.Run(ctx) // never anything but nil
	}()
	u.stop = func() {
		cancel()
		<-done
	}
}

func (u *upstream) take(_ context.Context, msgs []mqtt.Message) error {
	if u.forget {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := range msgs {
		m := &msgs[i]
		r := receipt{topic: m.Topic, text: string(m.Payload), at: time.Now()}
		if m.Props != nil {
			for _, p := range m.Props.User {
				if parts := strings.Split(p.Value, "/"); p.Name == "gw" && len(parts) == 3 {
					r.epoch, _ = strconv.Atoi(parts[1]) // 0 is noticed below
					r.seq, _ = strconv.Atoi(parts[2])
					if r.epoch > 0 && r.seq > 0 {
						r.id = p.Value
					}
				}
			}
		}
		u.got = append(u.got, r)
	}
	return nil
}

// all is the record so far.
func (u *upstream) all() []receipt {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]receipt(nil), u.got...)
}

// since counts what came after a moment.
func (u *upstream) since(at time.Time) (n int) {
	for _, r := range u.all() {
		if r.at.After(at) {
			n++
		}
	}
	return n
}

// once is the record as a receiver has it that drops repeats by their id: what
// remains in order of arrival without gap records, the sum of the gap records,
// and the number of repeats.
func (u *upstream) once() (kept []receipt, reported uint64, repeats int) {
	u.t.Helper()
	seen := map[string]string{}
	for _, r := range u.all() {
		if r.id == "" {
			if r.epoch != 0 || r.seq != 0 || !strings.HasPrefix(r.topic, "fieldgate/") {
				u.t.Errorf("%s came without an id, or with half of one", r.topic)
			}
			continue // the bridge's own state topics
		}
		if before, again := seen[r.id]; again {
			if before != r.topic+" "+r.text {
				u.t.Errorf("%s names two messages: %s and %s %s", r.id, before, r.topic, r.text)
			}
			repeats++
			continue
		}
		seen[r.id] = r.topic + " " + r.text
		var g buffer.GapRecord
		if json.Unmarshal([]byte(r.text), &g) == nil && g.Code == "W0730" {
			reported += g.Count
			continue
		}
		kept = append(kept, r)
	}
	return kept, reported, repeats
}
