package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"fieldgate/drivers/port"
)

func TestImpossibleRequests(t *testing.T) {
	for name, tc := range map[string]struct {
		req  Request
		want string
	}{
		"no function":          {Request{}, "1 to 127"},
		"function 0x83":        {Request{Function: 0x83}, "1 to 127"},
		"no registers":         {Request{Function: 3}, "quantity 0"},
		"too many registers":   {Request{Function: 4, Quantity: 126}, "1 to 125"},
		"too many bits":        {Request{Function: 1, Quantity: 2001}, "1 to 2000"},
		"beyond the end":       {Request{Function: 3, Address: 65535, Quantity: 2}, "beyond 65535"},
		"data with a read":     {Request{Function: 3, Quantity: 1, Data: []byte{1}}, "need 0"},
		"a coil of one byte":   {Request{Function: 5, Data: []byte{1}}, "need 2"},
		"coils too short":      {Request{Function: 15, Quantity: 9, Data: []byte{1}}, "need 2"},
		"registers too long":   {Request{Function: 16, Quantity: 1, Data: []byte{1, 2, 3}}, "need 2"},
		"too many to write":    {Request{Function: 16, Quantity: 124, Data: make([]byte, 248)}, "1 to 123"},
		"mask too short":       {Request{Function: 0x16, Data: []byte{1}}, "need 4"},
		"read-write mismatch":  {Request{Function: 0x17, Quantity: 1, Data: []byte{0, 0, 0, 2, 1, 1}}, "does not match"},
		"read-write nothing":   {Request{Function: 0x17, Quantity: 1}, "does not match"},
		"frame beyond 256":     {Request{Function: 0x42, Data: make([]byte, 253)}, "do not fit"},
		"read-write beyond it": {Request{Function: 0x17, Quantity: 1, Data: append([]byte{0, 0, 0, 122}, make([]byte, 244)...)}, "do"},
	} {
		_, err := tc.req.pdu()
		if !errors.Is(err, ErrRequest) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func TestPDU(t *testing.T) {
	for _, tc := range []struct {
		req  Request
		want string
	}{
		{Request{Function: 1, Address: 0x13, Quantity: 0x13}, "00 13 00 13"}, // the examples of Modbus V1.1b3 §6
		{Request{Function: 3, Address: 0x6B, Quantity: 3}, "00 6b 00 03"},
		{Request{Function: 5, Address: 0xAC, Data: []byte{0xFF, 0}}, "00 ac ff 00"},
		{Request{Function: 6, Address: 1, Data: []byte{0, 3}}, "00 01 00 03"},
		{Request{Function: 15, Address: 0x13, Quantity: 10, Data: []byte{0xCD, 1}}, "00 13 00 0a 02 cd 01"},
		{Request{Function: 16, Address: 1, Quantity: 2, Data: []byte{0, 0x0A, 1, 2}}, "00 01 00 02 04 00 0a 01 02"},
		{Request{Function: 0x16, Address: 4, Data: []byte{0, 0xF2, 0, 0x25}}, "00 04 00 f2 00 25"},
		{Request{Function: 0x17, Address: 3, Quantity: 6, Data: []byte{0, 0x0E, 0, 3, 0, 0xFF, 0, 0xFF, 0, 0xFF}}, "00 03 00 06 00 0e 00 03 06 00 ff 00 ff 00 ff"},
		{Request{Function: 0x2B, Data: []byte{0x0E, 1, 0}}, "0e 01 00"},
	} {
		pdu, err := tc.req.pdu()
		if err != nil || !bytes.Equal(pdu.Data, unhex(t, tc.want)) {
			t.Errorf("function %d: % x, %v; want %s", tc.req.Function, pdu.Data, err, tc.want)
		}
	}
}

func TestCheck(t *testing.T) {
	read := Request{Function: 3, Address: 10, Quantity: 2}
	six := Request{Function: 6, Address: 10, Data: []byte{1, 2}}
	sixteen := Request{Function: 16, Address: 10, Quantity: 2, Data: []byte{1, 2, 3, 4}}
	for name, tc := range map[string]struct {
		req          Request
		answer, want string // want: what Reply carries, or the text of the error
	}{
		"read":               {read, "04 01 02 03 04", "01 02 03 04"},
		"read, short":        {read, "02 01 02", "3 bytes to function 3, asked for 5"},
		"read, false count":  {read, "05 01 02 03 04", "announces 5 bytes and has 4"},
		"read, empty":        {read, "", "0 bytes"},
		"write":              {six, "00 0a 01 02", "00 0a 01 02"},
		"write, limited":     {six, "00 0a 01 00", "the device shows 01 00"},
		"write, elsewhere":   {six, "00 0b 01 02", "written was address 10, the answer says 11"},
		"writes":             {sixteen, "00 0a 00 02", "00 0a 00 02"},
		"writes, fewer":      {sixteen, "00 0a 00 01", "the device shows 00 01"},
		"own function, any":  {Request{Function: 0x42}, "01 02 03", "01 02 03"},
		"diagnostics, short": {Request{Function: 8, Data: []byte{0, 0, 1, 2}}, "00 00", "2 bytes"},
	} {
		data, err := tc.req.check(unhex(t, tc.answer))
		if err != nil {
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %v, want %q", name, err, tc.want)
			}
			if (err.Shown != nil) != (name == "write, limited") {
				t.Errorf("%s: shown % x", name, err.Shown)
			}
			continue
		}
		if fmt.Sprintf("% x", data) != tc.want {
			t.Errorf("%s: % x, want %s", name, data, tc.want)
		}
	}
}

func TestCRC(t *testing.T) {
	if got := crc16([]byte("123456789")); got != 0x4B37 {
		t.Errorf("got %04X", got)
	}
	if got := crc16(unhex(t, "01 03 00 00 00 01 84 0a")); got != 0 {
		t.Errorf("a whole frame gives %04X", got)
	}
}

func TestReason(t *testing.T) {
	for want, err := range map[string]error{
		"":             nil,
		"exception:2":  fmt.Errorf("x: %w", &Exception{3, 2}),
		"parse":        &ReplyError{Text: "x"},
		"timeout":      fmt.Errorf("%w within 1s", ErrTimeout),
		"crc":          ErrCRC,
		"config":       ErrRequest,
		"not_read":     context.Canceled,
		"port":         fmt.Errorf("%w: %w", ErrGone, os.ErrNotExist),
		"exception:13": &Exception{3, 13},
	} {
		if got := Reason(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}

// TestFrameCost compares with the published table of polls: T = (13+2n) tc + 2 t3.5.
func TestFrameCost(t *testing.T) {
	mode := func(text string) port.Mode {
		m, err := port.ParseMode(text)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, tc := range []struct {
		baud  int
		mode  string
		n     uint16
		bytes int
		want  time.Duration // ms with one decimal, less the unit's t3.5 where the table has it
	}{
		{9600, "8E1", 1, 15, 25200}, {9600, "8E1", 125, 263, 309400}, {9600, "8N1", 10, 33, 41700},
		{19200, "8N1", 1, 15, 11500}, {38400, "8E1", 50, 113, 35900}, {115200, "8N1", 125, 263, 26300},
	} {
		bytes, d := FrameCost(Config{Kind: RTU, Baud: tc.baud, Mode: mode(tc.mode)}, Request{Unit: 1, Function: 3, Quantity: tc.n})
		if off := (d - tc.want*time.Microsecond).Abs(); bytes != tc.bytes || off > 60*time.Microsecond {
			t.Errorf("%d %s n=%d: %d bytes, %v; want %d, %v", tc.baud, tc.mode, tc.n, bytes, d, tc.bytes, tc.want*time.Microsecond)
		}
	}
	if bytes, d := FrameCost(Config{Kind: TCP}, Request{Function: 3, Quantity: 10}); bytes != 12+29 || d != 0 {
		t.Errorf("tcp: %d, %v", bytes, d)
	}
	if bytes, _ := FrameCost(Config{Kind: ASCII}, Request{Function: 3, Quantity: 1}); bytes != 17+15 {
		t.Errorf("ascii: %d", bytes)
	}
	if bytes, _ := FrameCost(Config{}, Request{}); bytes != 0 {
		t.Errorf("an impossible request costs %d", bytes)
	}
}

func TestDefaults(t *testing.T) {
	c := Config{Port: "/dev/ttyUSB0", Timeout: 100 * time.Millisecond}.withDefaults()
	if c.Baud != 9600 || c.LateGuard != 100*time.Millisecond || c.FrameGap != port.Mode8N1.CharTime(9600)*7/2 || c.ReconnectMax != DefaultPortRetryMax {
		t.Errorf("%+v", c)
	}
	if got := c.Target(); got != "/dev/ttyUSB0 9600 8N1" {
		t.Errorf("target %q", got)
	}
	for address, want := range map[string]string{"10.0.0.7": "10.0.0.7:502", "plc:1502": "plc:1502", "[fe80::1]:502": "[fe80::1]:502", "fe80::1": "[fe80::1]:502"} {
		if got := (Config{Kind: TCP, Address: address}).Target(); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
	for text, want := range map[string]Echo{"": EchoAuto, "auto": EchoAuto, "on": EchoOn, "off": EchoOff} {
		if got, err := ParseEcho(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if _, err := ParseEcho("yes"); err == nil {
		t.Error("echo = yes is accepted")
	}
}
