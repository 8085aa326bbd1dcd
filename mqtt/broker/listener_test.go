package broker

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// authority makes certificates.
type authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.sign("test authority", nil, true, 1)
	a.file = filepath.Join(a.dir, "ca.pem")
	writePEM(t, a.file, "CERTIFICATE", a.cert.Raw)
	return a
}

func (a *authority) sign(name string, id *url.URL, ca bool, serial int64) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: ca, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if id != nil {
		c.URIs = []*url.URL{id}
	}
	parent, signer := c, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// pair writes certificate and key of a name.
func (a *authority) pair(file, name string, id *url.URL, serial int64) (cert, key string) {
	c, k := a.sign(name, id, false, serial)
	cert, key = filepath.Join(a.dir, file+".crt"), filepath.Join(a.dir, file+".key")
	writePEM(a.t, cert, "CERTIFICATE", c.Raw)
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	writePEM(a.t, key, "PRIVATE KEY", der)
	return cert, key
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// client is the TLS side of a client, with a certificate where pair is not empty.
func (a *authority) client(pair ...string) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	c := &tls.Config{RootCAs: pool, ServerName: "localhost"}
	if len(pair) == 2 {
		p, err := tls.LoadX509KeyPair(pair[0], pair[1])
		if err != nil {
			a.t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{p}
	}
	return c
}

func dialTLS(t testing.TB, addr string, c *tls.Config) *peer {
	t.Helper()
	nc, err := tls.Dial("tcp", addr, c)
	if err != nil {
		t.Fatal(err)
	}
	return newPeer(t, nc)
}

func TestTLSAndClientCertificates(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.pair("server", "localhost", nil, 2)
	cfg := Config{
		Listener: []Listener{
			{Name: "tls", Bind: "127.0.0.1:0", TLS: &TLS{CertFile: cert, KeyFile: key, ClientCAFile: a.file}},
			{Name: "san", Bind: "127.0.0.2:0", TLS: &TLS{CertFile: cert, KeyFile: key, ClientCAFile: a.file, UserFrom: "san"}},
		},
		ACL: []ACL{{User: "anna", Allow: []string{"readwrite a/#"}}, {User: "urn:device:7", Allow: []string{"readwrite b/#"}}},
	}
	s := start(t, cfg, nil)
	c1, k1 := a.pair("anna", "anna", nil, 3)
	p := dialTLS(t, s.Addr("tls").String(), a.client(c1, k1))
	if k := p.connect(mqtt.V5, "c", login("somebody", "else")); k.Reason != mqtt.Success {
		t.Fatal(k.Reason)
	}
	if got := p.subscribe(sub("a/x", 1), sub("b/x", 1)); got[0] != 1 || got[1] != mqtt.NotAuthorized {
		t.Errorf("SUBACK %v", got)
	}
	big := strings.Repeat("x", 100_000)
	p.send(pub("a/x", big, 1, 1))
	seen := 0
	for seen < 2 {
		switch k := p.mustNext().(type) {
		case *packet.Puback:
			seen++
		case *packet.Publish:
			if string(k.Payload) != big {
				t.Error("the payload differs")
			}
			seen++
		}
	}
	if c := s.Clients()[0]; c.User != "anna" {
		t.Errorf("user %q", c.User)
	}
	c2, k2 := a.pair("device", "ignored", &url.URL{Scheme: "urn", Opaque: "device:7"}, 4)
	q := dialTLS(t, s.Addr("san").String(), a.client(c2, k2))
	q.connect(mqtt.V5, "d")
	if got := q.subscribe(sub("b/x", 1)); got[0] != 1 {
		t.Errorf("SUBACK %v", got)
	}
	// Without a certificate, and with one of another authority.
	for _, config := range []*tls.Config{a.client(), a.client(newAuthority(t).pair("x", "anna", nil, 5))} {
		nc, err := tls.Dial("tcp", s.Addr("tls").String(), config)
		if err == nil {
			r := newPeer(t, nc)
			r.v = mqtt.V311
			b, _ := (&packet.Connect{Version: mqtt.V311, ClientID: "x", CleanStart: true}).Append(nil, mqtt.V311)
			nc.Write(b)
			if _, err := r.next(); err == nil {
				t.Error("a client without a proper certificate is let in")
			}
		}
	}
	// A client without TLS is named in the log.
	plain := dialPeer(t, "tcp", s.Addr("tls").String())
	plain.raw([]byte{0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 1, 'x'})
	plain.gone()
	waitFor(t, "a word about it", func() bool { return s.log.has("speaks MQTT without TLS") })
}

func TestCertificateReload(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.pair("server", "localhost", nil, 10)
	cfg := Config{Listener: []Listener{{Name: "tls", Bind: "127.0.0.1:0", AllowAnonymous: true, TLS: &TLS{CertFile: cert, KeyFile: key}}}}
	s := start(t, cfg, nil)
	serial := func() int64 {
		nc, err := tls.Dial("tcp", s.Addr("tls").String(), a.client())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		return nc.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	p := dialTLS(t, s.Addr("tls").String(), a.client())
	p.connect(mqtt.V5, "stays")
	if n := serial(); n != 10 {
		t.Fatalf("serial %d", n)
	}
	a.pair("server", "localhost", nil, 11)
	future := time.Now().Add(time.Minute)
	os.Chtimes(cert, future, future)
	s.renewCertificates()
	if n := serial(); n != 11 {
		t.Errorf("serial %d after the renewal", n)
	}
	if err := os.WriteFile(key, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	future = future.Add(time.Minute)
	os.Chtimes(key, future, future)
	s.renewCertificates()
	if err := s.Reload(cfg); err == nil {
		t.Error("a broken key is accepted")
	}
	if n := serial(); n != 11 || !s.log.has("the old one stays") {
		t.Errorf("serial %d with a broken key", n)
	}
	p.silent()
}

func TestSelfSigned(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := &TLS{Auto: "self-signed", CertFile: filepath.Join(dir, "tls", "c.crt"), KeyFile: filepath.Join(dir, "tls", "c.key")}
	s := start(t, Config{Listener: []Listener{
		{Name: "memory", Bind: "127.0.0.1:0", AllowAnonymous: true, TLS: &TLS{Auto: "self-signed"}},
		{Name: "files", Bind: "127.0.0.2:0", AllowAnonymous: true, TLS: files},
	}}, nil)
	for _, name := range []string{"memory", "files"} {
		p := dialTLS(t, s.Addr(name).String(), &tls.Config{InsecureSkipVerify: true})
		p.connect(mqtt.V5, name)
		p.silent()
	}
	text, err := os.ReadFile(files.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	s.stop()
	s = start(t, Config{Listener: []Listener{{Name: "files", Bind: "127.0.0.2:0", AllowAnonymous: true, TLS: files}}}, nil)
	dialTLS(t, s.Addr("files").String(), &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}).connect(mqtt.V311, "pinned")
}

func TestWebSocket(t *testing.T) {
	s := start(t, Config{Listener: []Listener{{Name: "ws", Bind: "127.0.0.1:0", AllowAnonymous: true, WebSocket: &WebSocket{Origins: []string{"https://good.example"}}}}}, nil)
	base := "ws://" + s.Addr("ws").String()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dial := func(protocol string) (*websocket.Conn, *peer) {
		ws, _, err := websocket.Dial(ctx, base+"/mqtt", &websocket.DialOptions{Subprotocols: []string{protocol}})
		if err != nil {
			t.Fatal(err)
		}
		return ws, newPeer(t, websocket.NetConn(ctx, ws, websocket.MessageBinary))
	}
	_, r := dial("mqtt")
	r.connect(mqtt.V5, "r")
	r.subscribe(sub("#", 1))
	// Every byte in a frame of its own, then several packets in one.
	ws, w := dial("mqttv3.1")
	var all []byte
	w.v = mqtt.V311
	for _, k := range []packet.Packet{&packet.Connect{Version: mqtt.V311, ClientID: "w", CleanStart: true}, pub("a", "one", 1, 1)} {
		all, _ = k.Append(all, mqtt.V311)
	}
	for i := range all {
		if err := ws.Write(ctx, websocket.MessageBinary, all[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	expect[*packet.Connack](w)
	expect[*packet.Puback](w)
	big := strings.Repeat("x", 200_000)
	w.send(pub("a", "two", 0, 0), pub("a", big, 1, 2), pub("a", "four", 1, 3))
	expect[*packet.Puback](w)
	expect[*packet.Puback](w)
	for _, want := range []string{"one", "two", big, "four"} {
		if m := r.receive(); string(m.Payload) != want {
			t.Fatalf("got %.20q, want %.20q", m.Payload, want)
		}
	}
	// Take-over, a text frame, another path, no subprotocol, a foreign origin.
	_, again := dial("mqtt")
	again.connect(mqtt.V5, "r")
	r.ends(mqtt.SessionTakenOver)
	ws, p := dial("mqtt")
	p.connect(mqtt.V5, "text")
	if err := ws.Write(ctx, websocket.MessageText, []byte{0xC0, 0}); err != nil {
		t.Fatal(err)
	}
	p.ends(0)
	for name, c := range map[string]struct {
		path, protocol, origin string
		ok                     bool
	}{"path": {"/other", "mqtt", "", false}, "protocol": {"/mqtt", "chat", "", false}, "origin": {"/mqtt", "mqtt", "https://evil.example", false}, "good origin": {"/mqtt", "mqtt", "https://good.example", true}} {
		o := &websocket.DialOptions{Subprotocols: []string{c.protocol}, HTTPHeader: http.Header{}}
		if c.origin != "" {
			o.HTTPHeader.Set("Origin", c.origin)
		}
		ws, _, err := websocket.Dial(ctx, base+c.path, o)
		if err == nil && c.ok {
			ws.CloseNow()
			continue
		}
		if err == nil {
			_, _, err = ws.Read(ctx)
		}
		if err == nil || c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s.Stats().Clients > 4 {
		t.Errorf("%d clients", s.Stats().Clients)
	}
}

func TestSecureWebSocket(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.pair("server", "localhost", nil, 2)
	s := start(t, Config{Listener: []Listener{{Name: "wss", Bind: "127.0.0.1:0", WebSocket: &WebSocket{Path: "/x"}, TLS: &TLS{CertFile: cert, KeyFile: key, ClientCAFile: a.file}}},
		ACL: []ACL{{User: "anna", Allow: []string{"readwrite #"}}}}, nil)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: a.client(a.pair("anna", "anna", nil, 3))}}
	defer client.CloseIdleConnections()
	ws, _, err := websocket.Dial(ctx, "wss://"+s.Addr("wss").String()+"/x", &websocket.DialOptions{HTTPClient: client, Subprotocols: []string{"mqtt"}})
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, websocket.NetConn(ctx, ws, websocket.MessageBinary))
	p.connect(mqtt.V5, "c", func(c *packet.Connect) { c.KeepAlive = 10 })
	p.subscribe(sub("a", 1))
	p.send(pub("a", "x", 0, 0))
	p.receive()
	if c := s.Clients()[0]; c.User != "anna" {
		t.Errorf("user %q", c.User)
	}
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mqtt.sock")
	cfg := Config{Listener: []Listener{{Name: "unix", Bind: "unix:" + path, AllowAnonymous: true}}}
	s := start(t, cfg, nil)
	p := dialPeer(t, "unix", path)
	p.connect(mqtt.V5, "c")
	p.subscribe(sub("a", 2))
	p.send(pub("a", "x", 0, 0))
	p.receive()
	if _, err := New(cfg, Options{}); err != nil {
		t.Fatal(err)
	}
	second, _ := New(cfg, Options{})
	if err := second.Listen(); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("bound twice: %v", err)
	}
	p.silent() // the first one is still there
	s.stop()
	// A socket that a killed process has left is no hindrance.
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	start(t, cfg, nil)
	dialPeer(t, "unix", path).connect(mqtt.V311, "c")
}

func TestListenErrors(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for bind, want := range map[string]string{ln.Addr().String(): "in use by another program", "192.0.2.1:1883": "no address of this machine"} {
		b, err := New(Config{Listener: []Listener{{Name: "first", Bind: "127.0.0.1:0"}, {Name: "second", Bind: bind}}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		err = b.Listen()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"second"`) || !strings.Contains(err.Error(), bind) {
			t.Errorf("%s: %v", bind, err)
		}
		if b.Addr("first") != nil {
			t.Error("the first one stays bound")
		}
	}
}

func TestReloadListeners(t *testing.T) {
	cfg := Config{Listener: []Listener{{Name: "stays", Bind: "127.0.0.1:0", AllowAnonymous: true}, {Name: "goes", Bind: "127.0.0.2:0", AllowAnonymous: true}}}
	s := start(t, cfg, nil)
	stays, goes := s.Addr("stays").String(), s.Addr("goes").String()
	a, b := dialPeer(t, "tcp", stays), dialPeer(t, "tcp", goes)
	a.connect(mqtt.V5, "a")
	b.connect(mqtt.V5, "b")
	bad := Config{Listener: []Listener{cfg.Listener[0], {Name: "bad", Bind: "192.0.2.1:1"}}}
	if err := s.Reload(bad); err == nil || !strings.Contains(err.Error(), `"bad"`) {
		t.Fatalf("reload: %v", err)
	}
	a.silent()
	b.silent()
	next := Config{MaxQoS: new(int), Listener: []Listener{cfg.Listener[0], {Name: "comes", Bind: "127.0.0.3:0", AllowAnonymous: true}}}
	if err := s.Reload(next); err != nil {
		t.Fatal(err)
	}
	b.ends(mqtt.AdministrativeAction)
	a.silent()
	if s.Addr("stays").String() != stays || s.Addr("goes") != nil {
		t.Error("wrong listeners")
	}
	if k := dialPeer(t, "tcp", s.Addr("comes").String()).connect(mqtt.V5, "c"); !k.Props.HasMaxQoS || k.Props.MaxQoS != 0 {
		t.Errorf("CONNACK %+v", k)
	}
	if _, err := net.Dial("tcp", goes); err == nil {
		t.Error("the old listener still accepts")
	}
}

// A session expiry that is cut short is told, another is not.
func TestSessionExpiryIsTold(t *testing.T) {
	s := start(t, Config{MaxSessionExpiry: conf.Duration(100 * time.Second)}, nil)
	for wish, want := range map[uint32]uint32{0: 0, 50: 0, 100: 0, 101: 100, 0xFFFFFFFF: 100} {
		a := s.dial().connect(mqtt.V5, "c", func(c *packet.Connect) { c.Props.SessionExpiry = wish })
		if a.Props.HasSessionExpiry != (want > 0) || a.Props.SessionExpiry != want {
			t.Errorf("asked for %d: %+v", wish, a.Props)
		}
	}
}

func TestLimitsOfListeners(t *testing.T) {
	s := start(t, Config{MaxClients: 3, MaxSessions: 4, Listener: []Listener{{Name: "l", Bind: "127.0.0.1:0", AllowAnonymous: true, MaxClients: 2, MaxPacket: 300}}}, nil)
	a := s.connect(mqtt.V5, "a", durable)
	s.connect(mqtt.V5, "b")
	if k := s.dial().connect(mqtt.V5, "c"); k.Reason != mqtt.QuotaExceeded {
		t.Errorf("third client: %v", k.Reason)
	}
	if k := s.dial().connect(mqtt.V311, "c"); k.Reason != mqtt.ServerUnavailable {
		t.Errorf("third client: %v", k.Reason)
	}
	again := s.connect(mqtt.V5, "a", durable) // a take-over needs no room
	a.ends(mqtt.SessionTakenOver)
	again.send(&packet.Publish{Topic: "t", Payload: bytes.Repeat([]byte("x"), 300)})
	again.ends(mqtt.PacketTooLarge)
	for _, id := range []string{"d", "e"} {
		s.connect(mqtt.V5, id, durable).leave()
	}
	if k := s.dial().connect(mqtt.V5, "f", durable); k.Reason != mqtt.QuotaExceeded {
		t.Errorf("fifth session: %v", k.Reason)
	}
}

func TestProbe12HangingHandshake(t *testing.T) {
	s := start(t, Config{ConnectTimeout: conf.Duration(200 * time.Millisecond), Listener: []Listener{{Name: "tls", Bind: "127.0.0.1:0", AllowAnonymous: true, TLS: &TLS{Auto: "self-signed"}}}}, nil)
	p := s.dial()
	p.raw([]byte{0x16, 3, 1})
	p.gone()
	waitFor(t, "a word about it", func() bool { return s.log.has("no TLS handshake in time") })
}

func TestRateLimits(t *testing.T) {
	var k bucket
	now := time.Now()
	if d := k.take(10, 10, now); d != 0 {
		t.Errorf("a second's worth at once: %v", d)
	}
	if d := k.take(10, 5, now); d != 500*time.Millisecond {
		t.Errorf("5 beyond: %v", d)
	}
	if d := k.take(10, 0, now.Add(time.Minute)); d != 0 {
		t.Errorf("after a minute: %v", d)
	}
	s := start(t, Config{Listener: []Listener{{Name: "l", Bind: "127.0.0.1:0", AllowAnonymous: true, MaxConnects: 1}}}, nil)
	refused := 0
	for range 10 {
		c, err := net.Dial("tcp", s.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); err == io.EOF || err != nil && !isTimeout(err) {
			refused++
		}
	}
	if refused == 0 {
		t.Error("ten connections a second where one is allowed")
	}
}
