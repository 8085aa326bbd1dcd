package broker

import (
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// outLocked is the buffer that is to be sent next.
func (c *conn) outLocked() *chunk {
	if c.out == nil {
		c.out = outPool.Get().(*chunk)
	}
	return c.out
}

func (c *conn) outLen() int {
	if c.out == nil {
		return 0
	}
	return len(c.out.b)
}

// countOutLocked counts a PUBLISH that was appended.
func (c *conn) countOutLocked(payload int) {
	c.sent.messages++
	c.sent.bytes += uint64(payload)
}

// tally counts under a lock what is added to the broker's counters in one go.
type tally struct{ messages, bytes uint64 }

// reportLocked adds what was appended to the broker's counters.
func (c *conn) reportLocked() {
	if t := c.sent; t.messages > 0 {
		c.sentMsgs += t.messages
		c.b.stats.publishSent.Add(t.messages)
		c.b.stats.messagesSent.Add(t.messages)
		c.b.stats.publishBytesSent.Add(t.bytes)
		c.sent = tally{}
	}
}

// flush sends what has been appended. A plain socket is tried at once, in the
// caller's goroutine: it takes the bytes in almost every case, and no other
// goroutine need be woken; what it does not take is left to the loop. On TLS
// and WebSocket a goroutine sends, and ends when nothing is left.
func (c *conn) flush() {
	mu := &c.s.mu
	mu.Lock()
	c.flushDue = false
	c.reportLocked()
	if c.writing || c.outLen() == 0 || c.sock.gone {
		c.finishedLocked()
		mu.Unlock()
		return
	}
	c.writing = true
	buf := c.out
	c.out = nil
	mu.Unlock()
	if c.plain {
		c.send(buf, 0)
	} else {
		go c.write(buf)
	}
}

// write sends buffers until nothing is left. It waits.
func (c *conn) write(buf *chunk) {
	for buf != nil {
		rest := buf.b
		for len(rest) > 0 {
			piece := rest[:min(len(rest), writePiece)]
			c.nc.SetWriteDeadline(time.Now().Add(writeTimeout))
			n, err := c.nc.Write(piece)
			if err != nil {
				c.writeFailed(buf)
				return
			}
			rest = rest[n:]
			c.s.mu.Lock()
			c.s.progress++
			c.s.mu.Unlock()
		}
		buf = c.wrote(buf)
	}
}

// wrote notes that a buffer has gone out and returns the next one. If there is
// none the caller no longer is the writer.
func (c *conn) wrote(buf *chunk) *chunk {
	s := c.s
	n := uint64(len(buf.b))
	c.b.stats.bytesSent.Add(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress++
	putOut(buf)
	if c.outRoom != nil {
		close(c.outRoom)
		c.outRoom = nil
	}
	if s.conn == c && (s.queue.len() > 0 || len(s.waiters) > 0) {
		s.pumpLocked()
	}
	if c.outLen() == 0 {
		c.writing = false
		c.finishedLocked()
		c.closeGoneLocked()
		return nil
	}
	next := c.out
	c.out = nil
	return next
}

// finishedLocked tells linger that everything has gone out.
func (c *conn) finishedLocked() {
	if c.closing && !c.writing && c.flushed != nil {
		close(c.flushed)
		c.flushed = nil
	}
}

// writeFailed ends a connection whose socket broke.
func (c *conn) writeFailed(buf *chunk) {
	c.s.mu.Lock()
	c.writing, c.closing = false, true
	c.out = nil
	putOut(buf)
	c.finishedLocked()
	c.closeGoneLocked()
	c.s.mu.Unlock()
	c.stop()
	if c.plain {
		c.nudge()
	} else {
		c.nc.Close()
	}
}

// kick ends the connection from any goroutine: a DISCONNECT goes out behind
// what is already on its way, where the version has one, and the reader stops.
func (c *conn) kick(reason mqtt.ReasonCode, text string) {
	c.s.mu.Lock()
	if c.closing {
		c.s.mu.Unlock()
		return
	}
	c.closing, c.reason = true, reason
	if c.version == mqtt.V5 && !c.clean {
		c.disconnectLocked(reason, text)
	}
	flushed := make(chan struct{})
	c.flushed, c.writesDone = flushed, flushed
	c.s.mu.Unlock()
	c.stop()
	c.flush()
	c.wake(flushed)
}

// stop makes the reader handle nothing more.
func (c *conn) stop() {
	if c.ended.CompareAndSwap(false, true) {
		close(c.stopped)
	}
}

// disconnectLocked appends a DISCONNECT, without its text where that is more
// than the client takes.
func (c *conn) disconnectLocked(reason mqtt.ReasonCode, text string) {
	before := c.outLen()
	p := packet.Disconnect{Reason: reason, ReasonString: text}
	b, err := p.Append(c.outLocked().b, c.version)
	if err != nil || len(b)-before > c.maxPacket {
		p.ReasonString = ""
		b, err = p.Append(c.out.b[:before], c.version)
	}
	if err == nil && len(b)-before <= c.maxPacket {
		c.out.b = b
	}
}

// wake makes the reader return.
func (c *conn) wake(flushed <-chan struct{}) {
	if c.plain {
		c.nudge()
		return
	}
	if c.ws { // there a read deadline ends the connection, with what is still to be sent
		go func() {
			select {
			case <-flushed:
			case <-time.After(lingerTimeout):
			}
			c.nc.Close()
		}()
		return
	}
	c.nc.SetReadDeadline(time.Unix(1, 0))
}

// linger lets the last bytes go out before the socket is closed. Closing with
// unread bytes would reset the connection, and the DISCONNECT with it.
func (c *conn) linger() {
	c.s.mu.Lock()
	flushed := c.writesDone
	c.s.mu.Unlock()
	if flushed == nil {
		return // it is the peer who left
	}
	timeout := time.NewTimer(lingerTimeout)
	defer timeout.Stop()
	select {
	case <-flushed:
	case <-timeout.C:
		return
	}
	if c.plain {
		c.drainSocket()
		return
	}
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		c.nc.SetReadDeadline(time.Now().Add(lingerTimeout))
		scrap := make([]byte, 4<<10)
		for total := 0; total < 1<<20; {
			n, err := c.nc.Read(scrap)
			if total += n; err != nil {
				break
			}
		}
	}
}
