package outages

import (
	"net"
	"os"
	"syscall"
	"time"
)

// The test program is a relay at the far end of a link where these are set: it
// passes everything on a while after it came, as a long way does.
const (
	relayMark   = "OUTAGES_RELAY"        // the delay in either direction
	relayTarget = "OUTAGES_RELAY_TARGET" // where it leads
	relayPort   = 1884
)

// delayed starts a relay to the upstream and returns its address.
func (s *site) delayed(delay time.Duration, target string) string {
	s.t.Helper()
	cmd := s.space.Command(os.Args[0])
	cmd.Env = append(os.Environ(), relayMark+"="+delay.String(), relayTarget+"="+target)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(s.t, cmd.Start())
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	until(s.t, "the relay listens", func() bool {
		c, err := net.DialTimeout("tcp", host(s.aside.Far(), relayPort), time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return host(s.link.Far(), relayPort)
}

func relayMain(delay, target string) error {
	d, err := time.ParseDuration(delay)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp4", host("", relayPort))
	if err != nil {
		return err
	}
	for {
		near, err := l.Accept()
		if err != nil {
			return err
		}
		far, err := net.Dial("tcp", target)
		if err != nil {
			near.Close()
			continue
		}
		go later(far, near, d)
		go later(near, far, d)
	}
}

// later passes bytes on, each so long after it came.
func later(dst, src net.Conn, delay time.Duration) {
	type lump struct {
		due time.Time
		b   []byte
	}
	way := make(chan lump, 10_000)
	go func() {
		defer dst.Close()
		for l := range way {
			time.Sleep(time.Until(l.due))
			if _, err := dst.Write(l.b); err != nil {
				break
			}
		}
		for range way { // what comes behind a failure
		}
	}()
	defer close(way)
	for {
		b := make([]byte, 4096)
		n, err := src.Read(b)
		if n > 0 {
			way <- lump{time.Now().Add(delay), b[:n]}
		}
		if err != nil {
			return
		}
	}
}
