package client

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/mqtttest"
	"fieldgate/mqtt/packet"
)

// inBubble runs a test in fake time. Bubbles end only when all goroutines
// have, so that each of these tests is one for leaks too.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// answerPings answers pings and counts them.
func answerPings(p *mqtttest.Peer, count *int) {
	for {
		q, err := nextPacket(p)
		if err != nil {
			return
		}
		if q.Type() == packet.TypePingreq {
			*count++
			p.Send(&packet.Pingresp{})
		}
	}
}

func nextPacket(p *mqtttest.Peer) (packet.Packet, error) {
	_ = p.Conn.SetReadDeadline(time.Time{})
	buf := make([]byte, 4096)
	n, err := p.Conn.Read(buf)
	if err != nil {
		return nil, err
	}
	header, body, _, err := packet.Split(buf[:n], 0)
	if err != nil {
		return nil, err
	}
	return packet.Decode(header, body, p.Version)
}

// An idle connection is kept alive for a day with a ping per interval, and no
// more.
func TestKeepAliveIdle(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		pings := 0
		cfg := script(t, nil, func(p *mqtttest.Peer) { answerPings(p, &pings) })
		cfg.KeepAlive = time.Minute
		c := mustDial(t, cfg)
		time.Sleep(24 * time.Hour)
		if err := c.Err(); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		synctest.Wait()
		if pings < 24*60 || pings > 24*60*60/54 {
			t.Errorf("%d pings in a day", pings)
		}
	})
}

func TestKeepAliveOff(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		pings := 0
		cfg := script(t, nil, func(p *mqtttest.Peer) { answerPings(p, &pings) })
		c := mustDial(t, cfg)
		time.Sleep(24 * time.Hour)
		_ = c.Close()
		synctest.Wait()
		if pings != 0 || !errors.Is(c.Err(), ErrClosed) {
			t.Errorf("%d pings, %v", pings, c.Err())
		}
	})
}

// The broker's interval replaces ours.
func TestServerKeepAlive(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		pings := 0
		a := &packet.Connack{Props: packet.ConnackProps{ServerKeepAlive: 1200, HasKeepAlive: true}}
		cfg := script(t, a, func(p *mqtttest.Peer) { answerPings(p, &pings) })
		cfg.KeepAlive = 10 * time.Second
		c := mustDial(t, cfg)
		time.Sleep(time.Hour)
		_ = c.Close()
		synctest.Wait()
		if pings != 3 {
			t.Errorf("%d pings in an hour", pings)
		}
	})
}

// A broker that has gone silent is found out: within the interval and the
// time for an answer.
func TestDeadPeer(t *testing.T) {
	for interval, latest := range map[time.Duration]time.Duration{
		time.Second: 6 * time.Second, 10 * time.Second: 15 * time.Second, time.Minute: 90 * time.Second, 1200 * time.Second: 1230 * time.Second,
	} {
		inBubble(t, func(t *testing.T) {
			cfg := script(t, nil, swallow)
			cfg.KeepAlive = interval
			start := time.Now()
			c := mustDial(t, cfg)
			<-c.Done()
			if took := time.Since(start); took > latest || took < interval*9/10 || c.Err() != ErrPeerDead {
				t.Errorf("%s: %v after %s", interval, c.Err(), took)
			}
		})
	}
}

// It is found out too by a client that only publishes with QoS 0.
func TestDeadPeerWhilePublishing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		cfg := script(t, nil, swallow)
		cfg.KeepAlive = 10 * time.Second
		start := time.Now()
		c := mustDial(t, cfg)
		for c.Publish(bg, mqtt.Message{Topic: "t"}) == nil {
			time.Sleep(time.Second)
		}
		<-c.Done()
		if took := time.Since(start); took > 20*time.Second || c.Err() != ErrPeerDead {
			t.Errorf("%v after %s", c.Err(), took)
		}
	})
}

// A broker that reads no more: the write times out, and everybody who waits
// is told.
func TestPeerStopsReading(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		stop := make(chan struct{})
		cfg := script(t, nil, func(*mqtttest.Peer) { <-stop })
		c := mustDial(t, cfg)
		errs := make(chan error, 1)
		go func() {
			for {
				if err := c.PublishAsync(bg, mqtt.Message{Topic: "t", Payload: make([]byte, 10_000)}, func(error) {}); err != nil {
					errs <- err
					return
				}
			}
		}()
		start := time.Now()
		err := <-errs
		<-c.Done()
		close(stop)
		if took := time.Since(start); took != writeTimeout || !timedOut(err) || !timedOut(c.Err()) {
			t.Errorf("%v, %v after %s", err, c.Err(), took)
		}
	})
}

// The broker sends and does not read: what we owe it stays bounded.
func TestPeerOnlySends(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		sent := 0
		cfg := script(t, nil, func(p *mqtttest.Peer) {
			batch, err := (&packet.Pubrel{PacketID: 7}).Append(nil, mqtt.V5)
			for len(batch) < 8<<10 {
				batch = append(batch, batch...)
			}
			for err == nil {
				_ = p.Conn.SetWriteDeadline(time.Now().Add(time.Hour))
				var n int
				n, err = p.Conn.Write(batch)
				sent += n
			}
		})
		c := mustDial(t, cfg)
		<-c.Done()
		synctest.Wait()
		if sent > 4*outMax {
			t.Errorf("took in %d bytes without an answer being read", sent)
		}
	})
}

// A link that is slow is not dead.
func TestSlowLink(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const size = 1 << 20
		pings := 0
		cfg := script(t, nil, func(p *mqtttest.Peer) {
			_ = p.Conn.SetDeadline(time.Time{})
			total := 0
			for total < size { // 4 KiB a second
				time.Sleep(time.Second)
				n, err := p.Conn.Read(make([]byte, 4<<10))
				if err != nil {
					t.Errorf("after %d bytes: %v", total, err)
					return
				}
				total += n
			}
			answerPings(p, &pings)
		})
		c := mustDial(t, cfg)
		start := time.Now()
		if err := c.Publish(bg, mqtt.Message{Topic: "t", Payload: make([]byte, size)}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 4*time.Minute {
			t.Errorf("took %s: the link was not slow", took)
		}
		_ = c.Close()
	})
}

func TestKeepAliveDecisions(t *testing.T) {
	now := time.Now()
	at := func(s int) time.Time { return now.Add(time.Duration(s) * time.Second) }
	k := newKeepAlive(50*time.Second, nil, now) // pings after 45 s, waits 25 s
	for i, c := range []struct {
		do   func()
		at   int
		want pingAction
	}{
		{func() {}, 44, pingNothing},
		{func() {}, 45, pingSend},
		{func() { k.sent(at(40)) }, 45, pingSend}, // nothing has come
		{func() { k.heard(at(41)) }, 45, pingNothing},
		{func() {}, 85, pingSend},
		{func() { k.pinged(at(85)) }, 86, pingNothing},
		{func() {}, 109, pingNothing},
		{func() {}, 110, pingDead},
		{func() { k.heard(at(100)) }, 110, pingNothing},
	} {
		c.do()
		if got := k.due(at(c.at)); got != c.want {
			t.Errorf("step %d: %v, want %v", i, got, c.want)
		}
		if w := k.wait(at(c.at)); w <= 0 || w > 45*time.Second {
			t.Errorf("step %d: waits %s", i, w)
		}
	}
}
