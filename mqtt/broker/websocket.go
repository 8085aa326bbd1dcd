package broker

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// webServer is the HTTP side of a WebSocket listener. It gets its connections
// from the listener's accept loop, so that they fall under the same limits.
type webServer struct {
	l      *listener
	http   *http.Server
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newWebServer(l *listener) *webServer {
	w := &webServer{l: l, conns: make(chan net.Conn), closed: make(chan struct{})}
	w.http = &http.Server{
		Handler:           http.HandlerFunc(w.upgrade),
		ReadHeaderTimeout: l.b.set.Load().connectTimeout,
		IdleTimeout:       l.b.set.Load().connectTimeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // what matters is logged here
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			return context.WithValue(ctx, webConnKey{}, nc)
		},
	}
	return w
}

// run serves until close.
func (w *webServer) run() { w.http.Serve(w) }

// serve hands a connection to the HTTP server and waits for its end. TLS is
// shaken hands on here, so that what goes wrong is named as on other listeners.
func (w *webServer) serve(nc, base net.Conn) {
	wc := &webConn{Conn: nc, base: base, over: make(chan struct{})}
	if t, ok := nc.(*tls.Conn); ok {
		t.SetDeadline(time.Now().Add(w.l.b.set.Load().connectTimeout))
		if err := t.HandshakeContext(w.l.b.life); err != nil {
			w.l.handshakeFailed(base, err)
			return
		}
		t.SetDeadline(time.Time{})
		state := t.ConnectionState()
		wc.tls = &state
	}
	select {
	case w.conns <- wc:
		<-wc.over
	case <-w.closed:
	}
}

// webConn is a connection in the hands of the HTTP server.
type webConn struct {
	net.Conn
	base net.Conn             // as accepted
	tls  *tls.ConnectionState // nil: plain
	over chan struct{}
	once sync.Once
}

type webConnKey struct{}

// Close implements net.Conn.
func (c *webConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.over) })
	return err
}

// wsConn is a WebSocket as a stream of bytes. It is closed without the closing
// handshake, which a dead peer would draw out; MQTT has its own DISCONNECT.
type wsConn struct {
	net.Conn
	ws   *websocket.Conn
	from net.Addr
}

// Close implements net.Conn.
func (c *wsConn) Close() error { return c.ws.CloseNow() }

// RemoteAddr implements net.Conn.
func (c *wsConn) RemoteAddr() net.Addr { return c.from }

// Accept implements net.Listener for the HTTP server.
func (w *webServer) Accept() (net.Conn, error) {
	select {
	case nc := <-w.conns:
		return nc, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (w *webServer) Close() error { w.once.Do(func() { close(w.closed) }); return nil }

// Addr implements net.Listener.
func (w *webServer) Addr() net.Addr { return w.l.ln.Addr() }

func (w *webServer) close() {
	w.Close()
	w.http.Close()
}

// upgrade makes a WebSocket of a request and runs the MQTT connection in it
// (MQTT 5.0 §6). Packets may be split and joined over frames as they like.
func (w *webServer) upgrade(rw http.ResponseWriter, r *http.Request) {
	section := w.l.cfg.Load().WebSocket
	if section == nil {
		http.NotFound(rw, r)
		return
	}
	path := section.Path
	if path == "" {
		path = DefaultPath
	}
	if r.URL.Path != path {
		http.NotFound(rw, r)
		return
	}
	ws, err := websocket.Accept(rw, r, &websocket.AcceptOptions{
		Subprotocols:    []string{"mqtt", "mqttv3.1"}, // [MQTT-6.0.0-4]
		OriginPatterns:  origins(section.Origins),
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		w.l.logRefusedFrom(r.RemoteAddr, err)
		return
	}
	if ws.Subprotocol() == "" {
		ws.Close(websocket.StatusPolicyViolation, "the subprotocol mqtt is missing") // [MQTT-6.0.0-3]
		return
	}
	wc, ok := r.Context().Value(webConnKey{}).(*webConn)
	if !ok {
		ws.CloseNow()
		return
	}
	ctx, cancel := context.WithCancel(w.l.b.life)
	defer cancel()
	c := newConn(w.l.b, w.l, &wsConn{websocket.NetConn(ctx, ws, websocket.MessageBinary), ws, wc.RemoteAddr()})
	c.base = wc.base
	if wc.tls != nil {
		c.nameFromCertificate(*wc.tls)
	}
	if c.open(w.l.b.life) {
		c.live(w.l.b.life)
	} else {
		c.nc.Close()
	}
}

// origins are the patterns for the library: "*" stands for any.
func origins(list []string) []string {
	patterns := make([]string, 0, len(list))
	for _, o := range list {
		patterns = append(patterns, strings.TrimSuffix(o, "/"))
	}
	return patterns
}
