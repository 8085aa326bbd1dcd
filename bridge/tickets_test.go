package bridge

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"fieldgate/mqtt/mqtttest"
)

// mutualTLS is a bridge's configuration for a mosquitto that wants a
// certificate, and the lines of the latter.
func mutualTLS(t *testing.T) (cfg TLS, lines []string) {
	t.Helper()
	ca := newAuthority(t)
	cert, key := ca.server("good", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	clientCert, clientKey := ca.client("plant7")
	return TLS{CAFile: ca.file, CertFile: clientCert, KeyFile: clientKey},
		[]string{"allow_anonymous true", "certfile " + cert, "keyfile " + key, "cafile " + ca.file, "require_certificate true"}
}

// handshakes connects so many times over a link that is cut each time, and
// says what each connection carried until it was online, in bytes.
func handshakes(t *testing.T, r *rig, link *mqtttest.Link, n int) (carried []uint64) {
	t.Helper()
	settled := func() uint64 {
		t.Helper()
		last, at := uint64(0), time.Now()
		until(t, "the traffic of the login has ended", func() bool {
			if now := r.Stats().Carried; now != last {
				last, at = now, time.Now()
			}
			return time.Since(at) > 1200*time.Millisecond // the meter is read once a second
		})
		return last
	}
	before := uint64(0)
	for i := range n {
		r.online()
		until(t, fmt.Sprint("connection ", i+1), func() bool { return r.Stats().Connects == uint64(i+1) })
		now := settled()
		carried = append(carried, now-before)
		link.Cut()
		until(t, "the cut is noticed", func() bool { return r.Stats().State != StateOnline })
		link.Restore()
		before = now
	}
	return carried
}

// TestMeteredResumes: at a mosquitto, whose tickets are small, a metered link
// pays for certificates once.
func TestMeteredResumes(t *testing.T) {
	cfg, lines := mutualTLS(t)
	m := newMosquitto(t, lines...)
	link := mqtttest.NewLink(t, m.addr)
	r := newRig(t, Config{URL: "mqtts://" + link.Address(), TLS: cfg, Metered: true})
	r.run()
	carried := handshakes(t, r, link, 2)
	if carried[1] > carried[0]*3/4 {
		t.Errorf("connections carried %d bytes: the second one did not resume", carried)
	}
}

// goServer accepts handshakes as a Go program does, with sessions.
func goServer(t *testing.T, ca *authority) (address string, resumed func() bool) {
	t.Helper()
	cert, key := ca.server("go", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pem, err := os.ReadFile(ca.file)
	if err != nil {
		t.Fatal(err)
	}
	pool.AppendCertsFromPEM(pem)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	states := make(chan bool, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			tc := c.(*tls.Conn)
			if tc.Handshake() == nil {
				_, _ = tc.Write([]byte("x")) // behind the ticket
				states <- tc.ConnectionState().DidResume
			}
			_ = c.Close()
		}
	}()
	return l.Addr().String(), func() bool { return <-states }
}

// shake makes one handshake and reads what follows it, tickets among it.
func shake(t *testing.T, k *tickets, cfg TLS, address string) (offers bool) {
	t.Helper()
	c, err := cfg.config("127.0.0.1", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	about, err := cfg.fingerprint(address, c)
	if err != nil {
		t.Fatal(err)
	}
	k.use(c, about)
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	tc := tls.Client(nc, c)
	if _, err := tc.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return c.ClientSessionCache != nil
}

// TestTicketsThatDoNotPay: Go's tickets hold the client's certificates, and
// here its server's is small; after the first ticket no more are asked for,
// until the settings change.
func TestTicketsThatDoNotPay(t *testing.T) {
	ca := newAuthority(t)
	address, resumed := goServer(t, ca)
	cert, key := ca.client("plant7")
	cfg := TLS{CAFile: ca.file, CertFile: cert, KeyFile: key}
	var k tickets
	for i, want := range []bool{true, false, false} {
		if offers := shake(t, &k, cfg, address); offers != want {
			t.Errorf("handshake %d asks for tickets: %v", i+1, offers)
		}
		if resumed() {
			t.Errorf("handshake %d resumed", i+1)
		}
	}
	cfg.CertFile, cfg.KeyFile = ca.client("plant8")
	if !shake(t, &k, cfg, address) {
		t.Error("new certificates are not tried anew")
	}
}

// TestTicketsRefused: an upstream that does not resume what it has given is
// asked three times.
func TestTicketsRefused(t *testing.T) {
	k := tickets{session: &tls.ClientSessionState{}}
	for i := range ticketMisses {
		if k.off {
			t.Fatalf("off after %d", i)
		}
		k.session = &tls.ClientSessionState{}
		k.Get("")
		if i%2 == 0 {
			k.failed()
		} else {
			k.agreed(tls.ConnectionState{}, 0)
		}
	}
	if !k.off || k.session != nil {
		t.Errorf("%+v", &k)
	}
	k = tickets{session: &tls.ClientSessionState{}, misses: 2}
	k.Get("")
	k.agreed(tls.ConnectionState{DidResume: true}, 0)
	if k.misses != 0 || k.off {
		t.Errorf("after one that resumed: %d misses", k.misses)
	}
}
