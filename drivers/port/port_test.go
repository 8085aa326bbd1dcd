package port_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldgate/drivers/port"
	"fieldgate/drivers/port/porttest"
)

func open(t *testing.T, cfg port.Config) *port.Port {
	t.Helper()
	p, err := port.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestBytesBothWays(t *testing.T) {
	dev := porttest.New(t)
	p := open(t, port.Config{Path: dev.Path(), Baud: 19200, Mode: port.Mode{DataBits: 8, Parity: 'E', StopBits: 1}, LowLatency: true})
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i) // raw mode must not touch XON, CR, NUL or 0x7F
	}
	for _, way := range []struct {
		name string
		to   interface{ Write([]byte) (int, error) }
		from interface {
			Read([]byte) (int, error)
			SetReadDeadline(time.Time) error
		}
	}{{"to the device", p, dev}, {"from the device", dev, p}} {
		if _, err := way.to.Write(all); err != nil {
			t.Fatalf("%s: %v", way.name, err)
		}
		way.from.SetReadDeadline(time.Now().Add(20 * time.Second))
		var got []byte
		buf := make([]byte, 64)
		for len(got) < len(all) {
			n, err := way.from.Read(buf)
			if err != nil {
				t.Fatalf("%s: %v after %d bytes", way.name, err, len(got))
			}
			got = append(got, buf[:n]...)
		}
		if !bytes.Equal(got, all) {
			t.Errorf("%s: got % x", way.name, got)
		}
	}
}

func TestReadEnds(t *testing.T) {
	t.Run("at its deadline", func(t *testing.T) {
		p := open(t, port.Config{Path: porttest.New(t).Path()})
		p.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := p.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want a deadline error", err)
		}
	})
	for name, end := range map[string]func(p *port.Port, plug *porttest.Plug){
		"with Close":     func(p *port.Port, _ *porttest.Plug) { p.Close() },
		"with an unplug": func(_ *port.Port, plug *porttest.Plug) { plug.Out() },
	} {
		t.Run(name, func(t *testing.T) {
			plug := porttest.NewPlug(t)
			plug.In()
			p := open(t, port.Config{Path: plug.Path()})
			got := make(chan error, 1)
			go func() { _, err := p.Read(make([]byte, 1)); got <- err }()
			end(p, plug)
			select {
			case err := <-got:
				if name == "with Close" && !errors.Is(err, os.ErrClosed) || name != "with Close" && !errors.Is(err, port.ErrGone) {
					t.Errorf("got %v", err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("Read is still waiting")
			}
		})
	}
}

func TestH41H42UnplugAndReplug(t *testing.T) {
	plug := porttest.NewPlug(t)
	plug.In()
	p := open(t, port.Config{Path: plug.Path()})
	plug.Out()
	if _, err := p.Write([]byte("x")); !errors.Is(err, port.ErrGone) {
		t.Errorf("write to an unplugged port: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("close an unplugged port: %v", err)
	}
	if _, err := port.Open(port.Config{Path: plug.Path()}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("open an unplugged port: %v", err)
	}
	dev := plug.In() // H42: another number behind the same name
	again := open(t, port.Config{Path: plug.Path()})
	if again.Node() != dev.Path() {
		t.Errorf("node %s, want %s", again.Node(), dev.Path())
	}
}

func TestH43BusyNamesTheHolder(t *testing.T) {
	dev := porttest.New(t)
	open(t, port.Config{Path: dev.Path(), Baud: 19200})
	_, err := port.Open(port.Config{Path: dev.Path(), Baud: 300})
	var oe *port.OpenError
	if !errors.Is(err, port.ErrBusy) || !errors.As(err, &oe) || oe.Holder == nil || oe.Holder.PID != os.Getpid() {
		t.Fatalf("got %v", err)
	}
	if text := err.Error(); !strings.Contains(text, dev.Path()) || !strings.Contains(text, "this program itself") {
		t.Errorf("text %q", text)
	}
}

func TestOpenErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	for _, tc := range []struct {
		name string
		cfg  port.Config
		want []string
	}{
		{"missing", port.Config{Path: "/dev/ttyNone7"}, []string{"/dev/ttyNone7", "no such port", "fieldgate ports"}},
		{"a file", port.Config{Path: file}, []string{file, "not a serial port"}},
		{"no RS-485 in the driver", port.Config{Path: porttest.New(t).Path(), RS485: &port.RS485{}}, []string{"no RS-485 mode", "driver"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := port.Open(tc.cfg)
			if err == nil {
				p.Close()
				t.Fatal("it opened")
			}
			for _, w := range tc.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
		})
	}
}

func TestH44WriteIsBounded(t *testing.T) {
	dev := porttest.New(t) // nobody reads: the tty fills up
	p := open(t, port.Config{Path: dev.Path()})
	p.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := p.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	ctx, done := context.WithTimeout(t.Context(), 20*time.Second)
	go func() { p.Close(); done() }()
	<-ctx.Done()
	if context.Cause(ctx) != context.Canceled {
		t.Error("Close waited for a dead line")
	}
}

func TestUseAfterClose(t *testing.T) {
	p := open(t, port.Config{Path: porttest.New(t).Path()})
	p.Close()
	if err := p.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	_, werr := p.Write([]byte("x"))
	for name, err := range map[string]error{"Write": werr, "SetMode": p.SetMode(300, port.Mode8N1), "SetDTR": p.SetDTR(true), "Drain": p.Drain()} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestModemLinesAreOptional(t *testing.T) {
	low := false
	p := open(t, port.Config{Path: porttest.New(t).Path(), DTR: &low})
	if len(p.Notes()) != 1 || !strings.Contains(p.Notes()[0], "DTR") {
		t.Errorf("notes %q", p.Notes())
	}
}

func TestFlushInput(t *testing.T) {
	dev := porttest.New(t)
	p := open(t, port.Config{Path: dev.Path()})
	dev.Write([]byte("old"))
	if err := p.FlushInput(); err != nil {
		t.Fatal(err)
	}
	dev.Write([]byte("new"))
	buf := make([]byte, 16)
	p.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := p.Read(buf); string(buf[:n]) != "new" {
		t.Errorf("got %q, %v", buf[:n], err)
	}
}
