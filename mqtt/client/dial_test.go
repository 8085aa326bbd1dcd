package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldgate/mqtt"
	"fieldgate/mqtt/mqtttest"
	"fieldgate/mqtt/packet"
)

// attemptsOf dials brokers that know only some versions, and returns the
// versions that were tried.
func attemptsOf(t *testing.T, cfg Config, answer func(*mqtttest.Peer, *packet.Connect)) (tried []try, c *Conn, err error) {
	var mu sync.Mutex
	cfg.URL, cfg.ClientID = "mqtt://h", "c"
	cfg.Dialer = mqtttest.Pipe(t, func(p *mqtttest.Peer) {
		hello := mqtttest.Expect[*packet.Connect](p)
		mu.Lock()
		tried = append(tried, try{hello.Version, hello.Bridge})
		mu.Unlock()
		answer(p, hello)
	})
	c, err = Dial(context.Background(), cfg)
	if err == nil {
		t.Cleanup(func() { _ = c.Close() })
	}
	mu.Lock()
	defer mu.Unlock()
	return tried, c, err
}

// swallow reads and never answers.
func swallow(p *mqtttest.Peer) {
	_ = p.Conn.SetDeadline(time.Time{})
	_, _ = io.Copy(io.Discard, p.Conn)
}

func accept(p *mqtttest.Peer) {
	p.Send(&packet.Connack{})
	p.ExpectClosed()
}

func TestFallback(t *testing.T) {
	v5, v4, v4b := try{mqtt.V5, false}, try{mqtt.V311, false}, try{mqtt.V311, true}
	older := map[string]func(*mqtttest.Peer){
		"refuses in 5.0":     func(p *mqtttest.Peer) { p.Send(&packet.Connack{Reason: mqtt.UnsupportedProtocolVersion}) },
		"refuses in 3.1.1":   func(p *mqtttest.Peer) { p.SendRaw("\x20\x02\x00\x01") },
		"closes":             func(*mqtttest.Peer) {},
		"accepts in 3.1.1":   func(p *mqtttest.Peer) { p.SendRaw("\x20\x02\x00\x00") },
		"answers gibberish":  func(p *mqtttest.Peer) { p.SendRaw("\x20\x03\x00\x00\x55") },
		"answers PINGRESP":   func(p *mqtttest.Peer) { p.SendRaw("\xD0\x00") },
		"closes in a packet": func(p *mqtttest.Peer) { p.SendRaw("\x20\x09\x00") },
	}
	for what, no := range older {
		t.Run(what, func(t *testing.T) {
			tried, c, err := attemptsOf(t, Config{Fallback: true}, func(p *mqtttest.Peer, c *packet.Connect) {
				if c.Version == mqtt.V5 {
					no(p)
					return
				}
				accept(p)
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]try{v5, v4}, tried, cmp.AllowUnexported(try{})); diff != "" || c.Limits().Version != mqtt.V311 {
				t.Errorf("version %d, %s", c.Limits().Version, diff)
			}
			if _, _, err := attemptsOf(t, Config{}, func(p *mqtttest.Peer, _ *packet.Connect) { no(p) }); err == nil {
				t.Error("without Fallback: accepted")
			}
		})
	}
	bridge := func(p *mqtttest.Peer, c *packet.Connect) {
		if c.Version == mqtt.V5 || c.Bridge {
			p.SendRaw("\x20\x02\x00\x01")
			return
		}
		accept(p)
	}
	for _, c := range []struct {
		cfg  Config
		want []try
	}{
		{Config{Fallback: true, Bridge: true}, []try{v5, v4b, v4}},
		{Config{Fallback: true, Bridge: true, Version: mqtt.V311}, []try{v4b, v4}},
		{Config{Fallback: true, Version: mqtt.V311}, []try{v4}},
		{Config{Fallback: true, Version: mqtt.V31}, []try{{mqtt.V31, false}}},
	} {
		tried, _, err := attemptsOf(t, c.cfg, bridge)
		if diff := cmp.Diff(c.want, tried, cmp.AllowUnexported(try{})); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
	}
}

// What a lower version would not mend is not tried again.
func TestNoFallback(t *testing.T) {
	for _, reason := range []mqtt.ReasonCode{mqtt.BadUserNameOrPassword, mqtt.NotAuthorized, mqtt.ServerBusy, mqtt.ClientIDNotValid} {
		tried, _, err := attemptsOf(t, Config{Fallback: true}, func(p *mqtttest.Peer, _ *packet.Connect) {
			p.Send(&packet.Connack{Reason: reason, Props: packet.ConnackProps{ReasonString: "because", ServerReference: "other"}})
			p.ExpectClosed()
		})
		var r *Refused
		if len(tried) != 1 || !errors.As(err, &r) || r.Reason != reason || r.Text != "because" || r.Reference != "other" {
			t.Errorf("%s: %d attempts, %v", reason, len(tried), err)
		}
	}
}

// A broker that closes whatever is said: the error is that of the first try.
func TestFallbackFails(t *testing.T) {
	tried, _, err := attemptsOf(t, Config{Fallback: true}, func(*mqtttest.Peer, *packet.Connect) {})
	var d *DialError
	if len(tried) != 2 || !errors.As(err, &d) || d.Step != StepMQTT || !strings.Contains(d.Remedy, "client id") {
		t.Errorf("%d attempts, %v", len(tried), err)
	}
	_, _, err = attemptsOf(t, Config{Fallback: true}, func(p *mqtttest.Peer, c *packet.Connect) {
		if c.Version == mqtt.V311 {
			p.SendRaw("\x20\x02\x00\x05")
		}
	})
	wantReason(t, "closes 5.0, refuses 3.1.1", err, mqtt.NotAuthorized)
}

// Every refusal has its remedy.
func TestRefusals(t *testing.T) {
	for code := range 256 {
		reason := mqtt.ReasonCode(code)
		if _, err := (&packet.Connack{Reason: reason}).Append(nil, mqtt.V5); err != nil || !reason.Failed() {
			continue
		}
		_, _, err := attemptsOf(t, Config{}, func(p *mqtttest.Peer, _ *packet.Connect) {
			p.Send(&packet.Connack{Reason: reason})
		})
		var d *DialError
		if !errors.As(err, &d) || d.Step != StepMQTT || d.Remedy == "" || !errors.Is(err, reason) {
			t.Errorf("%s: %v", reason, err)
		}
	}
	for code, reason := range map[string]mqtt.ReasonCode{
		"\x01": mqtt.UnsupportedProtocolVersion, "\x02": mqtt.ClientIDNotValid, "\x03": mqtt.ServerUnavailable,
		"\x04": mqtt.BadUserNameOrPassword, "\x05": mqtt.NotAuthorized,
	} {
		_, _, err := attemptsOf(t, Config{Version: mqtt.V311}, func(p *mqtttest.Peer, _ *packet.Connect) { p.SendRaw("\x20\x02\x00" + code) })
		wantReason(t, "return code "+code, err, reason)
	}
}

// closedPort is an address where nothing listens, and nobody else can before
// the test's end: a socket holds it.
func closedPort(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
}

// serveSSH is a server of something else. It closes in an order that lets
// its words arrive: a close with bytes unread would reset the connection.
func serveSSH(t *testing.T) *mqtttest.Server {
	return mqtttest.Serve(t, func(p *mqtttest.Peer) {
		_, _ = p.Conn.Read(make([]byte, 1))
		p.SendRaw("SSH-2.0-OpenSSH\r\n")
		_ = p.Conn.(*net.TCPConn).CloseWrite()
		swallow(p)
	})
}

// wantStep dials what must fail in a step with a remedy.
func wantStep(t *testing.T, cfg Config, step Step, remedy string) {
	t.Helper()
	conn, err := Dial(context.Background(), cfg)
	var d *DialError
	if !errors.As(err, &d) || d.Step != step || !strings.Contains(d.Remedy, remedy) || conn != nil {
		t.Fatalf("%v\nremedy %q, want step %s and %q", err, d.Remedy, step, remedy)
	}
	if d.Address == "" || !strings.Contains(d.Error(), string(d.Step)) {
		t.Errorf("error %q", d)
	}
}

// Each step's failure is told apart, with a remedy.
func TestDialSteps(t *testing.T) {
	dialer := func(err error) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) { return nil, err }
	}
	closed, speaking := closedPort(t), serveSSH(t).Address()
	for _, c := range []struct {
		what   string
		cfg    Config
		step   Step
		remedy string
	}{
		{"unknown host", Config{URL: "mqtt://h", Dialer: dialer(&net.OpError{Op: "dial", Err: &net.DNSError{Name: "h", Err: "no such host", IsNotFound: true}})}, StepDNS, "spelling"},
		{"no name server", Config{URL: "mqtt://h", Dialer: dialer(&net.DNSError{Name: "h", Err: "refused"})}, StepDNS, "name server"},
		{"closed port", Config{URL: "mqtt://" + closed}, StepTCP, "nothing listens"},
		{"no socket", Config{URL: "unix:///nowhere/socket"}, StepTCP, "path of the socket"},
		{"no route", Config{URL: "mqtt://h", Dialer: dialer(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)})}, StepTCP, "default route"},
		{"other", Config{URL: "mqtt://h", Dialer: dialer(errors.New("odd"))}, StepTCP, "link"},
		{"no TLS", Config{URL: "mqtts://" + speaking}, StepTLS, "does not speak TLS"},
		{"no MQTT", Config{URL: "mqtt://" + speaking}, StepMQTT, "broker"},
		{"no WebSocket", Config{URL: "ws://" + speaking}, StepWebSocket, "path"},
		{"no proxy", Config{URL: "mqtt://h", Proxy: "http://" + closed}, StepTCP, "nothing listens"},
		{"not a proxy", Config{URL: "mqtt://h", Proxy: "http://" + speaking}, StepProxy, "proxy"},
		{"not a SOCKS proxy", Config{URL: "mqtt://h", Proxy: "socks5://" + speaking}, StepProxy, "proxy"},
	} {
		t.Run(c.what, func(t *testing.T) { wantStep(t, c.cfg, c.step, c.remedy) })
	}
}

// A peer that accepts and says nothing ends the step that it is silent in, when
// the time for all of them is over.
func TestDialSilence(t *testing.T) {
	for _, c := range []struct {
		what   string
		cfg    Config
		step   Step
		remedy string
	}{
		{"instead of TLS", Config{URL: "mqtts://h"}, StepTLS, "may not speak TLS"},
		{"instead of MQTT", Config{URL: "mqtt://h"}, StepMQTT, "does not answer"},
		{"instead of WebSocket", Config{URL: "ws://h"}, StepWebSocket, "path"},
		{"instead of a proxy", Config{URL: "mqtt://h", Proxy: "http://p"}, StepProxy, "proxy"},
		{"instead of a SOCKS proxy", Config{URL: "mqtt://h", Proxy: "socks5://p"}, StepProxy, "proxy"},
	} {
		t.Run(c.what, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				c.cfg.Dialer, c.cfg.ConnectTimeout = mqtttest.Pipe(t, swallow), 7*time.Second
				start := time.Now()
				wantStep(t, c.cfg, c.step, c.remedy)
				if took := time.Since(start); took != c.cfg.ConnectTimeout {
					t.Errorf("took %s", took)
				}
			})
		})
	}
}

// The context ends whatever step Dial is in.
func TestDialCancel(t *testing.T) {
	gone := errors.New("gone home")
	for _, url := range []string{"mqtt://", "mqtts://", "ws://"} {
		ctx, cancel := context.WithCancelCause(context.Background())
		silent := mqtttest.Serve(t, func(p *mqtttest.Peer) {
			_, _ = p.Conn.Read(make([]byte, 1)) // Dial is in the step when it has begun to speak
			cancel(gone)
			swallow(p)
		})
		if _, err := Dial(ctx, Config{URL: url + silent.Address()}); !errors.Is(err, gone) {
			t.Errorf("%s: %v", url, err)
		}
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	_, err := Dial(ctx, Config{URL: "mqtt://h", Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) {
		cancel(gone)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	if !errors.Is(err, gone) {
		t.Errorf("the connection itself: %v", err)
	}
}

func TestSessionBusy(t *testing.T) {
	s := NewSession()
	cfg := script(t, nil, func(p *mqtttest.Peer) { p.ExpectClosed() })
	cfg.Session = s
	c := mustDial(t, cfg)
	if _, err := Dial(context.Background(), cfg); !errors.Is(err, errSessionBusy) {
		t.Errorf("second connection: %v", err)
	}
	_ = c.Close()
	mustDial(t, cfg)
}
