package client

import "time"

// chunk is how much is written with one deadline: on a link of a few kilobits
// a second a whole buffer may take longer than any sensible one.
const chunk = 16 << 10

// writeTimeout is how long the peer may take in nothing of a chunk.
const writeTimeout = 30 * time.Second

// lastWords is how long the peer may take to hang up after our DISCONNECT.
const lastWords = time.Second

// write is the writing goroutine: it takes whatever waits in one write, and
// keeps the connection alive.
func (c *Conn) write() {
	defer close(c.wrote)
	k := newKeepAlive(c.limits.KeepAlive, c.cfg.Pulse, time.Now())
	defer c.judge(&k)
	timer := time.NewTimer(k.wait(time.Now()))
	defer timer.Stop()
	var spare []byte
	for {
		select {
		case <-c.wake:
		case now := <-timer.C:
			c.ping(&k, now)
		case <-c.failed:
		}
		buf, dones, last := c.take(spare)
		err := c.send(buf)
		for _, r := range dones {
			r.Done(ended(err))
		}
		switch {
		case err != nil:
			c.fail(err)
			return
		case last:
			c.hangUp()
			return
		}
		now := time.Now()
		if len(buf) > 0 {
			k.heard(c.began.Add(time.Duration(c.lastRead.Load())))
			k.sent(now)
		}
		timer.Reset(k.wait(now))
		if spare = buf; cap(spare) > 4*outLimit {
			spare = nil // do not keep what one large message took
		}
	}
}

// take takes what waits. last: nothing will follow, or the connection failed.
func (c *Conn) take(spare []byte) (buf []byte, dones []Receipt, last bool) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.err != nil && !c.closing {
		return nil, nil, true
	}
	buf, dones, last = c.out, c.written, c.closing
	c.out, c.written = spare[:0], nil
	c.resendLocked()
	c.changedLocked()
	return buf, dones, last
}

// send writes buf. Without a peer that reads it fails in good time.
func (c *Conn) send(buf []byte) error {
	for len(buf) > 0 {
		n := min(len(buf), chunk)
		_ = c.nc.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := c.nc.Write(buf[:n]); err != nil {
			return err
		}
		buf = buf[n:]
	}
	return nil
}

// hangUp ends our side after the DISCONNECT. A plain close while bytes of the
// peer lie unread would reset the connection, and the DISCONNECT could be lost
// with it; so the reader goes on until the peer has hung up too.
func (c *Conn) hangUp() {
	c.s.mu.Lock()
	polite := c.closing
	c.s.mu.Unlock()
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || !polite || half.CloseWrite() != nil {
		_ = c.nc.Close()
		return
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(lastWords))
}

// ping does what the keep-alive is for when its time has come.
func (c *Conn) ping(k *keepAlive, now time.Time) {
	k.heard(c.began.Add(time.Duration(c.lastRead.Load())))
	if c.held.Load() {
		k.excused(now) // TCP_USER_TIMEOUT still finds a dead peer
	}
	switch k.due(now) {
	case pingDead:
		c.fail(ErrPeerDead)
	case pingSend:
		c.s.mu.Lock()
		if !c.closing {
			c.out = append(c.out, pingreq...)
		}
		c.s.mu.Unlock()
		k.pinged(now)
		c.wakeWriter()
	}
}
