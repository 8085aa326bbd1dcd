package client

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/mqtttest"
	"fieldgate/mqtt/packet"
)

// Close writes what waits, says goodbye and leaves nothing behind.
func TestClose(t *testing.T) {
	noLeak(t)
	const n = 300
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := mqtttest.ServeOn(t, l, func(p *mqtttest.Peer) {
		p.Accept(nil)
		p.Send(&packet.Publish{Topic: "t", Payload: make([]byte, 100_000)}) // may lie unread when the client closes
		for range n {
			mqtttest.Expect[*packet.Publish](p)
		}
		if d := mqtttest.Expect[*packet.Disconnect](p); d.Reason != mqtt.Success {
			t.Errorf("%+v", d)
		}
		p.ExpectClosed()
	})
	c := mustDial(t, Config{URL: s.URL()})
	written := make(chan error, n)
	for range n {
		if err := c.PublishAsync(bg, mqtt.Message{Topic: "t", Payload: make([]byte, 100)}, func(err error) { written <- err }); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 { // closing again is harmless
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(written) != n {
		t.Errorf("%d of %d messages are done", len(written), n)
	}
	if !errors.Is(c.Err(), ErrClosed) {
		t.Error(c.Err())
	}
	s.Wait()
}

// The broker publishes the will where it is told to: in 5.0 by the reason,
// before by the missing DISCONNECT.
func TestDisconnectWithWill(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		cfg := script(t, nil, func(p *mqtttest.Peer) {
			rest := p.ExpectClosed()
			switch {
			case v == mqtt.V311 && len(rest) != 0:
				t.Errorf("3.1.1: %v", rest)
			case v == mqtt.V5 && (len(rest) != 1 || rest[0].(*packet.Disconnect).Reason != mqtt.DisconnectWithWill):
				t.Errorf("5.0: %v", rest)
			}
		})
		cfg.Version = v
		_ = mustDial(t, cfg).Disconnect(mqtt.DisconnectWithWill)
	}
}

// A broker that neither reads nor hangs up holds Close up for its two seconds.
func TestCloseWithDeadBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		cfg := script(t, nil, func(*mqtttest.Peer) { <-stop })
		c := mustDial(t, cfg)
		start := time.Now()
		_ = c.Close()
		if took := time.Since(start); took != goodbye {
			t.Errorf("took %s", took)
		}
		close(stop)
	})
}

// The same over TCP, where the end is announced in one direction first.
func TestCloseWithoutAnswer(t *testing.T) {
	noLeak(t)
	stop := make(chan struct{})
	s := mqtttest.Serve(t, func(p *mqtttest.Peer) {
		p.Accept(nil)
		<-stop
	})
	c := mustDial(t, Config{URL: s.URL()})
	_ = c.Close()
	close(stop)
	if !errors.Is(c.Err(), ErrClosed) {
		t.Error(c.Err())
	}
}

func TestCut(t *testing.T) {
	noLeak(t)
	s := mqtttest.Serve(t, func(p *mqtttest.Peer) { p.Accept(nil); swallow(p) })
	k := mqtttest.NewLink(t, s.Address())
	c := mustDial(t, Config{URL: "mqtt://" + k.Address()})
	waiting := make(chan error, 1)
	go func() { waiting <- c.Publish(bg, message(1, 1)) }()
	until(t, "the message is open", func() bool { return c.s.Unfinished() == 1 })
	k.Cut()
	within(t, "the end", c.Done())
	if err := within(t, "publish", waiting); !errors.Is(err, ErrSessionLost) {
		t.Error(err)
	}
	if c.Err() == nil || errors.Is(c.Err(), ErrClosed) {
		t.Error(c.Err())
	}
}

func TestPeerCloses(t *testing.T) {
	cfg := script(t, nil, func(*mqtttest.Peer) {})
	c := mustDial(t, cfg)
	within(t, "the end", c.Done())
	if !errors.Is(c.Err(), io.EOF) {
		t.Error(c.Err())
	}
}
