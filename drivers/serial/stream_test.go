package serial

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/drivers"
)

func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, w, r, _ := start(t, lines)
		far := <-w.far
		say(t, far, "9,9\r\n") // may be the rest of a cut line
		say(t, far, "1,2\r\n3,")
		say(t, far, "4\r\n5\n")
		synctest.Wait()
		expect(t, r.reports(), "a=1 b=2", "a=3 b=4", "a=5 b=bad(parse)")
		s := d.Stats()
		if !s.Open || s.Bus != "s1" || s.Kind != "serial" || s.BytesIn != 17 || len(s.Devices) != 1 || s.Devices[0].State != "online" {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestStreamTurnsStaleOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, w, r, _ := start(t, with(lines, func(c *Config) { c.StaleAfter = conf.Duration(10 * time.Second) }))
		far := <-w.far
		say(t, far, "x\n1,2\n")
		time.Sleep(9 * time.Second)
		synctest.Wait()
		expect(t, r.reports(), "a=1 b=2")
		time.Sleep(60 * time.Second)
		synctest.Wait()
		expect(t, r.reports(), "a=1 b=2", "a=bad(stale) b=bad(stale)")
		if s := d.Stats().Devices[0]; s.State != "offline" || s.Reason != drivers.ReasonStale {
			t.Errorf("device %+v", s)
		}
		say(t, far, "3,4\n")
		synctest.Wait()
		expect(t, r.reports(), "a=1 b=2", "a=bad(stale) b=bad(stale)", "a=3 b=4")
	})
}

func TestOneTagTurnsStaleAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, w, r, _ := start(t, Config{Content: "pairs", StaleAfter: conf.Duration(3 * time.Second), Tags: []Tag{{Name: "t", Key: "T"}, {Name: "h", Key: "H"}}})
		far := <-w.far
		say(t, far, "\nT=1;H=2\n")
		for range 4 { // never at the moment at which h turns stale
			time.Sleep(900 * time.Millisecond)
			say(t, far, "T=1\n")
		}
		synctest.Wait()
		expect(t, r.reports(), "t=1 h=2", "t=1", "t=1", "t=1", "h=bad(stale)", "t=1")
	})
}

func TestLostLineIsOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, w, r, _ := start(t, lines)
		far := <-w.far
		say(t, far, "x\n1,2\n")
		synctest.Wait()
		far.Close()
		synctest.Wait()
		if s := d.Stats(); s.Open || s.Error == "" || s.Errors["port"] != 1 {
			t.Errorf("stats of a lost line: %+v", s)
		}
		far = <-w.far
		say(t, far, "x\n3,4\n")
		synctest.Wait()
		expect(t, r.reports(), "a=1 b=2", "a=bad(port) b=bad(port)", "a=3 b=4")
		if s := d.Stats(); !s.Open || s.Error != "" || s.Reconnects != 1 {
			t.Errorf("stats of the line that came back: %+v", s)
		}
	})
}

func TestLineThatDoesNotOpenIsReportedOnce(t *testing.T) {
	for _, test := range []struct {
		port        string
		least, most uint64 // attempts in ten minutes
	}{
		{"/dev/serial/by-id/usb-Adapter", 200, 400}, // every 2 s
		{"tcp://10.0.0.7:4001", 15, 40},             // 0.5 s doubling to 30 s
	} {
		synctest.Test(t, func(t *testing.T) {
			d, err := New(sensor(with(lines, func(c *Config) { c.Port = test.port })))
			if err != nil {
				t.Fatal(err)
			}
			w := &wires{fail: errNoPort}
			d.open = w.open
			r := &recorder{}
			stop := run(t, d, r)
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			expect(t, r.reports(), "a=bad(port) b=bad(port)")
			s := d.Stats()
			if n := s.Errors["port"]; n < test.least || n > test.most {
				t.Errorf("%s: %d attempts in ten minutes", test.port, n)
			}
			if s.Error != errNoPort.Error() || s.Devices[0].State != "offline" {
				t.Errorf("stats %+v", s)
			}
			stop()
		})
	}
}

func TestSettleAndInit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, w, r, _ := start(t, with(lines, func(c *Config) {
			c.Settle = conf.Duration(2 * time.Second)
			c.Init = []string{"hex:01 02", `GO\r`}
		}))
		begin := time.Now()
		far := <-w.far
		say(t, far, "boot 1,2\nboot 3,4\n") // an Arduino that was reset by opening
		hear(t, far, "\x01\x02")
		if d := time.Since(begin); d < 2*time.Second {
			t.Errorf("the first init came after %s", d)
		}
		hear(t, far, "GO\r")
		time.Sleep(time.Second)
		say(t, far, "x\n5,6\n")
		synctest.Wait()
		expect(t, r.reports(), "a=5 b=6")
	})
}

func TestGapFraming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Config{Frame: Frame{Kind: "gap", Gap: conf.Duration(20 * time.Millisecond), Max: 8}, Tags: []Tag{{Name: "v", At: ptr(1), Type: "u8"}}}
		d, w, r, _ := start(t, c)
		far := <-w.far
		for _, piece := range []struct {
			text  string
			pause time.Duration
		}{
			{"\x01\x02\x03", 50 * time.Millisecond}, // may be cut
			{"\x01", 10 * time.Millisecond}, {"\x07\x03", 50 * time.Millisecond},
			{"\x01\x08", 50 * time.Millisecond},
			{strings.Repeat("\x09", 40), 50 * time.Millisecond}, // longer than max
			{"\x01\x0A", 50 * time.Millisecond},
		} {
			say(t, far, piece.text)
			time.Sleep(piece.pause)
		}
		synctest.Wait()
		expect(t, r.reports(), "v=7", "v=8", "v=10")
		if n := d.Stats().Errors["overlong"]; n != 1 {
			t.Errorf("%d overlong frames", n)
		}
	})
}

func TestFalseStartBeforeAWholeFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Config{Frame: Frame{Kind: "length", Start: "68", LengthAt: 1, LengthAdd: 3}, Check: Check{Kind: "sum8"}, Tags: []Tag{{Name: "v", At: ptr(2), Type: "u8"}}}
		_, w, r, _ := start(t, c)
		far := <-w.far
		say(t, far, "\x68\x68\x01\x05\x6E") // the first 68 is noise and claims 107 bytes
		time.Sleep(time.Second)
		synctest.Wait()
		expect(t, r.reports(), "v=5")
	})
}

func TestHints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, w, _, _ := start(t, dust)
		far := <-w.far
		say(t, far, strings.Repeat("\x00\xFF", 40))
		synctest.Wait()
		if h := strings.Join(d.Stats().Hints, "; "); !strings.Contains(h, "wrong baud or mode") {
			t.Errorf("H39: hints %q", h)
		}
		say(t, far, hexText("AA C0 01 00 02 00 12 34 48 AB"))
		time.Sleep(time.Second)
		synctest.Wait()
		s := d.Stats()
		if h := strings.Join(s.Hints, "; "); !strings.Contains(h, "no check is right") || s.Errors["crc"] == 0 {
			t.Errorf("bad checks: hints %q, errors %v", h, s.Errors)
		}
	})
}
