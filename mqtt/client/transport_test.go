package client

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"fieldgate/mqtt"
	"fieldgate/mqtt/mqtttest"
	"fieldgate/mqtt/packet"
)

// authority signs certificates for tests.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func (a *authority) issue(name string, notAfter time.Time) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: notAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// exchange shows that the connection works in both directions.
func exchange(t *testing.T, c *Conn, got <-chan string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), mqtttest.Patience)
	defer cancel()
	if err := c.Publish(ctx, mqtt.Message{Topic: "up", Payload: []byte("hello"), QoS: 1}); err != nil {
		t.Fatal(err)
	}
	if m := within(t, "the message back", got); m != "hello" {
		t.Errorf("%q came back", m)
	}
}

// echo is a broker that sends back what it gets.
func echo(p *mqtttest.Peer) {
	p.Accept(nil)
	echoRest(p)
}

func echoRest(p *mqtttest.Peer) {
	m := mqtttest.Expect[*packet.Publish](p)
	p.Send(&packet.Puback{PacketID: m.PacketID}, &packet.Publish{Topic: "down", Payload: m.Payload})
	mqtttest.Expect[*packet.Disconnect](p)
	p.ExpectClosed()
}

func receiver() (got chan string, onMessage func(*mqtt.Message, func())) {
	got = make(chan string, 100)
	return got, func(m *mqtt.Message, ack func()) {
		got <- string(m.Payload)
		ack()
	}
}

func tlsServer(t *testing.T, cfg *tls.Config, script func(*mqtttest.Peer)) *mqtttest.Server {
	l, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	return mqtttest.ServeOn(t, l, script)
}

// to is a dialer that connects to address, whatever the URL says.
func to(address string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
}

func TestTLS(t *testing.T) {
	noLeak(t)
	a := newAuthority(t)
	states := make(chan tls.ConnectionState, 1)
	s := tlsServer(t, &tls.Config{
		Certificates: []tls.Certificate{a.issue("broker.test", time.Now().Add(time.Hour))},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: a.pool(), NextProtos: []string{"x-amzn-mqtt-ca"},
	}, func(p *mqtttest.Peer) {
		p.Accept(nil)
		states <- p.Conn.(*tls.Conn).ConnectionState()
		echoRest(p)
	})
	got, onMessage := receiver()
	c := mustDial(t, Config{
		URL: "mqtts://broker.test", Dialer: to(s.Address()), OnMessage: onMessage,
		TLS: &tls.Config{
			RootCAs: a.pool(), NextProtos: []string{"x-amzn-mqtt-ca"},
			Certificates: []tls.Certificate{a.issue("gateway", time.Now().Add(time.Hour))},
		},
	})
	exchange(t, c, got)
	state := within(t, "handshake", states)
	if state.ServerName != "broker.test" || state.NegotiatedProtocol != "x-amzn-mqtt-ca" || state.PeerCertificates[0].Subject.CommonName != "gateway" {
		t.Errorf("SNI %q, ALPN %q, client %q", state.ServerName, state.NegotiatedProtocol, state.PeerCertificates[0].Subject)
	}
	_ = c.Close() // the server's script sees the DISCONNECT and the end
	s.Wait()
}

func TestTLSErrors(t *testing.T) {
	a, hour := newAuthority(t), time.Now().Add(time.Hour)
	good := &tls.Config{Certificates: []tls.Certificate{a.issue("broker.test", hour)}}
	wantsCert := &tls.Config{Certificates: good.Certificates, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.pool()}
	wantsCert12 := wantsCert.Clone()
	wantsCert12.MaxVersion = tls.VersionTLS12
	for _, c := range []struct {
		what   string
		server *tls.Config
		client *tls.Config
		remedy string
	}{
		{"unknown authority", good, nil, "ca_file"},
		{"another name", good, &tls.Config{RootCAs: a.pool(), ServerName: "elsewhere.test"}, "server_name"},
		{"expired", &tls.Config{Certificates: []tls.Certificate{a.issue("broker.test", time.Now().Add(-time.Hour))}}, &tls.Config{RootCAs: a.pool()}, "clock"},
		{"no client certificate", wantsCert, &tls.Config{RootCAs: a.pool()}, "cert_file"},
		{"no client certificate, TLS 1.2", wantsCert12, &tls.Config{RootCAs: a.pool()}, "cert_file"},
	} {
		s := tlsServer(t, c.server, func(p *mqtttest.Peer) { _, _ = io.Copy(io.Discard, p.Conn) })
		_, err := Dial(context.Background(), Config{URL: "mqtts://broker.test", Dialer: to(s.Address()), TLS: c.client, Fallback: true})
		var d *DialError
		if !errors.As(err, &d) || d.Step != StepTLS || !strings.Contains(d.Remedy, c.remedy) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	mqtttest.ServeOn(t, l, echo)
	got, onMessage := receiver()
	exchange(t, mustDial(t, Config{URL: "unix://" + path, OnMessage: onMessage}), got)
}

// webSocketServer accepts one WebSocket and runs a script on it, with frames
// of its own size: packets may be split and joined over frames.
func webSocketServer(t *testing.T, protocols []string, frame int, script func(*mqtttest.Peer)) *httptest.Server {
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wg.Add(1)
		defer wg.Done()
		if r.URL.Path != "/mqtt" {
			http.NotFound(w, r)
			return
		}
		if h := r.Header.Get("X-Key"); h != "" && h != "42" {
			t.Errorf("header %q", h)
		}
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: protocols})
		if err != nil {
			t.Error(err)
			return
		}
		nc := websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
		defer nc.Close()
		script(mqtttest.NewPeer(t, &framed{nc, frame}))
	}))
	t.Cleanup(s.Close)
	return s
}

// framed writes in frames of at most n bytes.
type framed struct {
	net.Conn
	n int
}

func (f *framed) Write(p []byte) (total int, err error) {
	for len(p) > 0 && err == nil {
		var n int
		n, err = f.Conn.Write(p[:min(f.n, len(p))])
		total += n
		p = p[n:]
	}
	return total, err
}

func TestWebSocket(t *testing.T) {
	noLeak(t)
	for _, frame := range []int{1, 3, 4096} {
		s := webSocketServer(t, []string{"mqtt"}, frame, echo)
		s.Start()
		got, onMessage := receiver()
		c := mustDial(t, Config{URL: "ws" + strings.TrimPrefix(s.URL, "http") + "/mqtt", OnMessage: onMessage, Header: http.Header{"X-Key": {"42"}}})
		exchange(t, c, got)
		_ = c.Close()
	}
}

func TestWebSocketTLS(t *testing.T) {
	a := newAuthority(t)
	s := webSocketServer(t, []string{"mqttv3.1"}, 4096, echo)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{a.issue("broker.test", time.Now().Add(time.Hour))}}
	s.StartTLS()
	got, onMessage := receiver()
	c := mustDial(t, Config{
		URL: "wss://broker.test/mqtt", Version: mqtt.V31, ClientID: "c", OnMessage: onMessage,
		TLS: &tls.Config{RootCAs: a.pool()}, Dialer: to(s.Listener.Addr().String()),
	})
	exchange(t, c, got)
	_ = c.Close()
}

func TestWebSocketErrors(t *testing.T) {
	s := webSocketServer(t, nil, 4096, func(p *mqtttest.Peer) { _, _ = io.Copy(io.Discard, p.Conn) })
	s.Start()
	base := "ws" + strings.TrimPrefix(s.URL, "http")
	for url, text := range map[string]string{base + "/wrong": "404", base + "/mqtt": "subprotocol"} {
		_, err := Dial(context.Background(), Config{URL: url})
		var d *DialError
		if !errors.As(err, &d) || d.Step != StepWebSocket || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// httpProxy answers CONNECT as told and then is the broker itself: the first
// bytes of MQTT may come with the answer.
func httpProxy(t *testing.T, answer string, login string, script func(*mqtttest.Peer)) *mqtttest.Server {
	return mqtttest.Serve(t, func(p *mqtttest.Peer) {
		req, err := http.ReadRequest(bufio.NewReaderSize(oneByte{p.Conn}, 16))
		if err != nil {
			t.Errorf("proxy: %v", err)
			return
		}
		if req.Method != http.MethodConnect || req.Host != "broker.test:1883" || req.Header.Get("Proxy-Authorization") != login {
			t.Errorf("proxy was asked %s %s %v", req.Method, req.Host, req.Header)
		}
		p.SendRaw(answer)
		script(p)
	})
}

// oneByte keeps a bufio.Reader from reading ahead.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:1]) }

func TestHTTPProxy(t *testing.T) {
	login := "Basic " + base64.StdEncoding.EncodeToString([]byte("u:p"))
	plain := httpProxy(t, "HTTP/1.1 200 OK\r\nX-Long: "+strings.Repeat("x", 3000)+"\r\n\r\n", "", echo)
	withLogin := httpProxy(t, "HTTP/1.0 200 Connection established\r\n\r\n", login, echo)
	for proxy, s := range map[string]*mqtttest.Server{"http://" + plain.Address(): plain, "http://u:p@" + withLogin.Address(): withLogin} {
		got, onMessage := receiver()
		c := mustDial(t, Config{URL: "mqtt://broker.test", Proxy: proxy, OnMessage: onMessage})
		exchange(t, c, got)
		_ = c.Close()
		s.Wait()
	}
}

// A CONNACK that comes in one piece with the proxy's answer is not lost.
func TestHTTPProxyEarlyBytes(t *testing.T) {
	s := httpProxy(t, "HTTP/1.1 200 OK\r\n\r\n\x20\x03\x00\x00\x00", "", func(p *mqtttest.Peer) {
		mqtttest.Expect[*packet.Connect](p)
		echoRest(p)
	})
	got, onMessage := receiver()
	c := mustDial(t, Config{URL: "mqtt://broker.test", Proxy: "http://" + s.Address(), OnMessage: onMessage})
	exchange(t, c, got)
	_ = c.Close()
	s.Wait()
}

func TestHTTPProxyErrors(t *testing.T) {
	for answer, text := range map[string]string{
		"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n":                             "407",
		"HTTP/1.1 502 Bad Gateway\r\n\r\n":                                               "502",
		"HTTP/1.1 200 OK\r\nX-Long: " + strings.Repeat("x", 2*maxProxyHead) + "\r\n\r\n": "longer than",
		"HTTP/1.1 200 OK\r\n":                                                            "EOF",
	} {
		s := mqtttest.Serve(t, func(p *mqtttest.Peer) {
			_, _ = http.ReadRequest(bufio.NewReader(p.Conn))
			_, _ = io.WriteString(p.Conn, answer)
			if strings.HasSuffix(answer, "\r\n\r\n") {
				_, _ = io.Copy(io.Discard, p.Conn)
			}
		})
		_, err := Dial(context.Background(), Config{URL: "mqtt://broker.test", Proxy: "http://" + s.Address()})
		var d *DialError
		if !errors.As(err, &d) || d.Step != StepProxy || !strings.Contains(err.Error(), text) || d.Address != s.Address() {
			t.Errorf("%.40q: %v", answer, err)
		}
	}
}

// A SOCKS5 proxy (RFC 1928, 1929) that is the broker itself.
func socksProxy(t *testing.T, login bool, script func(*mqtttest.Peer)) *mqtttest.Server {
	return mqtttest.Serve(t, func(p *mqtttest.Peer) {
		read := func(want string) {
			b := make([]byte, len(want))
			if _, err := io.ReadFull(p.Conn, b); err != nil || string(b) != want {
				t.Errorf("proxy got %q, %v; want %q", b, err, want)
			}
		}
		if login {
			read("\x05\x02\x00\x02")
			p.SendRaw("\x05\x02")
			read("\x01\x01u\x01p")
			p.SendRaw("\x01\x00")
		} else {
			read("\x05\x01\x00")
			p.SendRaw("\x05\x00")
		}
		read("\x05\x01\x00\x03\x0Bbroker.test\x07\x5B") // the name, not an address: 1883
		p.SendRaw("\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
		script(p)
	})
}

func TestSOCKSProxy(t *testing.T) {
	for _, login := range []bool{false, true} {
		s := socksProxy(t, login, echo)
		proxy := "socks5://"
		if login {
			proxy += "u:p@"
		}
		got, onMessage := receiver()
		c := mustDial(t, Config{URL: "mqtt://broker.test", Proxy: proxy + s.Address(), OnMessage: onMessage})
		exchange(t, c, got)
		_ = c.Close()
		s.Wait()
	}
}

// A WebSocket whose server neither reads nor closes holds nobody up.
func TestWebSocketDead(t *testing.T) {
	noLeak(t)
	stop := make(chan struct{})
	s := webSocketServer(t, []string{"mqtt"}, 4096, func(p *mqtttest.Peer) {
		p.Accept(nil)
		<-stop
	})
	s.Start()
	c := mustDial(t, Config{URL: "ws" + strings.TrimPrefix(s.URL, "http") + "/mqtt"})
	closed := make(chan error, 1)
	go func() { closed <- c.Close() }()
	if err := within(t, "close", closed); err != nil {
		t.Error(err)
	}
	close(stop)
}
