package wire_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goburrow/modbus"

	"fieldgate/drivers/modbus/server"
	"fieldgate/drivers/modbus/wire"
)

// network stands between a line and a device and treats datagrams as real
// ones do. Each asker has a port of its own towards the device, as with NAT.
//
// sticky makes it a serial server that answers whoever asked last, not whoever
// asked the question.
type network struct {
	sticky  bool
	request func(n int) []time.Duration // when to pass on the n-th request, counted from 1: nil loses it, two entries double it
	answer  func(n int) []time.Duration

	front   net.PacketConn
	device  *net.UDPAddr
	readers sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	last     net.Addr
	askers   []asker // the newest; older ones are given up
	requests int
	answers  int
}

type asker struct {
	from net.Addr
	back *net.UDPConn
}

const maxAskers = 32

// start puts the network in front of a device and returns its address.
func (n *network) start(t *testing.T, device *net.UDPAddr) string {
	n.front, n.device = listenUDP(t), device
	run(t, func(ctx context.Context) error {
		defer n.readers.Wait()
		defer context.AfterFunc(ctx, n.close)()
		n.requestsOn()
		return nil
	})
	return n.front.LocalAddr().String()
}

func (n *network) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	n.front.Close()
	for _, a := range n.askers {
		a.back.Close()
	}
}

func (n *network) requestsOn() {
	buf := make([]byte, 1024)
	for {
		size, from, err := n.front.ReadFrom(buf)
		if err != nil {
			return
		}
		n.pass(n.request, &n.requests, slices.Clone(buf[:size]), func(b []byte) {
			if back := n.towards(from); back != nil {
				back.Write(b)
			}
		})
	}
}

// towards is the asker's port; nil once the network is closed.
func (n *network) towards(from net.Addr) *net.UDPConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	n.last = from
	for _, a := range n.askers {
		if a.from.String() == from.String() {
			return a.back
		}
	}
	back, err := net.DialUDP("udp", nil, n.device)
	if err != nil {
		return nil
	}
	if n.askers = append(n.askers, asker{from, back}); len(n.askers) > maxAskers {
		n.askers[0].back.Close()
		n.askers = n.askers[1:]
	}
	n.readers.Go(func() { n.answersTo(from, back) })
	return back
}

func (n *network) answersTo(from net.Addr, back *net.UDPConn) {
	buf := make([]byte, 1024)
	for {
		size, err := back.Read(buf)
		if err != nil {
			return
		}
		n.pass(n.answer, &n.answers, slices.Clone(buf[:size]), func(b []byte) {
			to := from
			if n.sticky {
				n.mu.Lock()
				to = n.last
				n.mu.Unlock()
			}
			n.front.WriteTo(b, to)
		})
	}
}

// pass sends now or later, not at all or twice.
func (n *network) pass(fate func(int) []time.Duration, count *int, b []byte, send func([]byte)) {
	times := []time.Duration{0}
	n.mu.Lock()
	if *count++; fate != nil {
		times = fate(*count)
	}
	n.mu.Unlock()
	for _, d := range times {
		if d == 0 {
			send(b)
			continue
		}
		time.AfterFunc(d, func() { send(b) })
	}
}

// through is a line to a device with a network between them.
func through(t *testing.T, n *network, s *server.Server, change ...func(*wire.Config)) *wire.Line {
	t.Helper()
	return serve(t, wire.RTUOverUDP, s, append(change, func(c *wire.Config) {
		device, err := net.ResolveUDPAddr("udp", c.Address)
		if err != nil {
			t.Fatal(err)
		}
		c.Address = n.start(t, device)
	})...)
}

func at(d ...time.Duration) []time.Duration { return d }

func TestUDPLostDatagrams(t *testing.T) {
	t.Parallel()
	n := &network{
		request: func(n int) []time.Duration { return map[bool][]time.Duration{false: at(0)}[n == 2] },
		answer:  func(n int) []time.Duration { return map[bool][]time.Duration{false: at(0)}[n == 2] },
	}
	s := oneMeter()
	l := through(t, n, s)
	mustRead(t, l, 0, 1)
	if _, err := do(t, l, short(read(1, 1))); !errors.Is(err, wire.ErrTimeout) {
		t.Errorf("lost request: %v", err)
	}
	if _, err := do(t, l, short(read(2, 2))); !errors.Is(err, wire.ErrTimeout) {
		t.Errorf("lost answer: %v", err)
	}
	mustRead(t, l, 3, 3)
}

// TestUDPLostAnswerToAWrite: the unit has executed it, so it must neither be
// reported as done nor be sent again.
func TestUDPLostAnswerToAWrite(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	writes := 0
	s := oneMeter()
	s.Fault = func(c server.Call) server.Fault {
		if c.Function != modbus.FuncCodeWriteSingleRegister {
			return server.Fault{}
		}
		mu.Lock()
		defer mu.Unlock()
		writes++
		return server.Fault{}
	}
	lost := &network{answer: func(n int) []time.Duration { return map[bool][]time.Duration{false: at(0)}[n == 2] }}
	l := through(t, lost, s, func(c *wire.Config) { c.Retries = 3 })
	mustRead(t, l, 0, 1)
	if _, err := do(t, l, short(write(190, 7))); !errors.Is(err, wire.ErrTimeout) {
		t.Errorf("got %v", err)
	}
	mustRead(t, l, 1, 2)
	mu.Lock()
	defer mu.Unlock()
	if writes != 1 {
		t.Errorf("the write was sent %d times", writes)
	}
}

// TestUDPAnswersTwiceAndLate: every answer comes a second time, during a later
// request that asks for another register of the same shape.
func TestUDPAnswersTwiceAndLate(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	n := &network{answer: func(int) []time.Duration { return at(0, time.Duration(1+r.IntN(20))*time.Millisecond) }}
	l := through(t, n, oneMeter())
	for i := range uint16(100) {
		mustRead(t, l, i, 1)
	}
}

// TestUDPAnswersOutOfOrder: an answer comes after its time-out and after the
// answers to the requests that follow.
func TestUDPAnswersOutOfOrder(t *testing.T) {
	t.Parallel()
	n := &network{answer: func(n int) []time.Duration {
		if n%4 == 2 {
			return at(150 * time.Millisecond)
		}
		return at(0)
	}}
	l := through(t, n, oneMeter(), func(c *wire.Config) { c.LateGuard = time.Millisecond })
	good := 0
	for i := range uint16(60) {
		req := read(i, 1)
		req.Timeout = 20 * time.Millisecond
		if reply, err := do(t, l, req); err == nil {
			checkValues(t, i, 1, reply.Data)
			good++
		}
	}
	t.Logf("%d good; %+v", good, l.Stats())
	eventually(t, l, 99, 1)
}

// TestUDPServerAnswersWhoAskedLast: a late answer reaches the new port.
func TestUDPServerAnswersWhoAskedLast(t *testing.T) {
	t.Parallel()
	s := oneMeter()
	s.Fault = func(c server.Call) server.Fault {
		if c.Number%3 == 2 {
			return server.Fault{Delay: 60 * time.Millisecond}
		}
		return server.Fault{}
	}
	l := through(t, &network{sticky: true}, s, func(c *wire.Config) { c.LateGuard = time.Millisecond })
	for i := range uint16(40) {
		req := read(i, 1)
		req.Timeout = 30 * time.Millisecond
		if reply, err := do(t, l, req); err == nil {
			checkValues(t, i, 1, reply.Data)
		}
	}
	eventually(t, l, 99, 1)
}

func TestUDPNobodyListens(t *testing.T) {
	t.Parallel()
	socket := listenUDP(t)
	socket.Close()
	l := newLine(t, wire.Config{Kind: wire.RTUOverUDP, Address: socket.LocalAddr().String(), LateGuard: time.Millisecond, Timeout: patience})
	_, err := do(t, l, read(0, 1))
	if !errors.Is(err, wire.ErrGone) || !strings.Contains(err.Error(), "nobody listens on this UDP port") {
		t.Errorf("got %v", err)
	}
}

// TestUDPOddDatagrams: empty ones, oversized ones, and an answer in pieces.
func TestUDPOddDatagrams(t *testing.T) {
	t.Parallel()
	socket := listenUDP(t)
	run(t, func(ctx context.Context) error {
		defer context.AfterFunc(ctx, func() { socket.Close() })()
		buf := make([]byte, 1024)
		for {
			_, from, err := socket.ReadFrom(buf)
			if err != nil {
				return nil
			}
			address := int(buf[2])<<8 | int(buf[3])
			value := address + 1000
			packager := &modbus.RTUClientHandler{}
			packager.SlaveId = 1
			frame, err := packager.Encode(&modbus.ProtocolDataUnit{FunctionCode: 3, Data: []byte{2, byte(value >> 8), byte(value)}})
			if err != nil {
				return err
			}
			socket.WriteTo(nil, from)
			if address%2 == 1 {
				socket.WriteTo(make([]byte, 900), from)
			}
			socket.WriteTo(frame[:3], from)
			socket.WriteTo(nil, from)
			socket.WriteTo(frame[3:], from)
		}
	})
	l := newLine(t, wire.Config{Kind: wire.RTUOverUDP, Address: socket.LocalAddr().String(), Timeout: patience, LateGuard: time.Millisecond})
	for i := range uint16(20) {
		mustRead(t, l, i, 1)
	}
}
