package broker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// listener is one [[broker.listener]]. What its section says may change while
// it runs; only another bind needs another socket.
type listener struct {
	b     *Broker
	bind  string
	local bool // loopback or Unix socket
	cfg   atomic.Pointer[Listener]
	cert  atomic.Pointer[certificate] // nil: plain
	ln    net.Listener
	web   *webServer

	clients int // guarded by Broker.mu

	mu       sync.Mutex
	open     map[net.Conn]bool // accepted and not yet over; true: has a session
	connects bucket
	logs     bucket
	closed   bool
}

func newListener(b *Broker, cfg Listener, cert *certificate) *listener {
	l := &listener{b: b, bind: cfg.Bind, local: loopback(cfg.Bind), open: map[net.Conn]bool{}}
	l.cfg.Store(&cfg)
	l.cert.Store(cert)
	l.web = newWebServer(l)
	return l
}

// listenerName is the section's name, or its address where it has none.
func listenerName(cfg Listener) string {
	if cfg.Name == "" {
		return cfg.Bind
	}
	return cfg.Name
}

// loopback reports a bind that only this machine can reach.
func loopback(bind string) bool {
	if strings.HasPrefix(bind, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(bind)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (l *listener) name() string    { return listenerName(*l.cfg.Load()) }
func (l *listener) anonymous() bool { return l.cfg.Load().AllowAnonymous }
func (l *listener) websocket() bool { return l.cfg.Load().WebSocket != nil }
func (l *listener) maxClients() int { return l.cfg.Load().MaxClients }
func (l *listener) maxRate() int    { return l.cfg.Load().MaxRate }
func (l *listener) certificates() bool {
	t := l.cfg.Load().TLS
	return t != nil && t.ClientCAFile != ""
}

func (l *listener) userFromSAN() bool { t := l.cfg.Load().TLS; return t != nil && t.UserFrom == "san" }
func (l *listener) maxPacket() int {
	return int(l.cfg.Load().MaxPacket.Or(int64(l.b.set.Load().maxPacket)))
}

// Listen binds every listener. An error names the listener, the address and
// what to do; then none is bound.
func (b *Broker) Listen() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	bound, err := b.bindAll(b.config)
	if err != nil {
		return err
	}
	b.listeners = bound
	return nil
}

// bindAll makes and binds the listeners of a configuration.
func (b *Broker) bindAll(cfg Config) ([]*listener, error) {
	var bound []*listener
	for _, section := range listeners(cfg) {
		cert, err := b.loadCertificate(section)
		if err == nil {
			l := newListener(b, section, cert)
			if err = l.listen(); err == nil {
				bound = append(bound, l)
				continue
			}
		}
		for _, l := range bound {
			l.close()
		}
		return nil, fmt.Errorf("listener %q: %w", listenerName(section), err)
	}
	return bound, nil
}

func (l *listener) listen() error {
	network, address := "tcp", l.bind
	if path, ok := strings.CutPrefix(l.bind, "unix:"); ok {
		network, address = "unix", path
		removeStale(path)
	}
	ln, err := net.Listen(network, address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is in use by another program (see: ss -ltnp); stop that one or give this listener another bind", l.bind)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s may not be bound by this user; take a port from 1024 on, or a folder it may write to", l.bind)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is no address of this machine; use one that `ip addr` shows, or leave the host out for all", l.bind)
	case err != nil:
		return fmt.Errorf("bind %s: %w", l.bind, err)
	}
	if network == "unix" {
		if err := os.Chmod(address, 0o660); err != nil {
			ln.Close()
			return err
		}
	}
	l.ln = ln
	return nil
}

// removeStale removes a socket that a killed process has left behind, and
// nothing else: one that answers is in use.
func removeStale(path string) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		os.Remove(path)
	}
}

// startLocked starts accepting, with Broker.mu held.
func (b *Broker) startLocked(l *listener) {
	ln := l.ln
	b.wg.Add(2)
	go func() {
		defer b.wg.Done()
		l.accept(ln)
	}()
	go func() {
		defer b.wg.Done()
		l.web.run()
	}()
	b.log.Info("listening", "listener", l.name(), "address", l.ln.Addr(), "tls", l.cert.Load() != nil, "websocket", l.websocket(), "anonymous", l.anonymous())
}

// accept takes connections in until the listener is closed.
func (l *listener) accept(ln net.Listener) {
	pause := time.Duration(0)
	for {
		nc, err := ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of descriptors, most likely: those that leave make room.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			l.logRefused(nil, err)
			time.Sleep(pause)
			continue
		}
		pause = 0
		if !l.enter(nc) {
			nc.Close()
			continue
		}
		l.b.wg.Add(1)
		go func() {
			defer l.b.wg.Done()
			l.handle(nc)
		}()
	}
}

// enter notes an accepted connection, if there are not too many: in all, or
// new ones in this second.
func (l *listener) enter(nc net.Conn) bool {
	most := l.b.set.Load().maxOpen
	l.mu.Lock()
	defer l.mu.Unlock()
	rate := orInt(l.cfg.Load().MaxConnects, DefaultMaxConnects)
	if l.closed || len(l.open) >= most || l.connects.level > float64(2*rate) && l.connects.peek(rate, time.Now()) > float64(2*rate) {
		l.b.stats.connectsRefused.Add(1)
		return false
	}
	l.connects.take(rate, 1, time.Now())
	l.open[nc] = false
	return true
}

// leave closes a connection and forgets it.
func (l *listener) leave(nc net.Conn) {
	nc.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, nc)
}

// handle runs one connection, whatever the listener speaks.
func (l *listener) handle(nc net.Conn) {
	l.b.stats.sockets.Add(1)
	conn := nc
	if cert := l.cert.Load(); cert != nil {
		conn = tls.Server(nc, cert.config)
	}
	if l.websocket() {
		l.web.serve(conn, nc)
		l.leave(nc)
		return
	}
	c := newConn(l.b, l, conn)
	c.base = nc
	if !c.open(l.b.life) {
		l.leave(nc)
		return
	}
	l.b.wg.Add(1) // until the connection is over, with or without a goroutine
	if c.plain {
		c.begin()
		return
	}
	go func() {
		defer l.b.wg.Done()
		c.live(l.b.life)
		l.leave(nc)
	}()
}

// admitted notes that a connection has got its session.
func (l *listener) admitted(nc net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.open[nc]; ok {
		l.open[nc] = true
	}
}

// close ends the listener and the connections that have no session yet; those
// that have are told to go by the broker.
func (l *listener) close() {
	if l.ln != nil {
		l.ln.Close()
	}
	l.web.close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for nc, admitted := range l.open {
		if !admitted {
			nc.Close()
		}
	}
}

// handshakeFailed names the usual causes of a failed TLS handshake.
func (l *listener) handshakeFailed(nc net.Conn, err error) {
	var record tls.RecordHeaderError
	if errors.As(err, &record) {
		if record.RecordHeader[0] == 0x10 {
			err = errors.New("the client speaks MQTT without TLS, but this listener wants TLS; use port and scheme of a plain listener, or mqtts://")
		} else {
			err = errors.New("the client does not speak TLS, but this listener wants it")
		}
	}
	if isTimeout(err) {
		err = errors.New("no TLS handshake in time")
	}
	l.b.stats.connectsRefused.Add(1)
	l.logRefused(nc, err)
}

// logRefused reports a connection that did not become a client.
func (l *listener) logRefused(nc net.Conn, err error) {
	from := ""
	if nc != nil {
		from = nc.RemoteAddr().String()
	}
	l.logRefusedFrom(from, err)
}

// logRefusedFrom writes at most a few lines per minute: how many causes there
// are is for the network to decide.
func (l *listener) logRefusedFrom(from string, err error) {
	l.mu.Lock()
	ok := !l.closed && l.logs.peek(1, time.Now()) < 60
	if ok {
		l.logs.take(1, 3, time.Now())
	}
	l.mu.Unlock()
	if ok {
		l.b.log.Warn("connection refused", "listener", l.name(), "from", from, "cause", err)
	}
}
