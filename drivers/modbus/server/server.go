package server

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Server answers for one or more units. Its fields must not change while it serves.
type Server struct {
	Units map[byte]Bank
	Any   Bank // stands for every unit that is not in Units; nil: nobody there

	// Gateway makes TCP answer for missing units as a gateway does, with
	// exception 11. Otherwise, and on serial lines always, there is silence.
	Gateway bool

	// Functions adds function codes or replaces the built-in ones. The
	// argument and the result are what follows the function code.
	Functions map[byte]func(unit byte, data []byte) ([]byte, error)

	Identity [3]string // vendor, product, version for 0x2B/0x0E; product also for 0x11
	Fault    func(Call) Fault
	Echo     bool // serial lines return what they receive, as two-wire adapters do
	Pace     Pace // of serial lines and RTU over TCP

	MaxClients int // TCP: further connections are accepted and closed; 0: no limit

	calls atomic.Int64
	execs atomic.Int64
}

// Calls is the number of requests received so far.
func (s *Server) Calls() int { return int(s.calls.Load()) }

// Executed is the number of requests that reached a bank.
func (s *Server) Executed() int { return int(s.execs.Load()) }

// ServeTCP speaks Modbus TCP on a listener until ctx ends; then it closes the
// listener and all connections and returns nil once their goroutines are gone.
func (s *Server) ServeTCP(ctx context.Context, ln net.Listener) error {
	return s.accept(ctx, ln, s.talkTCP)
}

// ServeRTUOverTCP speaks RTU frames on a listener, as a serial server does.
func (s *Server) ServeRTUOverTCP(ctx context.Context, ln net.Listener) error {
	return s.accept(ctx, ln, func(ctx context.Context, c io.ReadWriter) error { return s.talkSerial(ctx, c, rtuRequests{}) })
}

// ServeRTU speaks RTU on a line until ctx ends or the line fails. Where rw is
// an io.Closer, the end of ctx closes it, because nothing else ends a read.
func (s *Server) ServeRTU(ctx context.Context, rw io.ReadWriter) error {
	return s.onLine(ctx, rw, rtuRequests{})
}

// ServeASCII speaks Modbus ASCII on a line; see ServeRTU.
func (s *Server) ServeASCII(ctx context.Context, rw io.ReadWriter) error {
	return s.onLine(ctx, rw, asciiRequests{})
}

func (s *Server) onLine(ctx context.Context, rw io.ReadWriter, r requests) error {
	if c, ok := rw.(io.Closer); ok {
		defer context.AfterFunc(ctx, func() { c.Close() })()
	}
	err := s.talkSerial(ctx, rw, r)
	if ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, errHangUp) {
		return nil
	}
	return err
}

func (s *Server) accept(ctx context.Context, ln net.Listener, talk func(context.Context, io.ReadWriter) error) error {
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	var wg sync.WaitGroup
	defer wg.Wait()
	var clients atomic.Int64
	for {
		conn, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if s.MaxClients > 0 && clients.Load() >= int64(s.MaxClients) {
			conn.Close()
			continue
		}
		clients.Add(1)
		wg.Go(func() {
			defer clients.Add(-1)
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			// However a client ends, the others are served.
			_ = talk(ctx, conn)
		})
	}
}

// errHangUp ends a connection because a Fault asked for it.
var errHangUp = errors.New("hung up")

// answer executes a request. ok is false where nothing is to be said.
func (s *Server) answer(ctx context.Context, unit, function byte, data []byte, serial bool) (a Answer, f Fault, ok bool, err error) {
	n := s.calls.Add(1)
	if s.Fault != nil {
		f = s.Fault(Call{Number: int(n), Unit: unit, Function: function, Data: data})
	}
	switch {
	case f.Close:
		return a, f, false, errHangUp
	case f.Drop:
		return a, f, false, pause(ctx, f.Delay)
	}
	a = Answer{Unit: unit, Function: function}
	reply, failed := s.execute(unit, function, data, serial, f)
	if errors.Is(failed, errNobody) {
		return a, f, false, nil
	}
	if failed != nil {
		a.Function |= 0x80
		reply = []byte{code(failed)}
	}
	a.Data = reply
	if err := pause(ctx, f.Delay); err != nil {
		return a, f, false, err
	}
	return a, f, !f.Silent && !(serial && unit == 0), nil
}

var errNobody = errors.New("no such unit")

func code(err error) byte {
	var ex Exception
	if errors.As(err, &ex) {
		return byte(ex)
	}
	return byte(DeviceFailure)
}

func (s *Server) execute(unit, function byte, data []byte, serial bool, f Fault) ([]byte, error) {
	if f.Exception != 0 {
		return nil, Exception(f.Exception)
	}
	if do := s.Functions[function]; do != nil {
		return do(unit, data)
	}
	if serial && unit == 0 {
		for u, b := range s.Units {
			_, _ = s.serve(b, u, function, data) // nobody answers a broadcast, not even with an exception
		}
		return nil, nil
	}
	bank := s.Units[unit]
	if bank == nil {
		bank = s.Any
	}
	if bank == nil {
		if s.Gateway && !serial {
			return nil, NoAnswer
		}
		return nil, errNobody
	}
	return s.serve(bank, unit, function, data)
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
