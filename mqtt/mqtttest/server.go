package mqtttest

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"
)

// Server accepts connections and runs a script for each.
type Server struct {
	t       testing.TB
	l       net.Listener
	scripts []func(*Peer)
	wg      sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	shut  bool
}

// Serve listens on a free port of the loopback. The first connection gets the
// first script, the next the next, and all further ones the last. When a script
// returns, its connection is closed. The end of the test ends them all.
func Serve(t testing.TB, scripts ...func(*Peer)) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ServeOn(t, l, scripts...)
}

// ServeOn is Serve with a listener of the test's: TLS, a Unix socket.
func ServeOn(t testing.TB, l net.Listener, scripts ...func(*Peer)) *Server {
	s := &Server{t: t, l: l, scripts: scripts}
	s.wg.Add(1)
	go s.accept()
	t.Cleanup(s.close)
	return s
}

// Address is where the server listens.
func (s *Server) Address() string { return s.l.Addr().String() }

// URL is the address as mqtt://….
func (s *Server) URL() string { return "mqtt://" + s.Address() }

// Wait waits until the scripts of all connections so far have ended.
func (s *Server) Wait() {
	s.mu.Lock()
	s.shut = true
	s.mu.Unlock()
	_ = s.l.Close()
	s.wg.Wait()
}

// grace is what a script has at the end of the test before its connection is
// closed under it, as long as a loaded machine may need.
const grace = Patience

func (s *Server) close() {
	ended := make(chan struct{})
	go func() { s.Wait(); close(ended) }()
	select {
	case <-ended:
		return
	case <-time.After(grace):
	}
	s.mu.Lock()
	for _, nc := range s.conns {
		_ = nc.Close()
	}
	s.mu.Unlock()
	<-ended
}

func (s *Server) accept() {
	defer s.wg.Done()
	for n := 0; ; n++ {
		nc, err := s.l.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				s.t.Errorf("server: accept: %v", err)
			}
			return
		}
		s.mu.Lock()
		if s.shut {
			s.mu.Unlock()
			_ = nc.Close()
			return
		}
		s.conns = append(s.conns, nc)
		s.wg.Add(1)
		s.mu.Unlock()
		go s.run(nc, s.scripts[min(n, len(s.scripts)-1)])
	}
}

func (s *Server) run(nc net.Conn, script func(*Peer)) {
	defer s.wg.Done()
	defer func() { _ = nc.Close() }() // also when the script fails
	script(NewPeer(s.t, nc))
}

// Pipe is a dialer whose connections are in memory, for testing/synctest: the
// other end of each runs script, and is closed when that returns. The end of
// the test waits for the scripts, so close the near ends before, or in a
// Cleanup that is registered later.
func Pipe(t testing.TB, script func(*Peer)) func(context.Context, string, string) (net.Conn, error) {
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		wg.Go(func() {
			defer func() { _ = far.Close() }()
			script(NewPeer(t, far))
		})
		return near, nil
	}
}
