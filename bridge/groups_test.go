package bridge

import (
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"fieldgate/configs/conf"
)

func TestParseGroups(t *testing.T) {
	ids, err := parseGroups([]string{"X25519", "p256"})
	if err != nil || !slices.Equal(ids, []tls.CurveID{tls.X25519, tls.CurveP256}) {
		t.Errorf("%v %v", ids, err)
	}
	if ids, err := parseGroups(nil); ids != nil || err != nil {
		t.Errorf("none: %v %v", ids, err)
	}
	if _, err := parseGroups([]string{"x448"}); err == nil || !strings.Contains(err.Error(), "x448") {
		t.Errorf("x448: %v", err)
	}
	var codes []string
	Config{Name: "up", URL: "mqtts://a.example", TLS: TLS{Groups: []string{"x448"}}}.Validate(func(p conf.Problem) { codes = append(codes, p.Key+" "+p.Help) })
	if len(codes) != 1 || !strings.HasPrefix(codes[0], "tls.groups") || !strings.Contains(codes[0], "x25519mlkem768") {
		t.Errorf("check says %q", codes)
	}
}

// TestMeteredHandshake: a metered upstream offers x25519 alone, and its first
// flight is smaller by a post-quantum key share. tls.groups goes before.
func TestMeteredHandshake(t *testing.T) {
	type hello struct {
		size   int
		curves []tls.CurveID
	}
	offer := func(cfg Config) hello {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		got := make(chan hello, 1)
		go func() {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(patience))
			counted := &counting{Conn: nc}
			server := tls.Server(counted, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
				select {
				case got <- hello{counted.n, slices.Clone(h.SupportedCurves)}:
				default:
				}
				return nil, net.ErrClosed
			}})
			_ = server.Handshake()
		}()
		cfg.URL = "mqtts://" + l.Addr().String()
		cfg.TLS.Insecure = true
		r := newRig(t, cfg)
		r.run()
		defer r.stop()
		select {
		case h := <-got:
			return h
		case <-time.After(patience):
			t.Fatal("no ClientHello")
			return hello{}
		}
	}
	usual, metered := offer(Config{}), offer(Config{Metered: true})
	if !slices.Equal(metered.curves, []tls.CurveID{tls.X25519}) {
		t.Errorf("metered offers %v", metered.curves)
	}
	if !slices.Contains(usual.curves, tls.X25519MLKEM768) || usual.size < metered.size+1000 {
		t.Errorf("usual %d bytes with %v, metered %d", usual.size, usual.curves, metered.size)
	}
	if own := offer(Config{Metered: true, TLS: TLS{Groups: []string{"p256"}}}); !slices.Equal(own.curves, []tls.CurveID{tls.CurveP256}) {
		t.Errorf("tls.groups of its own: %v", own.curves)
	}
}

// counting counts what is read.
type counting struct {
	net.Conn
	n int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n += n
	return n, err
}

// TestInterface: an interface that is not there is named, with the key.
func TestInterface(t *testing.T) {
	r := newRig(t, Config{URL: "mqtt://127.0.0.1:9", Connect: Connect{Interface: "wwan77"}})
	r.run()
	until(t, "a reason", func() bool { return r.Stats().State == StateWaiting })
	if s := r.Stats(); !strings.Contains(s.Reason, "interface wwan77") || !strings.Contains(s.Hint, "connect.interface") {
		t.Errorf("reason %q, hint %q", s.Reason, s.Hint)
	}
	r.stop()
	m := newMosquitto(t, "allow_anonymous true")
	up := newRig(t, Config{URL: "mqtt://" + m.addr, Connect: Connect{Interface: "lo"}})
	up.run()
	up.online()
	up.stop()
}
