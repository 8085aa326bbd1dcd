package serial

import (
	"strings"

	"fieldgate/drivers"
)

// nmeaContent is NMEA 0183: "$IIMWV,181.5,R,4.2,M,A". Sentences are known by
// their last three letters, whoever talks; proprietary ones by the whole word.
type nmeaContent struct{}

func (nmeaContent) open(frame []byte) (fields, bool) {
	if len(frame) < 2 || frame[0] != '$' && frame[0] != '!' {
		return nil, false
	}
	line := string(frame[1:])
	if star := strings.LastIndexByte(line, '*'); star >= 0 {
		line = line[:star]
	}
	parts := strings.Split(line, ",")
	return nmeaFields{parts}, true
}

// nmeaFields are the fields behind the address; number 0 is the address.
type nmeaFields struct{ parts []string }

func (f nmeaFields) is(sentence string) bool {
	address := f.parts[0]
	if len(address) == 5 && address[0] != 'P' { // two letters of talker, three of sentence
		return address[2:] == sentence || address == sentence
	}
	return address == sentence
}

func (f nmeaFields) text(p *pick) (string, bool) {
	i := p.index
	if i < 0 || i >= len(f.parts) {
		return "", false
	}
	if p.typ.name == "lat" || p.typ.name == "lon" {
		if i+1 >= len(f.parts) {
			return "", false
		}
		return f.parts[i] + "," + f.parts[i+1], true // 6325.6138,N
	}
	return f.parts[i], true
}

func (f nmeaFields) value(p *pick) (drivers.Value, string) {
	if p.sentence != "" && !f.is(p.sentence) {
		return drivers.Value{}, absent
	}
	return textValue(f, p, drivers.ReasonParse)
}

// parseAngle reads "ddmm.mmmm,N" or "dddmm.mmmm,E" as degrees, south and west
// negative.
func parseAngle(text string, latitude bool) (drivers.Value, string) {
	number, side, _ := strings.Cut(text, ",")
	number, side = strings.TrimSpace(number), strings.TrimSpace(side)
	if number == "" || side == "" {
		return drivers.Value{}, drivers.ReasonInvalid
	}
	limit, positive, negative := 180.0, "E", "W"
	if latitude {
		limit, positive, negative = 90, "N", "S"
	}
	whole, _, _ := strings.Cut(number, ".")
	if !isDigits(whole) || len(whole) < 3 || side != positive && side != negative {
		return drivers.Value{}, drivers.ReasonParse
	}
	// Cut as text: 4807.038 - 4800 is not 7.038 in binary.
	degrees, _ := parseFloat(whole[:len(whole)-2], 64)
	minutes, reason := parseFloat(number[len(whole)-2:], 64)
	angle := degrees + minutes/60
	if reason != "" || minutes >= 60 || angle > limit {
		return drivers.Value{}, drivers.ReasonParse
	}
	if side == negative {
		angle = -angle
	}
	return drivers.FloatValue(angle), ""
}

// parseTime reads "hhmmss.ss" as "hh:mm:ss.ss": the instrument's own idea of
// the time, which is a value like any other and never the time of a sample.
func parseTime(text string) (drivers.Value, string) {
	if text == "" {
		return drivers.Value{}, drivers.ReasonInvalid
	}
	whole, fraction, _ := strings.Cut(text, ".")
	if len(whole) != 6 || !isDigits(whole) || fraction != "" && !isDigits(fraction) ||
		whole[:2] > "23" || whole[2:4] > "59" || whole[4:] > "60" {
		return drivers.Value{}, drivers.ReasonParse
	}
	out := whole[:2] + ":" + whole[2:4] + ":" + whole[4:]
	if fraction != "" {
		out += "." + fraction
	}
	return drivers.StringValue(out), ""
}
