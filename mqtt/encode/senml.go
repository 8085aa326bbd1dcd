package encode

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// senml writes a SenML pack in JSON (RFC 8428 §5):
//
//	[{"bn":"gw1/","bt":1767225600.123,"n":"boiler2/water_temp","u":"Cel","v":71.4},
//	 {"n":"boiler2/pressure","u":"bar","v":1.2,"t":0.4}]
//
// A record must hold a value, so the reason of a value that is not good is a
// text of its own under the name with ":error". Units that the registry knows
// by another name are translated, others go as they are.
func (e *Encoder) senml(items []Item) ([]byte, error) {
	records := e.records(items)
	dst := make([]byte, 0, 64+64*len(records))
	dst = append(dst, '[')
	for i, r := range records {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(r.appendJSON(append(dst, '{')), '}')
	}
	return append(dst, ']'), nil
}

// record is one SenML record before it has a representation.
type record struct {
	baseName string
	baseTime string // decimal seconds, empty: none
	name     string
	unit     string
	value    scalar
	time     string // decimal seconds, empty: none
	unsynced bool
}

func (r record) appendJSON(dst []byte) []byte {
	if r.baseName != "" {
		dst = AppendString(appendKey(dst, "bn"), r.baseName)
	}
	if r.baseTime != "" {
		dst = append(appendKey(dst, "bt"), r.baseTime...)
	}
	dst = AppendString(appendKey(dst, "n"), r.name)
	if r.unit != "" {
		dst = AppendString(appendKey(dst, "u"), r.unit)
	}
	switch r.value.kind {
	case isNumber:
		dst = append(appendKey(dst, "v"), r.value.text...)
	case isBool:
		dst = append(appendKey(dst, "vb"), r.value.text...)
	default:
		dst = append(appendKey(dst, "vs"), r.value.text...)
	}
	if r.time != "" {
		dst = append(appendKey(dst, "t"), r.time...)
	}
	return appendClock(dst, !r.unsynced) // unknown labels are ignored by readers, RFC 8428 §4.4
}

// absolute is where times stop being relative to now (RFC 8428 §4.5.3): a
// gateway whose clock stands in 1970 must send "seconds ago" instead.
const absolute = 1 << 28

// records resolves names, units and times. The first record carries the base
// name and, where all times are absolute, the base time.
func (e *Encoder) records(items []Item) []record {
	var out []record
	base, based := int64(0), true
	for _, it := range items {
		ms, _ := e.millis(it.Sample.Time)
		based = based && ms >= absolute*1000
	}
	if based {
		base, _ = e.millis(items[0].Sample.Time)
	}
	for _, it := range items {
		s := it.Sample
		ms, synced := e.millis(s.Time)
		r := record{name: senmlName(s.Device) + "/" + senmlName(s.Tag), unit: senmlUnit(s.Unit), unsynced: !synced}
		r.value = parseScalar(s.Value)
		switch {
		case based && ms != base:
			r.time = seconds(ms - base)
		case !based:
			r.time = e.ago(ms)
		}
		if r.value.kind != isNull {
			out = append(out, r)
		}
		if fault := faultOf(s); fault != "" || r.value.kind == isNull {
			if fault == "" {
				fault = "null"
			}
			r.name, r.unit, r.value = r.name+":error", "", parseScalar(string(AppendString(nil, fault)))
			out = append(out, r)
		}
	}
	if e.o.Gateway != "" {
		out[0].baseName = senmlBase(e.o.Gateway)
	}
	if based {
		out[0].baseTime = seconds(base)
	}
	return out
}

// ago is a time relative to now, as both stand on the same clock.
func (e *Encoder) ago(ms int64) string {
	now, _ := e.o.Wall(e.o.Now())
	return seconds(min(ms-now.UnixMilli(), 0))
}

// seconds is milliseconds as decimal seconds without needless zeros.
func seconds(ms int64) string {
	sign := ""
	if ms < 0 {
		sign, ms = "-", -ms
	}
	s := sign + strconv.FormatInt(ms/1000, 10)
	if frac := ms % 1000; frac != 0 {
		s += strings.TrimRight(fmt.Sprintf(".%03d", frac), "0")
	}
	return s
}

// senmlName keeps the characters that RFC 8428 §4.5.1 allows in a name and
// writes any other as _uHEX_, so that different names stay different.
func senmlName(name string) string {
	var b strings.Builder
	for _, r := range name {
		if r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-:._", r)) {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, "_u%X_", r)
	}
	return b.String()
}

// senmlBase is the base name; with it every name begins with a letter or a
// digit, as it must.
func senmlBase(gateway string) string {
	name := senmlName(gateway)
	if c := name[0]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
		return name + "/"
	}
	return "gw" + name + "/"
}

// senmlUnit translates what people write into the registries of RFC 8428
// §12.1 and RFC 8798.
func senmlUnit(unit string) string {
	if u, ok := senmlUnits[unit]; ok {
		return u
	}
	return strings.ToValidUTF8(unit, "\uFFFD")
}

var senmlUnits = map[string]string{
	"°C": "Cel", "℃": "Cel", "degC": "Cel", "°F": "degF", "%": "%", "%RH": "%RH", "Ω": "Ohm", "°": "deg",
	"m³": "m3", "m3": "m3", "m³/h": "m3/h", "m³/s": "m3/s", "m/s²": "m/s2", "m²": "m2", "kW·h": "kWh",
	"µg/m³": "ug/m3", "μg/m³": "ug/m3", "ug/m³": "ug/m3", "L": "l", "L/s": "l/s", "1/min": "1/min", "VAr": "var", "kVAr": "kvar",
	"VArh": "varh", "kVArh": "kvarh", "pH": "pH", "lux": "lx", "µS/cm": "uS/cm",
}

// senmlTime is a decimal text of seconds as a float64, which CBOR carries.
func senmlTime(text string) float64 {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return math.NaN() // the text is ours
	}
	return f
}
