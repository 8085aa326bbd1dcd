package conformance

import "encoding/binary"

// form is how a property's value is written.
type form byte

const (
	oneByte form = iota
	yesOrNo      // one byte, 0 or 1
	twoBytes
	fourBytes
	number // a variable byte integer
	textual
	binaryData
	pair
)

// The places of properties, as in table 2-4 of MQTT 5.0.
const (
	inConnect     = "CONNECT"
	inWill        = "will"
	inPublish     = "PUBLISH"
	inPuback      = "PUBACK"
	inPubrec      = "PUBREC"
	inPubrel      = "PUBREL"
	inPubcomp     = "PUBCOMP"
	inSubscribe   = "SUBSCRIBE"
	inUnsubscribe = "UNSUBSCRIBE"
	inDisconnect  = "DISCONNECT"
)

// property is a row of table 2-4, with the places a client may write it in.
type property struct {
	name    string
	form    form
	in      []string
	noZero  bool // 0 is a protocol error
	repeats bool
}

var message = []string{inPublish, inWill}

// propertyForms is written from the specification, not from the code.
var propertyForms = map[byte]property{
	0x01: {"payload format indicator", yesOrNo, message, false, false},
	0x02: {"message expiry interval", fourBytes, message, false, false},
	0x03: {"content type", textual, message, false, false},
	0x08: {"response topic", textual, message, false, false},
	0x09: {"correlation data", binaryData, message, false, false},
	0x0B: {"subscription identifier", number, []string{inSubscribe}, true, false},
	0x11: {"session expiry interval", fourBytes, []string{inConnect, inDisconnect}, false, false},
	0x12: {"assigned client identifier", textual, nil, false, false},
	0x13: {"server keep alive", twoBytes, nil, false, false},
	0x15: {"authentication method", textual, []string{inConnect}, false, false},
	0x16: {"authentication data", binaryData, []string{inConnect}, false, false},
	0x17: {"request problem information", yesOrNo, []string{inConnect}, false, false},
	0x18: {"will delay interval", fourBytes, []string{inWill}, false, false},
	0x19: {"request response information", yesOrNo, []string{inConnect}, false, false},
	0x1A: {"response information", textual, nil, false, false},
	0x1C: {"server reference", textual, []string{inDisconnect}, false, false},
	0x1F: {"reason string", textual, []string{inPuback, inPubrec, inPubrel, inPubcomp, inDisconnect}, false, false},
	0x21: {"receive maximum", twoBytes, []string{inConnect}, true, false},
	0x22: {"topic alias maximum", twoBytes, []string{inConnect}, false, false},
	0x23: {"topic alias", twoBytes, []string{inPublish}, true, false},
	0x24: {"maximum QoS", yesOrNo, nil, false, false},
	0x25: {"retain available", yesOrNo, nil, false, false},
	0x26: {"user property", pair, []string{inConnect, inWill, inPublish, inPuback, inPubrec, inPubrel, inPubcomp, inSubscribe, inUnsubscribe, inDisconnect}, false, true},
	0x27: {"maximum packet size", fourBytes, []string{inConnect}, true, false},
	0x28: {"wildcard subscription available", yesOrNo, nil, false, false},
	0x29: {"subscription identifiers available", yesOrNo, nil, false, false},
	0x2A: {"shared subscription available", yesOrNo, nil, false, false},
}

// size is the number of bytes of a value that b begins with.
func (p property) size(b []byte) int {
	text := func(at int) int {
		if len(b) < at+2 {
			return len(b)
		}
		return 2 + int(binary.BigEndian.Uint16(b[at:]))
	}
	n := 1
	switch p.form {
	case twoBytes:
		n = 2
	case fourBytes:
		n = 4
	case number:
		_, n = readVarint(b)
	case textual, binaryData:
		n = text(0)
	case pair:
		n = text(0)
		n += text(n)
	}
	return min(n, len(b))
}

// sample is a value that the property may have.
func (p property) sample() string {
	return map[form]string{
		yesOrNo: "01", twoBytes: "0005", fourBytes: "00001000", number: "05", textual: "'v'", binaryData: "'v'", pair: "'n' 'v'",
	}[p.form]
}

// outOfRange is 0, or a flag that is neither 0 nor 1; empty where nothing is out of range.
func (p property) outOfRange() string {
	switch {
	case p.form == yesOrNo:
		return "02"
	case p.noZero:
		return map[form]string{twoBytes: "0000", fourBytes: "00000000", number: "00"}[p.form]
	}
	return ""
}
