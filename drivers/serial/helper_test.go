package serial

import (
	"strings"
	"testing"

	"fieldgate/configs/conf"
	"fieldgate/drivers"
)

func ptr[T any](v T) *T { return &v }

// sensor fills in what every section needs.
func sensor(c Config) Config {
	if c.Name == "" {
		c.Name = "s1"
	}
	if c.Port == "" {
		c.Port = "/dev/ttyS9"
	}
	return c
}

func mustCompile(t testing.TB, c Config) *program {
	t.Helper()
	return compile(sensor(c), func(p conf.Problem) {
		t.Helper()
		if p.Code[0] == 'E' {
			t.Fatalf("%s %s: %s (%s)", p.Code, p.Key, p.Text, p.Help)
		}
	})
}

func framerOf(p *program) *framer {
	return &framer{shape: p.shape, check: &p.check, idle: p.idle, max: p.max}
}

// cutInto feeds data in pieces of n bytes and returns the frames.
func cutInto(f *framer, data string, n int) (frames []string) {
	emit := func(frame []byte) { frames = append(frames, string(frame)) }
	for len(data) > 0 {
		piece := data[:min(n, len(data))]
		data = data[len(piece):]
		f.feed([]byte(piece), emit)
	}
	f.silence(emit)
	return frames
}

// decodeStream runs bytes through frames, checks and contents, without a line,
// and returns the last sample of each tag.
func decodeStream(t testing.TB, c Config, data string) map[string]drivers.Sample {
	t.Helper()
	d, err := New(sensor(c))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]drivers.Sample{}
	s := newSession(d, nil, func(samples []drivers.Sample) {
		for _, x := range samples {
			got[x.Tag] = x
		}
	})
	for i := range len(data) {
		s.take([]byte{data[i]})
	}
	s.framer.silence(s.frame)
	return got
}

// show is a sample in short: a JSON value, or bad(reason).
func show(s drivers.Sample) string {
	switch {
	case s.Device == "":
		return "none"
	case s.Quality == drivers.Bad:
		if !s.Value.IsNull() {
			return "bad with a value"
		}
		return "bad(" + s.Reason + ")"
	case s.Quality == drivers.Uncertain:
		return string(s.Value.AppendJSON(nil)) + " uncertain(" + s.Reason + ")"
	}
	return string(s.Value.AppendJSON(nil))
}

// hexText turns "AA C0" into the two bytes.
func hexText(s string) string {
	b, err := parseHex(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func hexList(frames []string) string {
	out := make([]string, len(frames))
	for i, f := range frames {
		out[i] = strings.ToUpper(strings.TrimSpace(hexSpaced(f)))
	}
	return strings.Join(out, " | ")
}

func hexSpaced(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		b.WriteByte(digits[s[i]>>4])
		b.WriteByte(digits[s[i]&15])
		b.WriteByte(' ')
	}
	return b.String()
}
