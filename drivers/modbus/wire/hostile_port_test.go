package wire_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"fieldgate/drivers/modbus/wire"
	"fieldgate/drivers/port"
	"fieldgate/drivers/port/porttest"
)

func TestH41PortVanishes(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"while reading", "while idle"} {
		t.Run(when, func(t *testing.T) {
			plug := porttest.NewPlug(t)
			plug.In() // nobody answers
			l := newLine(t, wire.Config{Kind: wire.RTU, Port: plug.Path(), Timeout: time.Hour, LateGuard: 20 * time.Millisecond,
				ReconnectMin: time.Millisecond, ReconnectMax: 10 * time.Millisecond})
			other := serve(t, wire.RTU, oneMeter())

			got := make(chan error, 1)
			if when == "while reading" {
				go func() { _, err := l.Do(t.Context(), read(0, 1)); got <- err }()
				waitFor(t, "the request to be sent", func() bool { return l.Stats().BytesOut > 0 })
				plug.Out()
			} else {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				l.Do(ctx, read(0, 1))
				cancel()
				plug.Out()
				go func() { _, err := l.Do(t.Context(), read(0, 1)); got <- err }()
			}
			select {
			case err := <-got:
				if !errors.Is(err, wire.ErrGone) || wire.Reason(err) != "port" {
					t.Errorf("got %v", err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("the request does not notice")
			}
			mustRead(t, other, 0, 1)

			dev := plug.In()
			s := oneMeter()
			run(t, func(ctx context.Context) error { return s.ServeRTU(ctx, dev) })
			eventually(t, l, 0, 1)
			if n := l.Stats().Reconnects; n == 0 {
				t.Error("no reconnect counted")
			}
		})
	}
}

func TestH43PortBusy(t *testing.T) {
	t.Parallel()
	dev := porttest.New(t)
	holder, err := port.Open(port.Config{Path: dev.Path()})
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	l := newLine(t, wire.Config{Name: "rs485-a", Kind: wire.RTU, Port: dev.Path()})
	_, err = do(t, l, read(0, 1))
	if !errors.Is(err, port.ErrBusy) || !errors.Is(err, wire.ErrGone) || !strings.Contains(err.Error(), "rs485-a") || !strings.Contains(err.Error(), dev.Path()) {
		t.Errorf("got %v", err)
	}
	if st := l.Stats(); st.Open || !strings.Contains(st.Error, "in use") {
		t.Errorf("stats %+v", st)
	}
}

func TestH44WriteBlocks(t *testing.T) {
	t.Parallel()
	each(t, []wire.Kind{wire.RTU, wire.ASCII, wire.TCP, wire.RTUOverTCP}, func(t *testing.T, kind wire.Kind) {
		near, far := net.Pipe() // takes nothing, for nobody reads
		defer far.Close()
		l := newLine(t, wire.Config{Kind: kind, Timeout: 50 * time.Millisecond, LateGuard: time.Millisecond,
			Open: func(context.Context) (wire.Conn, error) { return near, nil }})
		_, err := do(t, l, read(0, 1))
		if !errors.Is(err, wire.ErrGone) || !strings.Contains(err.Error(), "takes no bytes") {
			t.Errorf("got %v", err)
		}
	})
}

func TestH44ShutdownIsNotHeldUp(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer far.Close()
	opened := make(chan struct{})
	l := newLine(t, wire.Config{Kind: wire.RTU, Timeout: time.Hour, LateGuard: time.Millisecond,
		Open: func(context.Context) (wire.Conn, error) { close(opened); return near, nil }})
	got := make(chan error, 1)
	go func() { _, err := l.Do(context.Background(), read(0, 1)); got <- err }()
	<-opened
	time.Sleep(20 * time.Millisecond) // into the blocked write, most likely
	l.Close()
	select {
	case err := <-got:
		if !errors.Is(err, wire.ErrClosed) {
			t.Errorf("got %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("still blocked")
	}
	if _, err := l.Do(context.Background(), read(0, 1)); !errors.Is(err, wire.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestNoise is a line on which something talks all the time.
func TestNoise(t *testing.T) {
	t.Parallel()
	dev := porttest.New(t)
	run(t, func(ctx context.Context) error {
		for ctx.Err() == nil {
			if _, err := dev.Write([]byte{1, 3, 2, 0x55}); err != nil {
				return nil
			}
			time.Sleep(time.Millisecond)
		}
		return nil
	})
	run(t, func(context.Context) error { // the requests must not pile up either
		for buf := make([]byte, 64); ; {
			if _, err := dev.Read(buf); err != nil {
				return nil
			}
		}
	})
	l := newLine(t, wire.Config{Kind: wire.RTU, Port: dev.Path(), LateGuard: 50 * time.Millisecond, Timeout: 50 * time.Millisecond})
	_, err := do(t, l, read(0, 1))
	if err == nil || !errors.Is(err, wire.ErrCRC) && !errors.Is(err, wire.ErrTimeout) {
		t.Errorf("got %v", err)
	}
	dev.Close()
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
