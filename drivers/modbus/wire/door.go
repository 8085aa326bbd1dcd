package wire

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	maxHeartbeat      = 64
	maxRegistration   = 256                    // bytes of a registration
	maxStrangers      = 64                     // connections that have not said who they are
	registrationTime  = 15 * time.Second       // to say it
	registrationQuiet = 100 * time.Millisecond // ends it
	refusalEvery      = time.Minute            // refusals are logged so often at most
)

// Listen is a line whose device dials in, as 4G modems (DTUs) do. Lines of one
// process with the same Address share the port; the registration, the first
// bytes of a connection, tells whose device it is. Of two connections of one
// device the newer is used and the older closed.
type Listen struct {
	Address      string  // host:port or :port
	Registration Pattern // empty: any connection; then the line has the port for itself
	Heartbeat    []byte  // ignored between frames

	// Bind replaces net.Listen, in tests.
	Bind func(network, address string) (net.Listener, error)
}

// doors are the open ports of this process, by address.
var doors = struct {
	mu   sync.Mutex
	open map[string]*door
}{open: map[string]*door{}}

// door is one port with the lines that wait behind it.
//
// One goroutine accepts; one for each connection that has not registered yet
// listens for that, for a limited time. They end with the last line's leave.
type door struct {
	ln    net.Listener
	ctx   context.Context
	stop  context.CancelFunc
	tasks sync.WaitGroup
	log   *slog.Logger

	mu        sync.Mutex
	slots     []*place
	strangers int
	refused   string // who was sent away last
	logged    time.Time
}

// place is a line's place at a door. door.mu guards it.
type place struct {
	door    *door
	listen  Listen
	conn    *dialled      // the newest connection; nil: none
	fresh   bool          // conn has not been taken yet
	arrived chan struct{} // holds one token where fresh was set
}

// dialled is a connection that a device has made.
type dialled struct {
	*net.TCPConn
	slot *place
}

// Close also tells the door that the connection is not there any more.
func (c *dialled) Close() error {
	d := c.slot.door
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.slot.conn == c {
		c.slot.conn = nil
	}
	return c.TCPConn.Close()
}

// join takes a place, and opens the port for the first line.
func join(listen Listen, log *slog.Logger) (*place, error) {
	doors.mu.Lock()
	defer doors.mu.Unlock()
	d := doors.open[listen.Address]
	first := d == nil
	if first {
		bind := listen.Bind
		if bind == nil {
			bind = net.Listen
		}
		ln, err := bind("tcp", listen.Address)
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("%w: another program has this port; choose another in listen", err)
		}
		if err != nil {
			return nil, err
		}
		d = &door{ln: ln, log: log}
		d.ctx, d.stop = context.WithCancel(context.Background())
		doors.open[listen.Address] = d
	}
	s := &place{door: d, listen: listen, arrived: make(chan struct{}, 1)}
	d.mu.Lock()
	d.slots = append(d.slots, s)
	d.mu.Unlock()
	if first { // not before: whoever knocks first must find the place
		d.tasks.Go(d.accept)
	}
	return s, nil
}

// leave gives the place up; the last one closes the port.
func (s *place) leave() {
	doors.mu.Lock()
	defer doors.mu.Unlock()
	d := s.door
	d.mu.Lock()
	d.slots = slices.DeleteFunc(d.slots, func(o *place) bool { return o == s })
	if s.conn != nil {
		_ = s.conn.TCPConn.Close() // nobody uses it
		s.conn = nil
	}
	last := len(d.slots) == 0
	d.mu.Unlock()
	if last {
		delete(doors.open, s.listen.Address)
		d.stop()
		_ = d.ln.Close() // accept ends
		d.tasks.Wait()
	}
}

// take waits for the device's connection.
func (s *place) take(ctx context.Context, limit time.Duration) (Conn, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		if c := s.takeNow(); c != nil {
			return c, nil
		}
		select {
		case <-s.arrived:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-timer.C:
			return nil, s.absent()
		}
	}
}

func (s *place) takeNow() *dialled {
	s.door.mu.Lock()
	defer s.door.mu.Unlock()
	if s.conn == nil || !s.fresh {
		return nil
	}
	s.fresh = false
	return s.conn
}

func (s *place) absent() error {
	s.door.mu.Lock()
	defer s.door.mu.Unlock()
	who := "no device"
	if !s.listen.Registration.empty() {
		who = fmt.Sprintf("no device with registration %q", s.listen.Registration)
	}
	if s.door.refused != "" {
		return fmt.Errorf("%s has dialled in at %s; turned away was %s", who, s.listen.Address, s.door.refused)
	}
	return fmt.Errorf("%s has dialled in at %s", who, s.listen.Address)
}

func (d *door) accept() {
	for {
		c, err := d.ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || sleep(d.ctx, 100*time.Millisecond) != nil {
				return
			}
			continue // out of descriptors, or a client that left at once
		}
		conn, ok := c.(*net.TCPConn)
		if !ok || !d.admit() {
			_ = c.Close() // it will dial again
			continue
		}
		d.tasks.Go(func() {
			defer d.dismiss()
			d.greet(conn)
		})
	}
}

func (d *door) admit() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.strangers >= maxStrangers {
		return false
	}
	d.strangers++
	return true
}

func (d *door) dismiss() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.strangers--
}

// greet finds out whose device it is.
func (d *door) greet(conn *net.TCPConn) {
	stop := context.AfterFunc(d.ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: keepAlive / 3, Count: 3}) // an aid only
	s, said := d.register(conn)
	if s == nil || !d.arrive(s, conn) {
		_ = conn.Close() // it will dial again
		d.refuse(conn.RemoteAddr(), said)
	}
}

// register reads until a registration has come and silence after it. What
// stands behind it answers no request, so it is nothing.
func (d *door) register(conn *net.TCPConn) (s *place, said []byte) {
	end := time.Now().Add(registrationTime)
	buf := make([]byte, 0, maxRegistration)
	for {
		s = d.whose(buf)
		if s != nil && s.listen.Registration.empty() {
			return s, nil
		}
		until := end
		if s != nil {
			until = earlier(end, time.Now().Add(registrationQuiet))
		}
		if err := conn.SetReadDeadline(until); err != nil {
			return nil, buf
		}
		n, err := conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case err == nil && len(buf) < cap(buf):
		case err == nil:
			return d.whose(buf), buf
		case errors.Is(err, os.ErrDeadlineExceeded):
			return s, buf
		default:
			return nil, buf
		}
	}
}

// whose is the line with the longest registration that buf begins with.
func (d *door) whose(buf []byte) (best *place) {
	d.mu.Lock()
	defer d.mu.Unlock()
	longest := 0
	for _, s := range d.slots {
		if s.listen.Registration.empty() && best == nil {
			best = s
		}
		if n := s.listen.Registration.match(buf); n > longest {
			best, longest = s, n
		}
	}
	return best
}

// arrive hands the connection over; false where the line has left meanwhile.
func (d *door) arrive(s *place, conn *net.TCPConn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Contains(d.slots, s) {
		return false
	}
	if s.conn != nil {
		_ = s.conn.TCPConn.Close() // the newest wins: of the older one the device knows nothing any more
	}
	s.conn, s.fresh = &dialled{conn, s}, true
	select {
	case s.arrived <- struct{}{}:
	default:
	}
	return true
}

func (d *door) refuse(from net.Addr, said []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refused = fmt.Sprintf("%s, which said nothing", from)
	if len(said) > 0 {
		said = said[:min(len(said), 32)]
		d.refused = fmt.Sprintf("%s, which said %q (hex:%s)", from, said, hex.EncodeToString(said))
	}
	if time.Since(d.logged) > refusalEvery && d.ctx.Err() == nil {
		d.logged = time.Now()
		d.log.Warn("a device with an unknown registration dialled in", "listen", d.ln.Addr().String(), "who", d.refused)
	}
}
