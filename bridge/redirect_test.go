package bridge

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
	"fieldgate/mqtt/mqtttest"
	"fieldgate/mqtt/packet"
)

func TestRedirect(t *testing.T) {
	from, err := url.Parse("mqtts://a.example:8883")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		reason          mqtt.ReasonCode
		reference, want string
	}{
		{mqtt.UseAnotherServer, "b.example", "mqtts://b.example:8883"},
		{mqtt.ServerMoved, "b.example:443", "mqtts://b.example:443"},
		{mqtt.UseAnotherServer, "b.example c.example", "mqtts://b.example:8883"},
		{mqtt.UseAnotherServer, "b.example, c.example", "mqtts://b.example:8883"},
		{mqtt.UseAnotherServer, "[2001:db8::1]", "mqtts://[2001:db8::1]:8883"},
		{mqtt.UseAnotherServer, "[2001:db8::1]:99", "mqtts://[2001:db8::1]:99"},
		{mqtt.UseAnotherServer, "", ""},
		{mqtt.UseAnotherServer, "   ", ""},
		{mqtt.UseAnotherServer, "a.example", ""}, // that is where we are
		{mqtt.UseAnotherServer, "b.example/path?x", ""},
		{mqtt.NotAuthorized, "b.example", ""},
	} {
		got := ""
		if u := redirect(fmt.Errorf("login: %w", &client.Refused{Reason: c.reason, Reference: c.reference}), from); u != nil {
			got = u.String()
		}
		if got != c.want {
			t.Errorf("%v to %q: %q, want %q", c.reason, c.reference, got, c.want)
		}
	}
	if redirect(io.EOF, from) != nil {
		t.Error("a lost connection refers nowhere")
	}
}

// TestReferredToAnotherServer: the bridge goes where the upstream points, and
// what waited arrives there.
func TestReferredToAnotherServer(t *testing.T) {
	got := make(chan string, 10)
	second := mqtttest.Serve(t, func(p *mqtttest.Peer) {
		p.Accept(nil)
		takeAll(p, got)
	})
	first := mqtttest.Serve(t, func(p *mqtttest.Peer) {
		mqtttest.Expect[*packet.Connect](p)
		p.Send(&packet.Connack{Reason: mqtt.UseAnotherServer, Props: packet.ConnackProps{ServerReference: second.Address()}})
	})
	r := newRig(t, Config{URL: first.URL(), StateTopic: "off"})
	r.publish(value(1))
	r.run()
	select {
	case <-got:
	case <-time.After(patience):
		t.Fatalf("nothing at the second server: %+v", r.Stats())
	}
	if s := r.Stats(); s.URL != second.URL() {
		t.Errorf("status says %s, not %s", s.URL, second.URL())
	}
	r.stop()
}

func TestSpreadAfterACommonOutage(t *testing.T) {
	for err, want := range map[error]bool{
		io.EOF: true, io.ErrUnexpectedEOF: true, mqtt.ServerShuttingDown: true, fmt.Errorf("x: %w", mqtt.ServerUnavailable): true,
		mqtt.SessionTakenOver: false, client.ErrPeerDead: false, errors.New("other"): false, errScheduleClosed: false,
	} {
		if endedByPeer(err) != want {
			t.Errorf("%v: ended by the peer: %v", err, !want)
		}
	}
	for _, at := range []float64{0, 0.5, 0.999} {
		b := newBackoff(time.Second, time.Minute, 0, 30*time.Second)
		b.rand = func() float64 { return at }
		if got := b.next(sharedPace); got < time.Duration(at*30*float64(time.Second)) || got > 30*time.Second+2*time.Second {
			t.Errorf("at %v of the spread: %s", at, got)
		}
	}
}
