package client

import (
	"slices"
	"sync"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/mqtttest"
	"fieldgate/mqtt/packet"
)

// fakePulse has one interval and remembers what it is told.
type fakePulse struct {
	interval time.Duration
	mu       sync.Mutex
	survived []time.Duration
	died     []time.Duration
}

func (p *fakePulse) Interval() time.Duration { return p.interval }

func (p *fakePulse) Survived(s time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.survived = append(p.survived, s.Round(time.Second))
}

func (p *fakePulse) Died(s time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.died = append(p.died, s.Round(time.Second))
}

// The pulse sets the pace of the pings, below what the broker allows, and hears
// that each silence was survived.
func TestPulseSurvives(t *testing.T) {
	for _, c := range []struct {
		pulse, server, want time.Duration
	}{
		{100 * time.Second, 0, 100 * time.Second},
		{100 * time.Second, 60 * time.Second, 55 * time.Second}, // never above the server's keep alive, with its margin
		{time.Hour, 0, 1195 * time.Second},
	} {
		inBubble(t, func(t *testing.T) {
			pings := 0
			pulse := &fakePulse{interval: c.pulse}
			connack := &packet.Connack{Props: packet.ConnackProps{HasKeepAlive: c.server > 0, ServerKeepAlive: uint16(c.server / time.Second)}}
			cfg := script(t, connack, func(p *mqtttest.Peer) { answerPings(p, &pings) })
			cfg.KeepAlive, cfg.Pulse = 20*time.Minute, pulse
			conn := mustDial(t, cfg)
			time.Sleep(10*c.want + 40*time.Second)
			_ = conn.Close()
			if pings != 10 || len(pulse.died) != 0 {
				t.Errorf("%+v: %d pings, died %v", c, pings, pulse.died)
			}
			if want := slices.Repeat([]time.Duration{c.want}, 10); !slices.Equal(pulse.survived, want) {
				t.Errorf("%+v: survived %v", c, pulse.survived)
			}
		})
	}
}

// A path that forgets the connection during a silence: the ping after it, or
// the publish, gets no answer, and the pulse hears how long the silence was.
func TestPulseDies(t *testing.T) {
	for _, publish := range []bool{false, true} {
		inBubble(t, func(t *testing.T) {
			pulse := &fakePulse{interval: 300 * time.Second}
			cfg := script(t, nil, func(p *mqtttest.Peer) {
				for { // takes everything and answers nothing
					if _, err := nextPacket(p); err != nil {
						return
					}
				}
			})
			cfg.KeepAlive, cfg.Pulse = 20*time.Minute, pulse
			conn := mustDial(t, cfg)
			want := 300 * time.Second
			if publish {
				want = 200 * time.Second
				time.Sleep(want)
				if err := conn.Publish(t.Context(), mqtt.Message{Topic: "a", QoS: 0}); err != nil {
					t.Fatal(err)
				}
			}
			<-conn.Done()
			if !slices.Equal(pulse.died, []time.Duration{want}) || len(pulse.survived) != 0 {
				t.Errorf("died %v, survived %v; want %s", pulse.died, pulse.survived, want)
			}
		})
	}
}

// A connection that breaks in the middle of a silence, or that we close, says
// nothing about how long a silence may be.
func TestPulseUnjudged(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		pulse := &fakePulse{interval: 300 * time.Second}
		cfg := script(t, nil, func(*mqtttest.Peer) { time.Sleep(100 * time.Second) })
		cfg.KeepAlive, cfg.Pulse = 20*time.Minute, pulse
		<-mustDial(t, cfg).Done()
		if len(pulse.died)+len(pulse.survived) != 0 {
			t.Errorf("died %v, survived %v", pulse.died, pulse.survived)
		}
	})
}
