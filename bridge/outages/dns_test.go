package outages

import (
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"fieldgate/bridge"
)

// nameServer is where this process looks names up.
const nameServer = "127.0.0.1:53"

// names is a name server that knows one answer to everything, and how not to
// give it.
type names struct {
	answer atomic.Pointer[string] // an address, or "nxdomain", "servfail", "silence"
}

func newNames(t *testing.T, first string) *names {
	t.Helper()
	c, err := net.ListenPacket("udp", nameServer)
	must(t, err)
	n := &names{}
	n.say(first)
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.serve(c)
	}()
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return n
}

func (n *names) say(answer string) { n.answer.Store(&answer) }

func (n *names) serve(c net.PacketConn) {
	b := make([]byte, 1500)
	for {
		size, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		if reply := n.reply(b[:size]); reply != nil {
			_, _ = c.WriteTo(reply, from) // it asks again
		}
	}
}

// reply is the answer to a question; nil: none.
func (n *names) reply(question []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(question) != nil || len(m.Questions) != 1 {
		return nil
	}
	m.Header = dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true}
	m.Additionals = nil
	q := m.Questions[0]
	switch answer := *n.answer.Load(); answer {
	case "silence":
		return nil
	case "nxdomain":
		m.RCode = dnsmessage.RCodeNameError
	case "servfail":
		m.RCode = dnsmessage.RCodeServerFailure
	default:
		if q.Type == dnsmessage.TypeA {
			m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}, Body: &dnsmessage.AResource{A: netip.MustParseAddr(answer).As4()}}}
		}
	}
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}

// TestNames: the link comes back, but the upstream's name cannot be looked up,
// in each way in which that can be; then the upstream has another address.
func TestNames(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	dns := newNames(t, s.link.Far())
	w := newWorld(t, s, newMosquitto(s), bridge.Config{URL: "mqtt://" + host("cloud.example.com", mosquittoPort), Drain: strict})
	w.gateway.run()
	w.gateway.online()
	feed := startFeed(w.gateway)
	for _, how := range []struct{ answer, reason string }{
		{"nxdomain", `DNS: there is no host "cloud.example.com"`}, {"servfail", "DNS: cloud.example.com cannot be looked up: server misbehaving"}, {"silence", "DNS: "},
	} {
		feed.more(t, 100)
		dns.say(how.answer)
		must(t, s.link.Reset())
		w.away(t)
		must(t, s.link.Calm())
		until(t, "the reason "+how.reason, func() bool { return strings.HasPrefix(w.gateway.Stats().Reason, how.reason) })
		feed.more(t, 100)
		dns.say(s.link.Far())
		w.gateway.online()
	}
	must(t, s.link.Reset())
	w.away(t)
	must(t, s.link.Cut())
	dns.say(s.aside.Far())
	w.gateway.online()
	feed.more(t, 100)
	feed.stop()
	w.settle(t)
}
