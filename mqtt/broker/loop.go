package broker

import (
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	loopEvents = 256                    // the most that one round takes from the kernel
	flushAfter = 64 << 10               // bytes read: what they led to is sent before more is read
	sweepStep  = 100 * time.Millisecond // deadlines are looked at no more often
)

const noDeadline = int64(1<<63 - 1)

// watched are the events of a socket, each reported once (edge-triggered).
const watched = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

// loop reads and handles what comes on all plain connections, in one
// goroutine. What may have to wait (the disk, a handler, slow subscribers) it
// hands to a goroutine made for that; see conn.work. So an idle connection has
// no goroutine, and what the sockets that are ready together have brought goes
// out to each subscriber in one write.
//
// The sockets are in an epoll instance of the loop's own, and that is in Go's
// poller. So the goroutine waits like any other, and a packet wakes it alone;
// with the sockets in Go's poller each would want a goroutine.
//
// mu guards conns and started, and is held alone.
type loop struct {
	b    *Broker
	ep   int          // the epoll instance
	next atomic.Int64 // when the next deadline is due, as mono; noDeadline: none
	over atomic.Bool
	done chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	started bool
	conns   []*conn         // by descriptor
	file    *os.File        // ep, in Go's poller
	raw     syscall.RawConn // of file

	// The goroutine's own.
	events [loopEvents]syscall.EpollEvent
	ready  [loopEvents]*conn
	again  []*conn // claimed, and there may be more to read
	turns  []*conn // the one before, to be used again
	bt     *batch
	now    int64 // mono, when the round began
	read   int   // bytes since the last flush
}

// monoBase is what mono counts from.
var monoBase = time.Now()

// mono is the time since the process began, in nanoseconds. The wall clock does not touch it.
func mono() int64 { return int64(time.Since(monoBase)) }

// add makes the loop look after a connection; the first one starts it.
func (lp *loop) add(c *conn) error {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if lp.over.Load() {
		return net.ErrClosed
	}
	if !lp.started {
		if err := lp.startLocked(); err != nil {
			return err
		}
	}
	fd := c.sock.fd
	for fd >= len(lp.conns) {
		lp.conns = append(lp.conns, nil)
	}
	lp.conns[fd] = c
	if err := syscall.EpollCtl(lp.ep, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: watched, Fd: int32(fd)}); err != nil {
		lp.conns[fd] = nil
		return fmt.Errorf("watch a connection: %w", err)
	}
	return nil
}

func (lp *loop) startLocked() error {
	ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make an epoll instance: %w", err)
	}
	lp.ep = ep
	if err = syscall.SetNonblock(ep, true); err != nil {
		syscall.Close(ep)
		return fmt.Errorf("set up an epoll instance: %w", err)
	}
	lp.file = os.NewFile(uintptr(ep), "epoll")
	if lp.raw, err = lp.file.SyscallConn(); err != nil {
		lp.file.Close()
		return fmt.Errorf("wait for an epoll instance: %w", err)
	}
	lp.started = true
	lp.next.Store(noDeadline)
	lp.bt = lp.b.getBatch()
	lp.done = make(chan struct{})
	go lp.run()
	return nil
}

// remove forgets a connection whose descriptor is about to be closed.
func (lp *loop) remove(c *conn) {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if fd := c.sock.fd; lp.conns[fd] == c {
		lp.conns[fd] = nil
	}
}

// close ends the loop, after its connections have ended.
func (lp *loop) close() {
	lp.mu.Lock()
	if !lp.started {
		lp.mu.Unlock()
		return
	}
	lp.mu.Unlock()
	lp.over.Store(true)
	lp.file.Close()
	<-lp.done
}

// dueBy makes the loop look at the deadlines at a time, as mono, or earlier.
func (lp *loop) dueBy(at int64) {
	if at >= lp.next.Load() {
		return
	}
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if at < lp.next.Load() {
		lp.setNextLocked(at)
	}
}

func (lp *loop) setNextLocked(at int64) {
	lp.next.Store(at)
	until := time.Time{}
	if at != noDeadline {
		until = time.Now().Add(time.Duration(at - mono()))
	}
	lp.file.SetReadDeadline(until) // wakes the goroutine then; it fails at the end only
}

func (lp *loop) run() {
	defer close(lp.done)
	for !lp.over.Load() {
		lp.raw.Read(lp.serveReady) // an error is the deadline, or the end
		if lp.now = mono(); lp.now >= lp.next.Load() {
			lp.sweep()
		}
	}
	lp.b.putBatch(lp.bt)
}

// serveReady serves until nothing is ready any more. false: wait for more.
func (lp *loop) serveReady(uintptr) bool {
	for {
		n, _ := epollPoll(lp.ep, lp.events[:])
		n = max(0, n)
		if n == 0 && len(lp.again) == 0 {
			return false
		}
		lp.now = mono()
		lp.round(n)
		switch {
		case lp.now >= lp.next.Load() || lp.over.Load():
			return true
		case n == 1 && len(lp.again) == 0:
			// What has come meanwhile wakes us at once, so asking would be a system
			// call in vain where messages come one by one.
			return false
		}
	}
}

// round serves what is ready and then sends what that has led to.
func (lp *loop) round(n int) {
	lp.turns, lp.again = lp.again, lp.turns[:0]
	for i, c := range lp.turns {
		lp.turns[i] = nil
		lp.turn(c)
	}
	lp.mu.Lock()
	for i := range n {
		lp.ready[i] = lp.conns[lp.events[i].Fd]
	}
	lp.mu.Unlock()
	for i := range n {
		if c := lp.ready[i]; c != nil {
			lp.ready[i] = nil
			lp.serve(c, lp.events[i].Events)
		}
	}
	lp.flush()
}

func (lp *loop) flush() {
	lp.bt.flush()
	lp.read = 0
}

// serve takes the events of one connection. Whoever has claimed it meanwhile
// will look again.
func (lp *loop) serve(c *conn, events uint32) {
	k := &c.sock
	if events&unix.EPOLLOUT != 0 && k.full.Load() {
		c.resume()
	}
	if events&^unix.EPOLLOUT == 0 {
		return
	}
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		k.hup.Store(true)
	}
	if k.claim() {
		lp.turn(c)
	} else if drain := k.drain.Load(); drain != nil {
		select {
		case *drain <- struct{}{}:
		default:
		}
	}
}

// turn reads once from a claimed connection and handles what has come.
func (lp *loop) turn(c *conn) {
	n, more, err := c.in.receive()
	if c.ended.Load() {
		err = net.ErrClosed
	}
	if err != nil {
		go c.work(nil, err, false)
		return
	}
	if n == 0 {
		lp.release(c)
		return
	}
	bt := lp.bt
	failure := c.takeIn(bt, lp.now)
	if failure != nil || bt.waits() {
		lp.flush()
		lp.bt = lp.b.getBatch()
		go c.work(bt, failure, more)
		return
	}
	bt.commit(lp.b.life)
	c.answer(bt)
	err = c.verdict(bt, nil)
	c.endBatch(bt)
	if err != nil || c.holding {
		go c.work(nil, err, more)
		return
	}
	c.in.settle()
	if lp.read += n; lp.read >= flushAfter {
		lp.flush()
	}
	if more {
		lp.again = append(lp.again, c)
	} else {
		lp.release(c)
	}
}

func (lp *loop) release(c *conn) {
	c.in.settle()
	if !c.sock.release() {
		lp.again = append(lp.again, c)
	}
}

// sweep ends the connections that have been silent, or have taken nothing, for
// too long, and finds out when to look again.
func (lp *loop) sweep() {
	lp.mu.Lock()
	lp.next.Store(noDeadline) // connections may set an earlier one from now on
	list := make([]*conn, 0, len(lp.conns))
	for _, c := range lp.conns {
		if c != nil {
			list = append(list, c)
		}
	}
	lp.mu.Unlock()
	next := noDeadline
	for _, c := range list {
		next = min(next, c.overdue(lp.now))
	}
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if next != noDeadline {
		next = max(next, lp.now+int64(sweepStep))
	}
	lp.setNextLocked(min(next, lp.next.Load()))
}
