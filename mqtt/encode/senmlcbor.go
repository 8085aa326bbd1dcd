package encode

import (
	"fmt"
	"strconv"

	"github.com/fxamacker/cbor/v2"
)

// The labels of SenML in CBOR (RFC 8428 §6, table 4).
const (
	labelBaseTime    = -3
	labelBaseName    = -2
	labelName        = 0
	labelUnit        = 1
	labelValue       = 2
	labelStringValue = 3
	labelBoolValue   = 4
	labelTime        = 6
)

var cborMode = func() cbor.EncMode {
	m, err := cbor.CoreDetEncOptions().EncMode() // shortest floats, sorted keys: same samples, same bytes
	if err != nil {
		panic(err) // the options are constants
	}
	return m
}()

// senmlCBOR writes the pack of senml in CBOR.
func (e *Encoder) senmlCBOR(items []Item) ([]byte, error) {
	records := e.records(items)
	pack := make([]map[any]any, len(records))
	for i, r := range records {
		pack[i] = r.cbor()
	}
	body, err := cborMode.Marshal(pack)
	if err != nil {
		return nil, fmt.Errorf("encode senml-cbor: %w", err)
	}
	return body, nil
}

func (r record) cbor() map[any]any {
	m := map[any]any{labelName: r.name}
	if r.baseName != "" {
		m[labelBaseName] = r.baseName
	}
	if r.baseTime != "" {
		m[labelBaseTime] = senmlTime(r.baseTime)
	}
	if r.unit != "" {
		m[labelUnit] = r.unit
	}
	if r.time != "" {
		m[labelTime] = senmlTime(r.time)
	}
	if r.unsynced {
		m["clock"] = "unsynced"
	}
	switch r.value.kind {
	case isBool:
		m[labelBoolValue] = r.value.text == "true"
	case isNumber:
		if n, ok := cborNumber(r.value.text); ok {
			m[labelValue] = n
		} else {
			m[labelStringValue] = r.value.text // beyond what 64 bits hold
		}
	default:
		m[labelStringValue] = r.value.plain()
	}
	return m
}

// cborNumber is an integer where the text is one, exact to 64 bits, else a float.
func cborNumber(text string) (any, bool) {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i, true
	}
	if u, err := strconv.ParseUint(text, 10, 64); err == nil {
		return u, true
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil
}
