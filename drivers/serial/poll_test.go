package serial

import (
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/configs/conf"
)

// polled is a scale that is asked with Q.
func polled(change ...func(*Config)) Config {
	c := lines
	c.Request = &Request{Send: "Q\r", Every: conf.Duration(time.Second), Timeout: conf.Duration(200 * time.Millisecond)}
	for _, f := range change {
		r := *c.Request
		c.Request = &r
		f(&c)
	}
	return c
}

func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, w, r, _ := start(t, polled())
		far := <-w.far
		begin := time.Now()
		for i, answer := range []string{"1,2\n", "3,4\n", "5,6\n"} {
			hear(t, far, "Q\r")
			if at := time.Since(begin).Round(100 * time.Millisecond); at != time.Duration(i)*time.Second {
				t.Errorf("request %d after %s", i, at)
			}
			time.Sleep(50 * time.Millisecond)
			say(t, far, answer)
		}
		synctest.Wait()
		expect(t, r.reports(), "a=1 b=2", "a=3 b=4", "a=5 b=6") // also the first: it cannot be cut
		s := d.Stats()
		if s.Requests != 3 || s.Devices[0].Polls != 3 || s.Devices[0].P50 < 50*time.Millisecond || s.BytesOut != 6 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestPollWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, w, r, _ := start(t, polled(func(c *Config) { c.Request.Retries = 1 }))
		far := <-w.far
		hear(t, far, "Q\r") // no answer
		hear(t, far, "Q\r") // nor to the retry
		hear(t, far, "Q\r") // the next poll
		say(t, far, "1,2\n")
		hear(t, far, "Q\r")
		synctest.Wait()
		expect(t, r.reports(), "a=bad(timeout) b=bad(timeout)", "a=1 b=2")
		if s := d.Stats(); s.Retries != 1 || s.Errors["timeout"] != 1 || s.Devices[0].Failures != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestDeviceStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, w, r, _ := start(t, polled())
		far := <-w.far
		state := func() string {
			synctest.Wait()
			return d.Stats().Devices[0].State
		}
		got := []string{state()}
		for _, answer := range []string{"1,2\n", "", "3,4\n", "", "", "", "", "5,6\n"} {
			hear(t, far, "Q\r")
			if answer != "" {
				say(t, far, answer)
			}
			time.Sleep(500 * time.Millisecond)
			got = append(got, state())
		}
		expect(t, got, "unknown", "online", "degraded", "online", "degraded", "degraded", "offline", "offline", "online")
		expect(t, r.reports(), "a=1 b=2", "a=bad(timeout) b=bad(timeout)", "a=3 b=4", "a=bad(timeout) b=bad(timeout)", "a=bad(timeout) b=bad(timeout)",
			"a=bad(offline) b=bad(offline)", "a=bad(offline) b=bad(offline)", "a=5 b=6")
	})
}

func TestLateAnswerIsNotTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, w, r, _ := start(t, polled(func(c *Config) { c.Request.Every = conf.Duration(250 * time.Millisecond) }))
		far := <-w.far
		hear(t, far, "Q\r")
		time.Sleep(300 * time.Millisecond) // 100 ms too late
		say(t, far, "1,1\n")
		hear(t, far, "Q\r")
		say(t, far, "2,2\n")
		synctest.Wait()
		expect(t, r.reports(), "a=bad(timeout) b=bad(timeout)", "a=2 b=2")
		if n := d.Stats().Late; n != 1 {
			t.Errorf("%d late answers", n)
		}
	})
}

func TestDamagedAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := with(dust, func(c *Config) {
			c.Request = &Request{Send: "hex:AA B4 04", Every: conf.Duration(time.Second), Timeout: conf.Duration(200 * time.Millisecond)}
		})
		_, w, r, _ := start(t, c)
		far := <-w.far
		for _, answer := range []string{"AA C0 01 00 02 00 12 34 48 AB", "AA C0 01 00 02 00 12 34 49 AB"} {
			hear(t, far, "\xAA\xB4\x04")
			say(t, far, hexText(answer))
		}
		synctest.Wait()
		expect(t, r.reports(), "pm2_5=bad(crc) pm10=bad(crc)", "pm2_5=0.1 pm10=0.2")
	})
}

func TestAnswerThatMakesNoSense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := polled(func(c *Config) {
			c.Content, c.Pattern, c.Tags = "regex", `^(?P<w>[\d.]+)kg`, []Tag{{Name: "w", Group: "w"}}
		})
		_, w, r, _ := start(t, c)
		far := <-w.far
		hear(t, far, "Q\r")
		say(t, far, "ERR 7\n")
		hear(t, far, "Q\r")
		say(t, far, "echo\n12.5kg\n") // a line before the answer does no harm
		synctest.Wait()
		expect(t, r.reports(), "w=bad(parse)", "w=12.5")
	})
}

func TestEcho(t *testing.T) {
	for name, answer := range map[string]string{"echo": "Q\r1,2\n", "no echo": "1,2\n", "half an echo, then the answer": "Q1,2\n"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, w, r, _ := start(t, polled(func(c *Config) {
					c.Request.Echo = true
					c.Content = "regex"
					c.Pattern = `(?P<a>\d),(?P<b>\d)$`
					c.Tags = []Tag{{Name: "a", Group: "a"}, {Name: "b", Group: "b"}}
				}))
				far := <-w.far
				hear(t, far, "Q\r")
				say(t, far, answer)
				synctest.Wait()
				expect(t, r.reports(), "a=1 b=2")
			})
		})
	}
}

func TestEchoAloneIsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, w, r, _ := start(t, polled(func(c *Config) { c.Request.Send = "1,2\\n"; c.Request.Echo = true }))
		far := <-w.far
		hear(t, far, "1,2\n")
		say(t, far, "1,2\n") // our own bytes, which would parse
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		expect(t, r.reports(), "a=bad(timeout) b=bad(timeout)")
	})
}

func TestSeveralRequestsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Config{Content: "split", Requests: []Request{
			{Name: "t", Send: "T", Every: conf.Duration(time.Second), Timeout: conf.Duration(100 * time.Millisecond)},
			{Name: "h", Send: "H", Every: conf.Duration(2 * time.Second), Timeout: conf.Duration(100 * time.Millisecond)},
		}, Tags: []Tag{{Name: "temp", Index: ptr(0), Request: "t"}, {Name: "hum", Index: ptr(0), Request: "h"}}}
		d, w, r, _ := start(t, c)
		far := <-w.far
		for _, step := range []struct{ ask, say string }{{"T", "21\n"}, {"H", "55\n"}, {"T", "22\n"}, {"T", "23\n"}, {"H", "56\n"}} {
			hear(t, far, step.ask)
			say(t, far, step.say)
			synctest.Wait()
		}
		expect(t, r.reports(), "temp=21", "hum=55", "temp=22", "temp=23", "hum=56")
		if tags := d.Tags(); tags[0].Poll != time.Second || tags[1].Poll != 2*time.Second || tags[0].Device != "s1" {
			t.Errorf("tags %+v", tags)
		}
	})
}

func TestOverrunsAreCountedNotMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, w, _, _ := start(t, polled(func(c *Config) {
			c.Request.Every, c.Request.Timeout = conf.Duration(100*time.Millisecond), conf.Duration(time.Second)
		}))
		far := <-w.far
		hear(t, far, "Q\r")
		time.Sleep(350 * time.Millisecond)
		say(t, far, "1,2\n")
		hear(t, far, "Q\r")
		synctest.Wait()
		if n := d.Stats().Devices[0].Overruns; n != 3 {
			t.Errorf("%d overruns, want 3", n)
		}
	})
}

func TestSilentServerIsDialledAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, w, r, _ := start(t, polled(func(c *Config) { c.Port = "tcp://10.0.0.7:4001" }))
		far := <-w.far
		for range silentPolls {
			hear(t, far, "Q\r")
		}
		far = <-w.far // the driver hung up and came back
		hear(t, far, "Q\r")
		say(t, far, "1,2\n")
		synctest.Wait()
		expect(t, r.reports(), "a=bad(timeout) b=bad(timeout)", "a=bad(timeout) b=bad(timeout)", "a=bad(offline) b=bad(offline)", "a=1 b=2")
		if s := d.Stats(); s.Reconnects != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestH44BlockedWriteEndsAndStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, w, r, stop := start(t, polled())
		<-w.far // takes nothing: net.Pipe blocks the writer
		time.Sleep(5 * time.Second)
		synctest.Wait()
		expect(t, r.reports()[:1], "a=bad(port) b=bad(port)")
		if e := d.Stats().Errors["port"]; e == 0 {
			t.Error("a line that takes no bytes is not counted")
		}
		stop()
	})
}
