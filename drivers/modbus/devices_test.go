package modbus

import (
	"encoding/binary"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// words makes registers from bytes as they came over the line.
func words(t *testing.T, start uint16, hexText string) map[uint16]uint16 {
	t.Helper()
	b := hexBytes(t, strings.ReplaceAll(hexText, " ", ""))
	out := map[uint16]uint16{}
	for i := 0; i+1 < len(b); i += 2 {
		out[start+uint16(i/2)] = binary.BigEndian.Uint16(b[i:])
	}
	return out
}

// TestDeviceMaps reads what real devices would answer: their maps, with values
// of our own.
func TestDeviceMaps(t *testing.T) {
	scaled := func(name, reg string, scale float64) Tag { return Tag{Name: name, Reg: reg, Scale: &scale} }
	for _, c := range []struct {
		name string
		unit *fakeUnit
		tags []Tag
		want map[string]string
	}{
		{"Peacefair PZEM-004T v3",
			&fakeUnit{input: words(t, 0, "08 fa 11 75 00 01 74 6d 00 02 1f 41 00 00 01 f3 00 61 00 00")},
			[]Tag{scaled("volts", "i0", 0.1), scaled("amps", "i1:uint32@CDAB", 0.001), scaled("watts", "i3:uint32@CDAB", 0.1),
				tag("wh", "i5:uint32@CDAB"), scaled("hz", "i7", 0.1), scaled("pf", "i8", 0.01), tag("alarm", "i9")},
			map[string]string{"volts": "229.8", "amps": "70.005", "watts": "16087.7", "wh": "8001", "hz": "49.9", "pf": "0.97", "alarm": "0"}},
		{"a meter by SunSpec model 203",
			&fakeUnit{holding: words(t, 40190, "00 57 00 20 00 10 00 27 ff ff 59 e3 59 e4 59 e5 59 e6 00 00 00 00 00 00 00 00 ff fe 13 8b ff fe ff b3 01 f4 fe d3 fe ec 00 00")},
			[]Tag{{Name: "amps", Reg: "h40190:int16", ScaleTag: "h40194:int16"}, {Name: "volts", Reg: "h40195:int16", ScaleTag: "h40203:int16"},
				{Name: "hz", Reg: "h40204:int16", ScaleTag: "h40205:int16"}, {Name: "watts", Reg: "h40206:int16", ScaleTag: "w_sf"},
				{Name: "watts_b", Reg: "h40208:int16", ScaleTag: "w_sf"}, {Name: "w_sf", Reg: "h40210:int16"}},
			map[string]string{"amps": "8.7", "volts": "230.11", "hz": "50.03", "watts": "-77", "watts_b": "-301", "w_sf": "0"}},
		{"Eastron SDM630", &fakeUnit{input: words(t, 0, "43 65 c0 00")},
			[]Tag{tag("volts", "30001:float32")}, map[string]string{"volts": "229.75"}},
		{"XY-MD02", &fakeUnit{input: words(t, 1, "ff 9b 02 22")},
			[]Tag{scaled("temp", "i1:int16", 0.1), scaled("humidity", "i2", 0.1)}, map[string]string{"temp": "-10.1", "humidity": "54.6"}},
		{"Sungrow type code", &fakeUnit{input: words(t, 4999, "0e 27")}, []Tag{tag("type", "i4999")}, map[string]string{"type": "3623"}},
		{"SunSpec marker", &fakeUnit{holding: words(t, 40000, "53 75 6e 53")}, []Tag{tag("mark", "h40000:string4")}, map[string]string{"mark": "SunS"}},
		{"ABB B23, undefined values", &fakeUnit{holding: words(t, 0x5B00, "ff ff ff ff 7f ff ff ff 00 00 09 2d")},
			[]Tag{{Name: "a", Reg: "h0x5B00:uint32", Invalid: "ff"}, {Name: "b", Reg: "h0x5B02:int32", Invalid: "7fff"}, {Name: "c", Reg: "h0x5B04:uint32", Scale: ptr(0.1), Invalid: "ff"}},
			map[string]string{"a": "bad(invalid)", "b": "bad(invalid)", "c": "234.9"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, newFakeLine(map[byte]*fakeUnit{1: c.unit}), nil, dev("x", 1, c.tags...))
				defer b.stop()
				b.run(2500 * time.Millisecond)
				for name, want := range c.want {
					if got := b.last("x", name); got != want {
						t.Errorf("%s: %s, want %s", name, got, want)
					}
				}
			})
		})
	}
}
