package encode

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
	"github.com/klauspost/compress/zstd"

	"fieldgate/mqtt"
)

// FuzzEncode tries to break out of every format with names, values and
// reasons of any content.
func FuzzEncode(f *testing.F) {
	f.Add("boiler2", "water_temp", "71.4", "°C", "", int64(0))
	f.Add(`a","x":"`, "b\nc", `1,"quality":"good"`, `"`, `\`, int64(5))
	f.Add("#m", "a=b,c d", `"x\ny"`, "", "timeout", int64(-9_000_000_000_000))
	f.Add("锅炉", "", `{"a":1}`, "\xff", "\x00", int64(1<<40))
	f.Add(`d\`, `t\`, `"\\"`, "\u2028", `\"`, int64(-1))
	var encoders []*Encoder
	for _, format := range Formats {
		o := Options{Format: format, Gateway: `g"w,`, Wall: wall(false),
			Template: `[{{range $i, $s := .Samples}}{{if $i}},{{end}}{"d":"{{.Device}}","{{.Tag}}x":{{.Value}},"r":{{json .Reason}},"u":"{{.Unit}}"}{{end}}]`}
		encoders = append(encoders, must(f, o))
	}
	f.Fuzz(func(t *testing.T, device, tag, value, unit, reason string, ms int64) {
		if ms > 1<<41 || ms < -1<<41 {
			return // beyond the year 2095 or before 1956: no stamp is there
		}
		s := &mqtt.Sample{Device: device, Tag: tag, Value: value, Unit: unit, Quality: "uncertain", Reason: reason, Time: at(ms), Last: value, LastTime: at(ms)}
		for _, e := range encoders {
			items := numbered(s, s)
			if !CanBatch(e.o.Format) {
				items = items[:1]
			}
			p, err := e.Encode(items...)
			if err != nil {
				t.Fatalf("%s: %v", e.o.Format, err)
			}
			checkBody(t, e.o.Format, p, len(items))
		}
	})
}

func checkBody(t *testing.T, format string, p Payload, n int) {
	if p.Text && !utf8.Valid(p.Body) {
		t.Fatalf("%s is not UTF-8: %q", format, p.Body)
	}
	if len(p.Body) == 0 {
		t.Fatalf("%s: an empty payload would delete a retained message", format)
	}
	switch format {
	case Value:
	case Influx:
		lines := strings.Split(string(p.Body), "\n")
		if len(lines) != n {
			t.Fatalf("%d samples gave %d lines: %q", n, len(lines), p.Body)
		}
		for _, l := range lines {
			if !influxLine.MatchString(l) {
				t.Fatalf("not a line of the protocol: %q", l)
			}
		}
	case SenMLCBOR:
		var v []map[any]any
		if err := cbor.Unmarshal(p.Body, &v); err != nil || len(v) < n {
			t.Fatalf("%d records: %v", len(v), err)
		}
	case SenML:
		var v []struct {
			N, Bn string
			V     json.Number
		}
		if err := json.Unmarshal(p.Body, &v); err != nil || len(v) < n {
			t.Fatalf("%d records: %v in %s", len(v), err, p.Body)
		}
		for _, r := range v {
			if name := v[0].Bn + r.N; !senmlNames.MatchString(name) {
				t.Fatalf("name %q is not allowed by RFC 8428 §4.5.1", name)
			}
		}
	default:
		var v any
		if err := json.Unmarshal(p.Body, &v); err != nil {
			t.Fatalf("%s: %v in %s", format, err, p.Body)
		}
		if list, ok := v.([]any); ok && format == Template && len(list) != n {
			t.Fatalf("template gave %d objects of %d samples: %s", len(list), n, p.Body)
		}
	}
}

var (
	// a measurement, tags, fields and a time, with the escapes of the protocol
	influxLine = regexp.MustCompile(`^(\\[, ]|[^#\\, ])(\\[, ]|[^\\, ])*(,(\\[,= ]|[^\\,= ])+=(\\[,= ]|[^\\,= ])+)* ` +
		`((\\[,= ]|[^\\,= ])+=("(\\["\\]|[^"\\])*"|[-+.0-9eE]+|true|false),?)+ -?[0-9]+$`)
	senmlNames = regexp.MustCompile(`^[a-zA-Z0-9][-a-zA-Z0-9:./_]*$`)
)

// FuzzCompress checks the round trip, and that a body never grows.
func FuzzCompress(f *testing.F) {
	f.Add([]byte(strings.Repeat(`{"value":71.4}`, 50)))
	f.Add([]byte{})
	f.Add([]byte{0xff, 0x00})
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, kind := range []string{None, Gzip, Zstd} {
			packed, encoding, err := Compress(kind, body)
			if err != nil || len(packed) > len(body) {
				t.Fatalf("%s: %d bytes of %d: %v", kind, len(packed), len(body), err)
			}
			if back := unpack(t, encoding, packed); !bytes.Equal(back, body) {
				t.Fatalf("%s: %q came back as %q", kind, body, back)
			}
		}
	})
}

func unpack(t testing.TB, encoding string, packed []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(packed)
	switch encoding {
	case Gzip:
		g, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		r = g
	case Zstd:
		z, err := zstd.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		r = z
	}
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestCompressUnknown(t *testing.T) {
	if _, _, err := Compress("lz4", nil); err == nil || !strings.Contains(err.Error(), "gzip or zstd") {
		t.Errorf("lz4: %v", err)
	}
}
