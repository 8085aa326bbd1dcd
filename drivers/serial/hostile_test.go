package serial

import (
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/configs/conf"
	"fieldgate/drivers"
	"fieldgate/drivers/port/porttest"
)

func TestH45MegabyteWithoutDelimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, w, r, _ := start(t, lines)
		far := <-w.far
		say(t, far, "x\n1,2\n")
		noise := strings.Repeat("~", 64<<10)
		for range 16 {
			say(t, far, noise)
		}
		say(t, far, "3\n4,5\n") // the end of the long line, then a good one
		synctest.Wait()
		expect(t, r.reports(), "a=1 b=2", "a=4 b=5")
		if s := d.Stats(); s.Errors["overlong"] != 1 || s.BytesIn < 1<<20 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestH46StartInsideTheData(t *testing.T) {
	frame := hexText("AA C0 7B 00 C0 AA 12 34 2B AB") // PM10 = AAC0
	tail := hexText("C0 AA C0 12 34 2B AB")           // ends like a frame, begins inside one
	for _, in := range []string{frame, tail + frame, frame[4:] + frame, "\xAA\xC0" + frame[:9] + frame} {
		got := decodeStream(t, dust, in)
		if show(got["pm2_5"]) != "12.3" || show(got["pm10"]) != "4371.2" {
			t.Errorf("% X: pm2_5 %s, pm10 %s", in, show(got["pm2_5"]), show(got["pm10"]))
		}
	}
}

func TestH47FirstLineAfterOpenIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, w, r, _ := start(t, lines)
		far := <-w.far
		say(t, far, "13.25\r\n23.4,56.1\r\n") // "1013.25" began before we opened
		synctest.Wait()
		expect(t, r.reports(), "a=23.4 b=56.1")
		if s := d.Stats(); len(s.Errors) != 0 || len(s.Hints) != 0 {
			t.Errorf("the cut line was not dropped silently: %v %v", s.Errors, s.Hints)
		}
	})
}

func TestH49InvalidSentinels(t *testing.T) {
	for _, test := range []struct {
		typ     string
		invalid any
		bytes   string
	}{
		{"i16be", []any{"0x8000"}, "80 00"}, {"i16be", "7fff", "7F FF"}, {"u16be", "ff", "FF FF"},
		{"i32be", []any{"0x80000000"}, "80 00 00 00"}, {"i32be", "7fff", "7F FF FF FF"}, {"u32be", "ff", "FF FF FF FF"},
		{"f32be", nil, "7F C0 00 00"}, {"f32be", nil, "FF 80 00 00"}, {"i16be", "sunspec", "80 00"},
	} {
		c := Config{Frame: Frame{Kind: "gap", Gap: conf.Duration(20e6)}, Tags: []Tag{{Name: "v", At: ptr(0), Type: test.typ, Invalid: test.invalid}}}
		if got := show(decodeStream(t, c, hexText(test.bytes))["v"]); got != "bad(invalid)" {
			t.Errorf("%s %s: %s", test.typ, test.bytes, got)
		}
	}
}

func TestH50TheInstrumentsClockIsOnlyAField(t *testing.T) {
	c := Config{Content: "nmea", Frame: Frame{Start: "$", End: `\r\n`}, Check: Check{Kind: "none"}, Tags: []Tag{
		{Name: "time", Sentence: "RMC", Index: ptr(1), Type: "time"},
		{Name: "date", Sentence: "RMC", Index: ptr(9), Type: "string"},
		{Name: "speed", Sentence: "RMC", Index: ptr(7)},
	}}
	before := clock.Now()
	got := decodeStream(t, c, "$GPRMC,000003.00,V,,,,,0.5,,060180,,,N\r\n") // a receiver that has just woken up in 1980
	if show(got["time"]) != `"00:00:03.00"` || show(got["date"]) != `"060180"` || show(got["speed"]) != "0.5" {
		t.Errorf("got %v", got)
	}
	for _, s := range got {
		if s.Time.Before(before) || clock.Now().Before(s.Time) {
			t.Errorf("%s has the time %v, not the time of its arrival", s.Tag, s.Time)
		}
	}
}

// ownFrames are whole messages of instruments made for these tests.
func TestOwnFrames(t *testing.T) {
	nmea := Config{Content: "nmea", Frame: Frame{Start: "$", End: `\r\n`}, Tags: []Tag{{Name: "v", Sentence: "MWV", Index: ptr(3)}, {Name: "ok", Sentence: "MWV", Index: ptr(5), Enum: map[string]any{"A": true, "V": false}}}}
	meter := Config{
		Frame: Frame{Kind: "length", Start: "68", LengthAt: 9, LengthAdd: 12, End: "16", Skip: "FE"}, Check: Check{Kind: "sum8"},
		Transform: Transform{Sub: 0x33, Range: []int{10, -2}},
		Tags:      []Tag{{Name: "v", At: ptr(14), Type: "bcd4-le", Scale: ptr(0.01), Match: &Match{10, "00 00 01 00"}}},
	}
	co2 := Config{Frame: Frame{Kind: "fixed", Start: "FF 86", Length: 9}, Check: Check{Kind: "neg8", Range: []int{1, -1}},
		Tags: []Tag{{Name: "v", At: ptr(2), Type: "u16be"}, {Name: "t", At: ptr(4), Type: "u8", Offset: -40}}}
	particles := Config{Frame: Frame{Kind: "length", Start: "42 4D", LengthAt: 2, LengthType: "u16be", LengthAdd: 4}, Check: Check{Kind: "sum16be"},
		Tags: []Tag{{Name: "v", At: ptr(6), Type: "u16be"}}}
	p1 := Config{Frame: Frame{Kind: "bracket", Start: "/", End: "!", AfterEnd: 6, Max: 4096}, Check: Check{Kind: "crc16-arc-hex", Optional: true}, Content: "obis",
		Tags: []Tag{{Name: "v", Code: "1-0:1.8.1"}, {Name: "p", Code: "1-0:2.7.0"}}}
	toledo := Config{Frame: Frame{Kind: "fixed", Start: "02", Length: 18}, Check: Check{Kind: "neg7"}, Tags: []Tag{{Name: "v", At: ptr(4), Type: "dec6", Scale: ptr(0.01)}}}
	readout := Config{Frame: Frame{Kind: "bracket", Start: `\x02`, End: `\x03`, AfterEnd: 1, Max: 1024}, Check: Check{Kind: "xor8", Range: []int{1, -1}}, Content: "obis",
		Tags: []Tag{{Name: "v", Code: "1-0:1.8.0"}}}
	body := "1-0:1.8.0*255(0000123.456*kWh)\r\n!\r\n\x03"
	block := "/XYZ5T\r\n\x02" + body + string([]byte{xor8([]byte(body))})
	hygro := Config{Frame: Frame{Start: "!", End: `\r`}, Check: Check{Kind: "sum8-hex"}, Content: "hexfloat", Tags: []Tag{{Name: "v", At: ptr(7)}}}
	answer := "!0002RR0000A841"
	answer += string((&checker{kind: "sum8-hex"}).compute([]byte(answer))) + "\r"
	own := Config{Frame: Frame{Kind: "gap", Gap: conf.Duration(20e6)}, Check: Check{Kind: "crc16-modbus"}, Tags: []Tag{{Name: "v", At: ptr(2), Type: "u24le", Scale: ptr(0.001)}}}
	proprietary := "\x05\x66" + "\xE8\x80\x03"
	proprietary += string((&checker{kind: "crc16-modbus", order: "le"}).compute([]byte(proprietary)))

	for _, test := range []struct {
		name string
		c    Config
		in   string
		tag  string
		want string
	}{
		{"wind", nmea, "$IIMWV,181.5,R,4.2,M,A*35\r\n", "v", "4.2"},
		{"wind, status", nmea, "$IIMWV,181.5,R,4.2,M,A*35\r\n", "ok", "true"},
		{"wind, wrong check", nmea, "$IIMWV,181.5,R,4.2,M,A*34\r\n", "v", "none"},
		{"dust with a start inside", dust, hexText("aa c0 7b 00 c0 aa 12 34 2b ab"), "pm10", "4371.2"},
		{"co2", co2, hexText("ff 86 13 87 23 00 00 00 bd"), "v", "4999"},
		{"co2, temperature", co2, hexText("ff 86 13 87 23 00 00 00 bd"), "t", "-5"},
		{"co2, flipped bit", co2, hexText("ff 86 13 87 23 00 00 00 bc"), "v", "none"},
		{"energy with 68 in the address", meter, hexText("fe fe 68 68 01 00 00 00 00 68 91 08 33 33 34 33 89 67 45 33 07 16"), "v", "1234.56"},
		{"particles", particles, hexText("42 4d 00 08 00 01 00 2a 00 03 00 c5"), "v", "42"},
		{"p1", p1, "/ABC5\\TEST\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0(261123040000W)\r\n1-0:1.8.1(000100.500*kWh)\r\n1-0:2.7.0(01.234*kW)\r\n!DDE3\r\n", "v", "100.5"},
		{"p1, power", p1, "/ABC5\\TEST\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0(261123040000W)\r\n1-0:1.8.1(000100.500*kWh)\r\n1-0:2.7.0(01.234*kW)\r\n!DDE3\r\n", "p", "1.234"},
		{"p1, wrong check", p1, "/ABC5\\TEST\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0(261123040000W)\r\n1-0:1.8.1(000100.501*kWh)\r\n1-0:2.7.0(01.234*kW)\r\n!DDE3\r\n", "v", "none"},
		{"readout with BCC", readout, block, "v", "123.456"},
		{"toledo", toledo, hexText("02 2c 30 20 30 31 32 33 34 35 30 30 30 30 30 30 0d 26"), "v", "123.45"},
		{"hygrometer", hygro, answer, "v", "21"},
		{"crc of modbus, other commands", own, proprietary, "v", "229.608"},
	} {
		if got := show(decodeStream(t, test.c, test.in)[test.tag]); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestPortEndToEnd(t *testing.T) {
	noLeaks(t)
	plug := porttest.NewPlug(t)
	c := lines
	c.Port = plug.Path()
	d, err := New(sensor(c))
	if err != nil {
		t.Fatal(err)
	}
	d.backoff = func(int) time.Duration { return 10 * time.Millisecond }
	r := &recorder{}
	stop := run(t, d, r)
	eventually(t, "the missing port to be reported", func() bool { return len(r.reports()) == 1 })
	if e := d.Stats().Error; !strings.Contains(e, "there is no such port") {
		t.Errorf("H43: error %q", e)
	}
	for round, want := range []string{"a=0 b=7", "a=1 b=7"} {
		device := plug.In()
		eventually(t, "the port to be opened", func() bool { return d.Stats().Open })
		eventually(t, want, func() bool {
			if _, err := device.Write([]byte("x\n" + string(rune('0'+round)) + ",7\r\n")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond)
			got := r.reports()
			return got[len(got)-1] == want
		})
		plug.Out()
		eventually(t, "H41: the loss to be reported", func() bool {
			got := r.reports()
			return got[len(got)-1] == "a=bad(port) b=bad(port)" && !d.Stats().Open
		})
	}
	stop()
}

func TestServerEndToEnd(t *testing.T) {
	noLeaks(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 16)
				for {
					n, err := conn.Read(buf)
					if err != nil {
						return
					}
					if string(buf[:n]) == "Q\r" {
						_, _ = conn.Write([]byte("1,2\n")) // a driver that has gone reads no more
					}
				}
			}()
		}
	}()
	c := polled(func(c *Config) {
		c.Port = "tcp://" + l.Addr().String()
		c.Request.Every, c.Request.Timeout = conf.Duration(20*time.Millisecond), conf.Duration(10*time.Second)
	})
	d, err := New(sensor(c))
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{}
	stop := run(t, d, r)
	eventually(t, "three answers", func() bool { return len(r.reports()) >= 3 })
	stop()
	for _, report := range r.reports() {
		expect(t, []string{report}, "a=1 b=2")
	}
}

func TestRefusedServerIsExplained(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = lineSettings{tcp: l.Addr().String()}.open(t.Context())
	if err == nil || !strings.Contains(err.Error(), "serial server "+l.Addr().String()) || !strings.Contains(err.Error(), "check its address") {
		t.Errorf("error %v", err)
	}
	_, err = lineSettings{port: mustCompile(t, lines).line.port}.open(t.Context())
	if err == nil || os.IsTimeout(err) {
		t.Errorf("error %v", err)
	}
}

var _ drivers.Driver = (*Driver)(nil)
