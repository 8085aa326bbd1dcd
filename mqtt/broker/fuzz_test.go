package broker

import (
	"io"
	"net"
	"slices"
	"strings"
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

const upgradeRequest = "GET /mqtt HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"

// masked is a frame of a WebSocket client, with a mask of zeros.
func masked(first byte, payload []byte) []byte {
	b := []byte{first, 0x80 | byte(len(payload))}
	if len(payload) > 125 {
		b = []byte{first, 0x80 | 126, byte(len(payload) >> 8), byte(len(payload))}
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// FuzzWebSocket feeds a WebSocket listener any bytes, behind a proper upgrade
// or in its place: frames that are cut, joined, fragmented, too long or of no
// kind. The connection must end with the client.
func FuzzWebSocket(f *testing.F) {
	connect, _ := (&packet.Connect{Version: mqtt.V5, ClientID: "f", CleanStart: true}).Append(nil, mqtt.V5)
	f.Add(true, masked(0x82, connect))
	f.Add(true, slices.Concat(masked(0x02, connect[:5]), masked(0x00, connect[5:7]), masked(0x89, nil), masked(0x80, connect[7:]), masked(0x82, []byte{0xC0, 0})))
	f.Add(true, slices.Concat(masked(0x82, append(connect, 0xC0)), masked(0x82, []byte{0}), masked(0x88, []byte{3, 0xE8})))
	f.Add(true, []byte{0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 1})
	f.Add(true, []byte{0x82, 5, 1, 2, 3, 4, 5})
	f.Add(true, masked(0xF2, connect))
	f.Add(false, []byte(strings.Replace(upgradeRequest, "13", "8", 1)))
	f.Add(false, []byte("POST /mqtt HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n"))
	b, err := New(Config{Listener: anyPort(), MaxClients: 1000}, Options{})
	if err != nil {
		f.Fatal(err)
	}
	l := newListener(b, Listener{Bind: "127.0.0.1:0", AllowAnonymous: true, MaxConnects: 1 << 20, WebSocket: &WebSocket{}}, nil)
	served := make(chan struct{})
	go func() {
		l.web.run()
		close(served)
	}()
	f.Cleanup(func() {
		b.stop()
		l.web.close()
		<-served
	})
	f.Fuzz(func(t *testing.T, upgrade bool, data []byte) {
		ours, theirs := net.Pipe()
		if !l.enter(ours) {
			t.Fatal("no room: connections were left behind")
		}
		b.wg.Add(1)
		go func() {
			defer b.wg.Done()
			l.handle(ours)
		}()
		over := make(chan struct{})
		go func() {
			io.Copy(io.Discard, theirs)
			close(over)
		}()
		if upgrade {
			data = append([]byte(upgradeRequest), data...)
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

// FuzzACL compares a rule with what it says, for any names: one with a
// wildcard or a slash in it never gets a right that %u or %c gives.
func FuzzACL(f *testing.F) {
	f.Add("read a/%u/#", "anna", "c", "a/anna/x")
	f.Add("readwrite %c/+", "#", "+", "x/y")
	f.Add("deny %u", "a/b", "", "a/b")
	f.Add("write $SYS/%c", "", "$", "$SYS/$")
	f.Fuzz(func(t *testing.T, text, user, client, topic string) {
		r, err := parseRule(text)
		if err != nil || mqtt.CheckTopic(topic) != nil {
			return
		}
		name := user
		if name == "" {
			name = "anonymous"
		}
		a, err := newACL([]ACL{{User: name, Allow: []string{"readwrite #", text}}, {User: "*", Allow: []string{text}}})
		if err != nil {
			t.Fatal(err)
		}
		only, err := newACL([]ACL{{User: name, Allow: []string{text}}})
		if err != nil {
			t.Fatal(err)
		}
		who := identity{user: user, client: client, local: true}
		var want []string
		plain := true
		for level := range strings.SplitSeq(r.filter, "/") {
			if level == "%u" || level == "%c" {
				level = map[string]string{"%u": user, "%c": client}[level]
				plain = plain && level != "" && !strings.ContainsAny(level, "+#/\x00")
			}
			want = append(want, level)
		}
		matches := plain && mqtt.Match(strings.Join(want, "/"), topic)
		for _, right := range []access{accessRead, accessWrite} {
			if got := only.allowed(who, right, topic); got != (matches && !r.deny && r.access&right != 0) {
				t.Errorf("%q for user %q client %q: %v on %q", text, user, client, got, topic)
			}
			denied := r.deny && (matches || !plain)
			if got := a.allowed(who, right, topic); got && denied {
				t.Errorf("%q for user %q client %q does not deny %q", text, user, client, topic)
			}
		}
		if only.allowed(who, accessRead, topic) && !only.subscribable(who, topic) {
			t.Errorf("%q: %q may be read and not be subscribed to", text, topic)
		}
	})
}
