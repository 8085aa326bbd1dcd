package serial

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/drivers"
)

// twoRequests is a sensor that is asked for temperature and humidity, rarely.
var twoRequests = Config{Content: "split", StaleAfter: conf.Duration(3 * time.Hour), Requests: []Request{
	{Name: "t", Send: "T", Every: conf.Duration(time.Hour), Timeout: conf.Duration(100 * time.Millisecond)},
	{Name: "h", Send: "H", Every: conf.Duration(time.Hour), Timeout: conf.Duration(100 * time.Millisecond)},
}, Tags: []Tag{{Name: "temp", Index: ptr(0), Request: "t"}, {Name: "hum", Index: ptr(0), Request: "h"}}}

func TestReadOutOfTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, w, r, _ := start(t, twoRequests)
		far := <-w.far
		answer := func(ask, text string) {
			hear(t, far, ask)
			say(t, far, text)
		}
		answer("T", "21\n")
		answer("H", "55\n")
		time.Sleep(10 * time.Minute)
		synctest.Wait()

		read := func(tags ...string) (got []drivers.Sample, err error) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				got, err = d.Read(t.Context(), "s1", tags...)
			}()
			if len(tags) == 0 || tags[0] == "temp" {
				answer("T", "22\n")
			}
			if len(tags) == 0 || tags[0] == "hum" {
				answer("H", "56\n")
			}
			<-done
			return got, err
		}
		begin := time.Now()
		for _, test := range []struct {
			tags []string
			want string
		}{{[]string{"hum"}, "56"}, {[]string{"temp"}, "22"}, {nil, "22 56"}} {
			got, err := read(test.tags...)
			text := ""
			for i, s := range got {
				if i > 0 {
					text += " "
				}
				text += show(s)
			}
			if err != nil || text != test.want {
				t.Errorf("read %v: %q, %v; want %q", test.tags, text, err, test.want)
			}
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("reads out of turn took %s", took)
		}
		expect(t, r.reports(), "temp=21", "hum=55", "hum=56", "temp=22", "temp=22", "hum=56")

		hear(t, far, "T") // the cadence has not moved
		if at := time.Since(begin) + 10*time.Minute; at < 59*time.Minute || at > 61*time.Minute {
			t.Errorf("the next poll came %s after the first", at)
		}
	})
}

func TestReadWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, w, _, stop := start(t, twoRequests)
		far := <-w.far
		go func() {
			buf := make([]byte, 8)
			for {
				if _, err := far.Read(buf); err != nil {
					return
				}
			}
		}()
		time.Sleep(time.Minute)
		got, err := d.Read(t.Context(), "s1", "temp")
		if err != nil || len(got) != 1 || show(got[0]) != "bad(timeout)" {
			t.Errorf("read: %v, %v", got, err)
		}
		stop()
		refused(t, d, drivers.CodeUnavailable)
	})
}

func refused(t *testing.T, d *Driver, code string, tags ...string) {
	t.Helper()
	_, err := d.Read(t.Context(), "s1", tags...)
	var ce *drivers.CommandError
	if !errors.As(err, &ce) || ce.Code != code {
		t.Errorf("read: %v, want code %s", err, code)
	}
}

func TestReadsThatAreRefused(t *testing.T) {
	d, err := New(sensor(twoRequests))
	if err != nil {
		t.Fatal(err)
	}
	refused(t, d, drivers.CodeUnavailable)
	refused(t, d, drivers.CodeRequest, "nothing")
	if d, err = New(sensor(lines)); err != nil {
		t.Fatal(err)
	}
	refused(t, d, drivers.CodeRequest)
}

func TestReadEndsWithTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, w, _, _ := start(t, twoRequests)
		far := <-w.far
		hear(t, far, "T")
		done := make(chan error, 1)
		go func() {
			_, err := d.Read(t.Context(), "s1")
			done <- err
		}()
		synctest.Wait()
		far.Close()
		var ce *drivers.CommandError
		if err := <-done; !errors.As(err, &ce) || ce.Code != drivers.CodeUnavailable {
			t.Errorf("read on a line that was lost: %v", err)
		}
	})
}

func TestReadsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, w, _, _ := start(t, twoRequests)
		<-w.far // takes nothing
		synctest.Wait()
		d.orders.begin(nopLine{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		for range maxOrders {
			if _, err := d.Read(ctx, "s1"); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("read: %v", err)
			}
		}
		refused(t, d, drivers.CodeBusy)
	})
}

// nopLine is a line whose deadlines nobody waits for.
type nopLine struct{ net.Conn }

func (nopLine) SetReadDeadline(time.Time) error { return nil }
