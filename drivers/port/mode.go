package port

import (
	"fmt"
	"strings"
	"time"

	"go.bug.st/serial"
)

// Mode is a character format: data bits, parity and stop bits, as in "8E1".
// The zero Mode stands for 8N1.
type Mode struct {
	DataBits int  // 5 to 8
	Parity   byte // 'N', 'E', 'O', 'M' (mark) or 'S' (space)
	StopBits int  // 1 or 2
}

// Mode8N1 is what most field devices use.
var Mode8N1 = Mode{DataBits: 8, Parity: 'N', StopBits: 1}

// ParseMode reads "8E1", "7O1", "8n2". An empty text is 8N1.
func ParseMode(text string) (Mode, error) {
	if text == "" {
		return Mode8N1, nil
	}
	bad := func(what string) (Mode, error) {
		return Mode{}, fmt.Errorf(`mode %q: %s; write data bits, parity and stop bits, as "8N1", "8E1" or "7O1"`, text, what)
	}
	if strings.HasSuffix(text, "1.5") {
		return bad("1.5 stop bits are not possible on Linux")
	}
	if len(text) != 3 {
		return bad("three characters are needed")
	}
	m := Mode{DataBits: int(text[0]) - '0', Parity: text[1] &^ 0x20, StopBits: int(text[2]) - '0'}
	switch {
	case m.DataBits < 5 || m.DataBits > 8:
		return bad("data bits are 5, 6, 7 or 8")
	case !strings.ContainsRune("NEOMS", rune(m.Parity)):
		return bad("parity is N, E, O, M or S")
	case m.StopBits != 1 && m.StopBits != 2:
		return bad("stop bits are 1 or 2")
	}
	return m, nil
}

// String is the text ParseMode reads.
func (m Mode) String() string {
	m = m.orDefault()
	return fmt.Sprintf("%d%c%d", m.DataBits, m.Parity, m.StopBits)
}

// Bits is the length of one character on the line, start bit included:
// 10 for 8N1, 11 for 8E1.
func (m Mode) Bits() int {
	m = m.orDefault()
	bits := 1 + m.DataBits + m.StopBits
	if m.Parity != 'N' {
		bits++
	}
	return bits
}

// CharTime is how long one character occupies the line.
func (m Mode) CharTime(baud int) time.Duration {
	return time.Duration(m.Bits()) * time.Second / time.Duration(max(baud, 1))
}

func (m Mode) orDefault() Mode {
	if m == (Mode{}) {
		return Mode8N1
	}
	return m
}

// library is the mode in the words of go.bug.st/serial.
func (m Mode) library(baud int) *serial.Mode {
	m = m.orDefault()
	lib := &serial.Mode{BaudRate: baud, DataBits: m.DataBits, StopBits: serial.OneStopBit}
	if m.StopBits == 2 {
		lib.StopBits = serial.TwoStopBits
	}
	switch m.Parity {
	case 'E':
		lib.Parity = serial.EvenParity
	case 'O':
		lib.Parity = serial.OddParity
	case 'M':
		lib.Parity = serial.MarkParity
	case 'S':
		lib.Parity = serial.SpaceParity
	default:
		lib.Parity = serial.NoParity
	}
	return lib
}
