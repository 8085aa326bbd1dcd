package broker

import (
	"io"
	"net"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// FuzzConnection feeds a broker what a client may send: any bytes, before or
// after a proper CONNECT. The process must live, the connection must end with
// the client, and another client must not notice.
func FuzzConnection(f *testing.F) {
	for _, v := range versions {
		for _, k := range []packet.Packet{
			&packet.Connect{Version: v, ClientID: "f", CleanStart: true}, pub("a/b", "payload", 0, 0), pub("a", "x", 1, 1), pub("a", "x", 2, 2), &packet.Puback{PacketID: 1}, &packet.Pubrec{PacketID: 1},
			&packet.Pubrel{PacketID: 2}, &packet.Pubcomp{PacketID: 1}, &packet.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{sub("#", 2), sub("$share/g/+/x", 1)}},
			&packet.Unsubscribe{PacketID: 1, Filters: []string{"#"}}, &packet.Pingreq{}, &packet.Disconnect{},
		} {
			b, err := k.Append(nil, v)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(byte(v), b)
			f.Add(byte(v), append(b, b...))
			f.Add(byte(0), b)
		}
	}
	b, err := New(Config{Listener: anyPort(), MaxClients: 1000}, Options{})
	if err != nil {
		f.Fatal(err)
	}
	l := newListener(b, Listener{Bind: "127.0.0.1:0", AllowAnonymous: true, MaxConnects: 1 << 20}, nil)
	f.Cleanup(b.stop)
	f.Fuzz(func(t *testing.T, version byte, data []byte) {
		ours, theirs := net.Pipe()
		if !l.enter(ours) {
			t.Fatal("no room: connections were left behind")
		}
		over := make(chan struct{})
		b.wg.Add(1)
		go func() {
			defer b.wg.Done()
			l.handle(ours)
		}()
		go func() {
			io.Copy(io.Discard, theirs)
			close(over)
		}()
		if version >= 3 && version <= 5 {
			c, err := (&packet.Connect{Version: mqtt.Version(version), ClientID: "fuzz", CleanStart: true}).Append(nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			data = append(c, data...)
		}
		theirs.SetWriteDeadline(time.Now().Add(patience))
		theirs.Write(data) // an error: the broker has had enough
		theirs.Close()
		<-over
		waitFor(t, "the end of the connection", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return len(l.open) == 0
		})
	})
}
