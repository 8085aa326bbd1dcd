package drivers

import (
	"encoding/json"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"fieldgate/buffer/clock"
)

// senmlRecord is one record of RFC 8428; the numbers are the CBOR labels of
// its table 4.
type senmlRecord struct {
	Name  string      `json:"n" cbor:"0,keyasint"`
	Unit  string      `json:"u,omitempty" cbor:"1,keyasint,omitempty"`
	Value json.Number `json:"v,omitempty" cbor:"-"`
	Float *float64    `json:"-" cbor:"2,keyasint,omitempty"`
	Text  *string     `json:"vs,omitempty" cbor:"3,keyasint,omitempty"`
	Bool  *bool       `json:"vb,omitempty" cbor:"4,keyasint,omitempty"`
	Time  float64     `json:"t" cbor:"6,keyasint"`
}

// senmlUnits are the names of RFC 8428 §12.1 for units that people write
// otherwise; every other unit goes as it stands.
var senmlUnits = map[string]string{"°C": "Cel", "℃": "Cel", "degC": "Cel", "°": "deg", "%RH": "%RH", "m³": "m3", "m²": "m2", "Ω": "Ohm", "l": "l", "s": "s"}

// senml is a reading as one record. SenML knows no absent value, so a bad
// reading is the text record NAME/quality.
func senml(m *Mapping, r *Reading) senmlRecord {
	rec := senmlRecord{
		Name: senmlName(m.gateway.ID + "/" + r.Sample.Device + "/" + r.Sample.Tag),
		Unit: r.Unit, Time: float64(clock.Wall(r.Time).UnixMilli()) / 1000,
	}
	if u, ok := senmlUnits[r.Unit]; ok {
		rec.Unit = u
	}
	if r.Quality == Bad {
		text := "bad " + r.Reason
		rec.Name, rec.Unit, rec.Text = rec.Name+"/quality", "", &text
		return rec
	}
	if b, ok := r.Value.Bool(); ok {
		rec.Bool = &b
	} else if f, ok := r.Value.Float(); ok {
		rec.Value, rec.Float = json.Number(r.Value.AppendJSON(nil)), &f
	} else {
		text := r.Value.String()
		rec.Text = &text
	}
	return rec
}

func senmlJSON(m *Mapping, r *Reading) ([]byte, error) {
	return json.Marshal([]senmlRecord{senml(m, r)})
}

func senmlCBOR(m *Mapping, r *Reading) ([]byte, error) {
	return cbor.Marshal([]senmlRecord{senml(m, r)})
}

// senmlName keeps to the characters of RFC 8428 §4.5.1.
func senmlName(name string) string {
	name = strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.ContainsRune("-:./_", c):
			return c
		}
		return '_'
	}, name)
	return strings.TrimLeft(name, "-:./_")
}
