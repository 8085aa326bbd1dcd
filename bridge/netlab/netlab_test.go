package netlab

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// lab is a cable from here to a new namespace with an echo server in it.
func lab(t *testing.T, n int) *Cable {
	t.Helper()
	if err := Missing(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	far, err := New()
	must(t, err)
	t.Cleanup(far.Close)
	c, err := Join(Here(), far, n)
	must(t, err)
	t.Cleanup(func() { must(t, c.Remove()) })
	cmd := far.Command(os.Args[0])
	cmd.Env = append(os.Environ(), echoMark+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the echo server says %q, %v", line, err)
	}
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func timeout(err error) bool {
	var net net.Error
	return errors.As(err, &net) && net.Timeout()
}

func dial(t *testing.T, c *Cable, network string) net.Conn {
	t.Helper()
	nc, err := net.DialTimeout(network, c.Far()+":7", 10*time.Second)
	must(t, err)
	t.Cleanup(func() { nc.Close() })
	must(t, nc.SetDeadline(time.Now().Add(30*time.Second)))
	return nc
}

func count(t *testing.T, c *Cable) Count {
	t.Helper()
	n, err := c.Count()
	must(t, err)
	return n
}

// TestCount: datagrams are counted to the byte, in both directions, and
// nothing else is on the cable; a large segment of TCP is the packets that it
// would be on a real link.
func TestCount(t *testing.T) {
	c := lab(t, 1)
	u := dial(t, c, "udp")
	before := count(t, c)
	for range 10 {
		_, err := u.Write(make([]byte, 100))
		must(t, err)
		_, err = io.ReadFull(u, make([]byte, 100))
		must(t, err)
	}
	if n := count(t, c).Sub(before); n != (Count{10, 10, 1280, 1280}) || n.Bytes() != 2560 {
		t.Errorf("10 datagrams of 100 bytes (128 with the headers) each way: %+v", n)
	}
	s := dial(t, c, "tcp")
	before = count(t, c)
	_, err := s.Write(make([]byte, 14480))
	must(t, err)
	_, err = io.ReadFull(s, make([]byte, 14480))
	must(t, err)
	if n := count(t, c).Sub(before); n.UpPackets < 10 || n.UpBytes < 10*1500 {
		t.Errorf("ten full segments: %+v", n)
	}
}

// TestLose: some of many datagrams are lost, in either direction, and none
// after Calm.
func TestLose(t *testing.T) {
	c := lab(t, 1)
	u := dial(t, c, "udp")
	came := func(n int) (came int) {
		for range n {
			_, err := u.Write([]byte("?"))
			must(t, err)
			must(t, u.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
			if _, err := u.Read(make([]byte, 10)); err == nil {
				came++
			}
		}
		return came
	}
	must(t, c.Lose(50))
	// Both ways pass with a probability of a quarter; 60 of 100 would be a wonder, and so would 2.
	if n := came(100); n > 60 || n < 3 {
		t.Errorf("%d of 100 came back where half is lost each way", n)
	}
	must(t, c.Calm())
	time.Sleep(50 * time.Millisecond)
	for u.SetReadDeadline(time.Now().Add(20*time.Millisecond)) == nil { // what was late
		if _, err := u.Read(make([]byte, 10)); err != nil {
			break
		}
	}
	before := count(t, c)
	came(50)
	time.Sleep(50 * time.Millisecond)
	if n := count(t, c).Sub(before); n.UpPackets != 50 || n.DownPackets != 50 {
		t.Errorf("of 50 datagrams after Calm: %+v", n)
	}
}

// TestShape: a narrow cable takes its time.
func TestShape(t *testing.T) {
	c := lab(t, 1)
	s := dial(t, c, "tcp")
	must(t, c.Shape(400_000, 100_000))
	began := time.Now()
	go func() { _, _ = s.Write(make([]byte, 50_000)) }() // the reader sees if it fails
	_, err := io.ReadFull(s, make([]byte, 50_000))
	must(t, err)
	if took := time.Since(began); took < 900*time.Millisecond {
		t.Errorf("50 kB at 400 kbit/s took %s", took)
	}
}

// TestTroubles: what is silent, reset or cut shows as such at the near end.
func TestTroubles(t *testing.T) {
	c := lab(t, 1)
	s := dial(t, c, "tcp")
	must(t, c.Silence())
	if nc, err := net.DialTimeout("tcp", c.Far()+":7", 300*time.Millisecond); !timeout(err) {
		t.Errorf("dial into silence: %v, %v", nc, err)
	}
	must(t, c.Calm())
	_, err := s.Write([]byte("x"))
	must(t, err)
	_, err = io.ReadFull(s, make([]byte, 1))
	must(t, err) // the connection has survived it
	must(t, c.Reset())
	if _, err := s.Write([]byte("x")); err == nil {
		_, err = s.Read(make([]byte, 1))
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after a reset: %v", err)
		}
	}
	must(t, c.Calm())
	must(t, c.Cut())
	if _, err := net.DialTimeout("tcp", c.Far()+":7", 10*time.Second); !errors.Is(err, syscall.ENETUNREACH) && !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("dial without a cable: %v", err)
	}
	must(t, c.Mend())
	dial(t, c, "tcp")
}

func TestParseCount(t *testing.T) {
	good := `[{"ifname":"wan1","stats64":{"rx":{"bytes":142,"packets":3},"tx":{"bytes":200,"packets":2}}}]`
	if n, err := parseCount([]byte(good)); err != nil || n != (Count{2, 3, 172, 100}) {
		t.Errorf("%+v, %v", n, err)
	}
	for _, bad := range []string{"", "[]", "[{}]", "{"} {
		if n, err := parseCount([]byte(bad)); err == nil {
			t.Errorf("%q gives %+v", bad, n)
		}
	}
}
