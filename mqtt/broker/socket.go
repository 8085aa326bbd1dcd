package broker

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fieldgate/mqtt"
)

// socket is what the loop keeps of a plain connection. Its reading side
// belongs to whoever has claimed it.
type socket struct {
	fd    int
	turn  atomic.Uint32                 // free, claimed or marked
	hup   atomic.Bool                   // the peer has closed, or the connection broke: read on to the end
	full  atomic.Bool                   // rest waits until the socket takes more
	stuck atomic.Int64                  // since when, as mono
	drain atomic.Pointer[chan struct{}] // linger waits for what still comes

	// Guarded by session.mu.
	rest *chunk // what a write has left; whoever takes it out goes on writing
	from int    // where in rest
	gone bool   // the descriptor is closed, or the writer closes it when it has finished
}

// The states of socket.turn.
const (
	free    = iota // nobody reads
	claimed        // one goroutine reads and handles
	marked         // the same, and it has to look again before it lets go
)

// claim reports whether the caller may read and handle from now on. If not, it
// makes sure that whoever does will look again.
func (k *socket) claim() bool {
	for {
		switch {
		case k.turn.CompareAndSwap(free, claimed):
			return true
		case k.turn.CompareAndSwap(claimed, marked), k.turn.Load() == marked:
			return false
		}
	}
}

// release gives the claim back. false: it was marked meanwhile and is not given back.
func (k *socket) release() bool {
	if k.turn.CompareAndSwap(claimed, free) {
		return true
	}
	k.turn.Store(claimed)
	return false
}

// adopt puts a plain connection into the loop's care, claimed by the caller.
// Go's poller forgets it: it would wake a thread for every packet. Where that
// takes a descriptor that is not to be had, the connection gets a goroutine,
// like one with TLS.
func (c *conn) adopt() {
	var raw syscall.RawConn
	var err error
	switch t := c.nc.(type) {
	case *net.TCPConn:
		raw, err = t.SyscallConn()
	case *net.UnixConn:
		raw, err = t.SyscallConn()
	default:
		return
	}
	if err != nil {
		return // closed: the first read will say so
	}
	fd, dupErr := 0, error(nil)
	err = raw.Control(func(from uintptr) { fd, dupErr = unix.FcntlInt(from, unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil || dupErr != nil {
		return
	}
	c.sock.fd = fd
	c.sock.turn.Store(claimed)
	if c.b.loop.add(c) != nil {
		syscall.Close(fd)
		return
	}
	c.plain = true
	c.nc.Close()
}

// begin handles what came behind CONNECT and what waits in the store, and hands
// the connection over to the loop.
func (c *conn) begin() {
	if c.keep > 0 {
		c.b.loop.dueBy(c.last.Load() + int64(c.keep))
	}
	var err error
	if len(c.in.data) > 0 || c.wantFill {
		err = c.handleAll(c.b.life)
	}
	if len(c.in.data) == 0 {
		c.in.release() // what CONNECT was read with
	}
	c.work(nil, err, false)
}

// work handles a claimed connection in a goroutine that may wait, until
// nothing more has come: first the batch that the loop has begun, if any. err
// is why the connection is over, more that the socket has not been emptied.
func (c *conn) work(bt *batch, err error, more bool) {
	ctx := c.b.life
	switch {
	case bt != nil:
		err = c.complete(ctx, bt, err)
	case err == nil:
		err = c.waitHeld(ctx)
	}
	for err == nil {
		c.in.settle()
		if !more && c.sock.release() {
			return
		}
		var n int
		n, more, err = c.in.receive()
		if c.ended.Load() {
			err = net.ErrClosed
		}
		if err == nil && n > 0 {
			err = c.handleAll(ctx)
		}
	}
	c.detach(ctx, err)
	close(c.done)
	c.linger()
	c.closeSocket()
	c.l.leave(c.base)
	c.b.wg.Done()
}

// overdue ends a connection that has been silent, or has taken nothing, for too
// long. It returns when to look again, as mono.
func (c *conn) overdue(now int64) (next int64) {
	next = noDeadline
	k := &c.sock
	if k.full.Load() {
		next = k.stuck.Load() + int64(writeTimeout)
		if next <= now {
			c.giveUp()
			return noDeadline
		}
	}
	if c.keep == 0 || c.ended.Load() {
		return next
	}
	silent := c.last.Load() + int64(c.keep)
	if silent > now {
		return min(next, silent)
	}
	if !k.claim() { // what has come is just being handled
		return min(next, now+int64(time.Second))
	}
	c.kick(mqtt.KeepAliveTimeout, "")
	go c.work(nil, mqtt.KeepAliveTimeout, false)
	return next
}

// send writes buffers until nothing is left or the socket takes no more; then
// the loop goes on with resume. The caller is the writer.
func (c *conn) send(buf *chunk, from int) {
	for buf != nil {
		for from < len(buf.b) {
			n, errno := sockWrite(c.sock.fd, buf.b[from:])
			switch errno {
			case 0:
				from += n
			case syscall.EINTR:
			case syscall.EAGAIN:
				if from, errno = c.putDown(buf, from); errno == syscall.EAGAIN {
					return
				}
			}
			if errno != 0 && errno != syscall.EINTR {
				c.writeFailed(buf)
				return
			}
		}
		buf, from = c.wrote(buf), 0
	}
}

// putDown leaves the rest of a buffer to the loop, unless the socket takes more
// just now: it is tried once more after full was set, so that the event that
// it takes more is either seen by the loop or not needed. EAGAIN: it was left.
func (c *conn) putDown(buf *chunk, from int) (int, syscall.Errno) {
	k, mu := &c.sock, &c.s.mu
	k.stuck.Store(mono())
	c.b.loop.dueBy(k.stuck.Load() + int64(writeTimeout))
	mu.Lock()
	k.full.Store(true)
	n, errno := sockWrite(k.fd, buf.b[from:])
	if errno == syscall.EAGAIN && !k.gone {
		k.rest, k.from = buf, from
		mu.Unlock()
		return from, errno
	}
	k.full.Store(false)
	mu.Unlock()
	if errno == syscall.EAGAIN {
		errno = syscall.EPIPE // the connection has been given up meanwhile
	}
	return from + max(0, n), errno
}

// takeUp makes the caller the writer of what was put down, if anything was.
func (c *conn) takeUp() (buf *chunk, from int) {
	k := &c.sock
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if buf, from = k.rest, k.from; buf != nil {
		k.rest = nil
		k.full.Store(false)
		c.s.progress++
	}
	return buf, from
}

// resume goes on writing, now that the socket takes more.
func (c *conn) resume() {
	if buf, from := c.takeUp(); buf != nil {
		c.send(buf, from)
	}
}

// giveUp ends a connection that takes nothing any more.
func (c *conn) giveUp() {
	if buf, _ := c.takeUp(); buf != nil {
		c.writeFailed(buf)
	}
}

// nudge makes a goroutine look at the connection: it has been kicked.
func (c *conn) nudge() {
	if c.sock.claim() {
		go c.work(nil, net.ErrClosed, false)
	}
}

// closeSocket closes the descriptor once nobody writes to it any more.
func (c *conn) closeSocket() {
	c.b.loop.remove(c)
	k := &c.sock
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	k.gone = true
	if k.rest != nil {
		putOut(k.rest)
		k.rest, c.writing = nil, false
		k.full.Store(false)
	}
	if !c.writing {
		c.closeGoneLocked()
	}
}

// closeGoneLocked closes a descriptor that nobody needs any more.
func (c *conn) closeGoneLocked() {
	if k := &c.sock; k.gone && k.fd >= 0 {
		syscall.Close(k.fd)
		k.fd = -1
	}
}

// drainSocket reads what still comes after our own end was closed, so that
// closing the socket does not reset the connection and lose what was sent.
func (c *conn) drainSocket() {
	k := &c.sock
	if syscall.Shutdown(k.fd, syscall.SHUT_WR) != nil {
		return
	}
	more := make(chan struct{}, 1)
	k.drain.Store(&more)
	timeout := time.NewTimer(lingerTimeout)
	defer timeout.Stop()
	scrap := make([]byte, 4<<10)
	for total := 0; total < 1<<20; {
		n, errno := sockRead(k.fd, scrap)
		switch {
		case errno == syscall.EINTR:
		case errno == syscall.EAGAIN:
			select {
			case <-more:
			case <-timeout.C:
				return
			}
		case errno != 0 || n == 0:
			return
		default:
			total += n
		}
	}
}
