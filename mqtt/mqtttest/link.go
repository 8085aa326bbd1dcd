package mqtttest

import (
	"net"
	"sync"
	"testing"
)

// Link is a network between two ends: it accepts connections and passes them
// on to a target, until it is stalled or cut.
type Link struct {
	target string
	l      net.Listener
	wg     sync.WaitGroup

	mu      sync.Mutex
	flowing *sync.Cond
	stalled bool
	down    bool
	closed  bool
	conns   map[net.Conn]struct{}
}

// NewLink makes a link to a TCP address. The end of the test ends it.
func NewLink(t testing.TB, target string) *Link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &Link{target: target, l: l, conns: map[net.Conn]struct{}{}}
	k.flowing = sync.NewCond(&k.mu)
	k.wg.Add(1)
	go k.accept()
	t.Cleanup(k.close)
	return k
}

// Address is the near end.
func (k *Link) Address() string { return k.l.Addr().String() }

// Stall holds back all bytes, as a dead link does: nobody is told.
func (k *Link) Stall() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stalled = true
}

// Cut closes all connections; what was on its way is lost. New ones are closed
// at once until Restore.
func (k *Link) Cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.down = true
	k.cutLocked()
}

// Restore ends Stall and Cut.
func (k *Link) Restore() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stalled, k.down = false, false
	k.flowing.Broadcast()
}

func (k *Link) cutLocked() {
	for nc := range k.conns {
		if tcp, ok := nc.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, not an end: what is unsent is lost
		}
		_ = nc.Close()
	}
	clear(k.conns)
	k.flowing.Broadcast()
}

func (k *Link) close() {
	_ = k.l.Close()
	k.mu.Lock()
	k.closed = true
	k.cutLocked()
	k.mu.Unlock()
	k.wg.Wait()
}

func (k *Link) accept() {
	defer k.wg.Done()
	for {
		near, err := k.l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", k.target)
		if err != nil || !k.add(near, far) {
			_ = near.Close()
			if far != nil {
				_ = far.Close()
			}
		}
	}
}

// add starts passing bytes between two ends, unless the link is down.
func (k *Link) add(near, far net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.down || k.closed {
		return false
	}
	k.conns[near], k.conns[far] = struct{}{}, struct{}{}
	k.wg.Add(2)
	go k.pass(near, far)
	go k.pass(far, near)
	return true
}

func (k *Link) pass(dst, src net.Conn) {
	defer k.wg.Done()
	defer k.drop(dst, src)
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if !k.wait(src) {
			return
		}
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// wait waits while the link is stalled. It is false when the connection has
// been cut.
func (k *Link) wait(nc net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		if _, ok := k.conns[nc]; !ok || k.closed {
			return false
		}
		if !k.stalled {
			return true
		}
		k.flowing.Wait()
	}
}

func (k *Link) drop(a, b net.Conn) {
	k.mu.Lock()
	delete(k.conns, a)
	delete(k.conns, b)
	k.flowing.Broadcast()
	k.mu.Unlock()
	_ = a.Close()
	_ = b.Close()
}
