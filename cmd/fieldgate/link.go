package main

import (
	"context"
	"io"
	"net"
	"sync"
)

// link is the demo's 4G link: a TCP forwarder that can be cut and restored.
// While it is cut its connections are gone and new ones are closed at once.
type link struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]struct{}
}

// newLink listens on a free port of this machine and forwards to target.
func newLink(target string) (*link, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &link{listener: l, target: target, conns: map[net.Conn]struct{}{}}, nil
}

func (l *link) addr() string { return l.listener.Addr().String() }

// run forwards until ctx ends, and returns when every connection is closed.
func (l *link) run(ctx context.Context) {
	var forwards sync.WaitGroup
	defer forwards.Wait()
	stop := context.AfterFunc(ctx, func() {
		l.listener.Close()
		l.set(true)
	})
	defer stop()
	for {
		in, err := l.listener.Accept()
		if err != nil {
			return
		}
		forwards.Go(func() { l.forward(in) })
	}
}

// set cuts the link or restores it.
func (l *link) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	if !cut {
		return
	}
	for c := range l.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a dropped link says no goodbye
		}
		c.Close()
	}
}

// add takes a connection in, unless the link is cut.
func (l *link) add(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		c.Close()
		return false
	}
	l.conns[c] = struct{}{}
	return true
}

func (l *link) remove(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	c.Close()
}

func (l *link) forward(in net.Conn) {
	if !l.add(in) {
		return
	}
	defer l.remove(in)
	out, err := net.Dial("tcp", l.target)
	if err != nil || !l.add(out) {
		return
	}
	defer l.remove(out)
	var copies sync.WaitGroup
	copies.Go(func() {
		_, _ = io.Copy(out, in) // either end may go at any time
		out.Close()
	})
	_, _ = io.Copy(in, out)
	in.Close()
	copies.Wait()
}
