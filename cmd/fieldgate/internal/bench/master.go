package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/goburrow/modbus"
	"golang.org/x/sys/unix"

	"fieldgate/drivers/modbus/wire"
	"fieldgate/drivers/port"
)

// MasterOptions say who polls what.
type MasterOptions struct {
	Who      string // "fieldgate" or "goburrow"
	Kind     string // "rtu" or "tcp"
	Target   string // a path, or host:port
	Baud     int    // of an RTU line, 8N1
	Quantity int    // holding registers from 0 on
	For      time.Duration
}

// MasterResult is what a master reached. The processor time is the process's
// own, so a master runs in a process of its own.
type MasterResult struct {
	Polls   int64   `json:"polls"`
	Failed  int64   `json:"failed"`
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu_s"`
}

const masterTimeout = 5 * time.Second

// Master polls as fast as it can, after one poll that nothing counts.
func Master(ctx context.Context, o MasterOptions) (MasterResult, error) {
	poll, end, err := o.open(ctx)
	if err != nil {
		return MasterResult{}, err
	}
	defer end()
	if err := o.once(poll); err != nil {
		return MasterResult{}, fmt.Errorf("first poll: %w", err)
	}
	var r MasterResult
	used, began := processTime(), time.Now()
	for time.Since(began) < o.For && ctx.Err() == nil {
		if o.once(poll) == nil {
			r.Polls++
		} else {
			r.Failed++
		}
	}
	r.Seconds, r.CPU = time.Since(began).Seconds(), (processTime() - used).Seconds()
	return r, ctx.Err()
}

// processTime is the processor time of this process, to the microsecond.
func processTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err) // our own arguments are right
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (o MasterOptions) open(ctx context.Context) (poll func() ([]byte, error), end func() error, err error) {
	switch o.Who + " " + o.Kind {
	case "fieldgate rtu", "fieldgate tcp":
		cfg := wire.Config{Name: "bench", Kind: wire.TCP, Address: o.Target, Timeout: masterTimeout}
		if o.Kind == "rtu" {
			cfg = wire.Config{Name: "bench", Kind: wire.RTU, Port: o.Target, Baud: o.Baud, Mode: port.Mode8N1, Timeout: masterTimeout}
		}
		line := wire.New(cfg)
		req := wire.Request{Unit: 1, Function: modbus.FuncCodeReadHoldingRegisters, Quantity: uint16(o.Quantity)}
		return func() ([]byte, error) {
			reply, err := line.Do(ctx, req)
			return reply.Data, err
		}, line.Close, nil
	case "goburrow rtu":
		h := modbus.NewRTUClientHandler(o.Target)
		h.BaudRate, h.DataBits, h.Parity, h.StopBits, h.SlaveId, h.Timeout = o.Baud, 8, "N", 1, 1, masterTimeout
		return goburrow(modbus.NewClient(h), o.Quantity), h.Close, h.Connect()
	case "goburrow tcp":
		h := modbus.NewTCPClientHandler(o.Target)
		h.SlaveId, h.Timeout = 1, masterTimeout
		return goburrow(modbus.NewClient(h), o.Quantity), h.Close, h.Connect()
	}
	return nil, nil, fmt.Errorf("master %q on %q: fieldgate or goburrow, rtu or tcp", o.Who, o.Kind)
}

func goburrow(c modbus.Client, quantity int) func() ([]byte, error) {
	return func() ([]byte, error) { return c.ReadHoldingRegisters(0, uint16(quantity)) }
}

var errValue = errors.New("a register reads what it does not hold")

// once polls and checks every value: register i holds i + 1000.
func (o MasterOptions) once(poll func() ([]byte, error)) error {
	data, err := poll()
	if err != nil {
		return err
	}
	if len(data) != 2*o.Quantity {
		return errValue
	}
	for i := range o.Quantity {
		if int(binary.BigEndian.Uint16(data[2*i:])) != i+1000 {
			return errValue
		}
	}
	return nil
}
