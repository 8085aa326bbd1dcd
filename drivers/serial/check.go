package serial

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
)

type verdict uint8

const (
	checkGood   verdict = iota
	checkAbsent         // the check is optional and not there
	checkBad
)

// checkKinds in the order in which they are offered to people.
var checkKinds = []string{
	"none", "xor8", "sum8", "neg8", "neg7", "sum16be", "sum16le",
	"crc16-modbus", "crc16-arc", "crc16-x25", "crc16-ccitt", "crc16-xmodem", "crc16-kermit",
	"nmea", "sum8-hex", "crc16-arc-hex",
}

// checker proves frames. The zero checker accepts everything.
type checker struct {
	kind     string
	span     span   // what is summed; without an end: up to the check
	at       int    // where the check stands; from the end if negative
	after    []byte // where set: the check follows the last one of these markers, at is not used
	order    string // le or be, for crc16-*
	optional bool
}

// sum8 is the sum of all bytes modulo 256.
func sum8(data []byte) (s byte) {
	for _, b := range data {
		s += b
	}
	return s
}

func xor8(data []byte) (x byte) {
	for _, b := range data {
		x ^= b
	}
	return x
}

// sum7 adds the low seven bits only (Toledo).
func sum7(data []byte) (s byte) {
	for _, b := range data {
		s += b & 0x7F
	}
	return s
}

func sum16(data []byte) (s uint16) {
	for _, b := range data {
		s += uint16(b)
	}
	return s
}

// compute returns the check over data as it stands in a frame.
func (c *checker) compute(data []byte) []byte {
	if crc, ok := crcs[c.kind]; ok {
		return order16(crc.sum(data), c.order == "be")
	}
	switch c.kind {
	case "xor8":
		return []byte{xor8(data)}
	case "sum8":
		return []byte{sum8(data)}
	case "neg8":
		return []byte{-sum8(data)}
	case "neg7":
		return []byte{-sum7(data) & 0x7F}
	case "sum16be":
		return order16(sum16(data), true)
	case "sum16le":
		return order16(sum16(data), false)
	case "nmea":
		return fmt.Appendf(nil, "%02X", xor8(data))
	case "sum8-hex":
		return fmt.Appendf(nil, "%02X", sum8(data))
	case "crc16-arc-hex":
		return fmt.Appendf(nil, "%04X", crcs["crc16-arc"].sum(data))
	}
	return nil
}

func order16(v uint16, bigEndian bool) []byte {
	if bigEndian {
		return []byte{byte(v >> 8), byte(v)}
	}
	return []byte{byte(v), byte(v >> 8)}
}

// size is the number of bytes the check takes in a frame.
func (c *checker) size() int { return len(c.compute(nil)) }

// isText reports a check written as hex digits.
func (c *checker) isText() bool {
	return c.kind == "nmea" || c.kind == "sum8-hex" || c.kind == "crc16-arc-hex"
}

func (c *checker) verify(frame []byte) verdict {
	switch {
	case c.kind == "" || c.kind == "none":
		return checkGood
	case c.kind == "nmea":
		return c.verifyNMEA(frame)
	}
	at := c.position(frame)
	if at < 0 || at > len(frame) {
		return checkBad
	}
	lo, hi, ok := c.span.in(len(frame), at)
	if !ok {
		return checkBad
	}
	want := c.compute(frame[lo:hi])
	if c.isText() {
		end := len(frame)
		if c.after == nil {
			end = min(end, at+len(want))
		}
		return c.compareHex(frame[at:end], want)
	}
	if at+len(want) > len(frame) {
		return checkBad
	}
	got := frame[at : at+len(want)]
	if c.kind == "neg7" { // the top bit is parity
		got = []byte{got[0] & 0x7F}
	}
	if !bytes.Equal(got, want) {
		return checkBad
	}
	return checkGood
}

// position is where the check stands in a frame, or -1.
func (c *checker) position(frame []byte) int {
	if c.after != nil {
		at := bytes.LastIndex(frame, c.after)
		if at < 0 {
			return -1
		}
		return at + len(c.after)
	}
	if c.at < 0 {
		return len(frame) + c.at
	}
	return c.at
}

// compareHex compares digits as numbers: the leading zeros may be missing.
func (c *checker) compareHex(got, want []byte) verdict {
	got = bytes.TrimRight(got, "\r\n ")
	if len(got) == 0 {
		return c.absent()
	}
	if len(got) > len(want) {
		return checkBad
	}
	g, err := strconv.ParseUint(string(got), 16, 16)
	w, _ := strconv.ParseUint(string(want), 16, 16) // made by compute
	if err != nil || g != w {
		return checkBad
	}
	return checkGood
}

func (c *checker) absent() verdict {
	if c.optional {
		return checkAbsent
	}
	return checkBad
}

// verifyNMEA checks "$…*hh": XOR of all between the start character and the
// star (NMEA 0183 §5.3.1.5).
func (c *checker) verifyNMEA(frame []byte) verdict {
	if len(frame) == 0 || frame[0] != '$' && frame[0] != '!' {
		return checkBad
	}
	star := bytes.LastIndexByte(frame, '*')
	if star < 0 {
		return c.absent()
	}
	digits := bytes.TrimRight(frame[star+1:], "\r\n ")
	if len(digits) != 2 {
		return checkBad
	}
	return c.compareHex(digits, c.compute(frame[1:star]))
}

// appendTo appends a request's check over what stands before it.
func (c *checker) appendTo(request []byte) []byte {
	data := request
	if c.kind == "nmea" {
		data = bytes.TrimSuffix(bytes.TrimLeft(request, "$!"), []byte("*"))
	}
	if c.kind != "nmea" {
		data = data[min(max(c.span.from, 0), len(data)):]
	}
	return append(slices.Clone(request), c.compute(data)...)
}
