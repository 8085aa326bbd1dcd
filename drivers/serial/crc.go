package serial

import "math/bits"

// crc16 describes a 16-bit CRC as the catalogues do: polynomial, start value,
// whether bits are taken lowest first, and what is XORed in at the end.
type crc16 struct {
	poly, init uint16
	reflected  bool
	xorOut     uint16
	order      string // the order in which it is usually sent
}

// crcs by their names in the file. The check values for "123456789" stand in
// the test.
var crcs = map[string]crc16{
	"crc16-modbus": {0x8005, 0xFFFF, true, 0, "le"},
	"crc16-arc":    {0x8005, 0x0000, true, 0, "le"},
	"crc16-x25":    {0x1021, 0xFFFF, true, 0xFFFF, "le"},
	"crc16-kermit": {0x1021, 0x0000, true, 0, "le"},
	"crc16-ccitt":  {0x1021, 0xFFFF, false, 0, "be"}, // CCITT-FALSE
	"crc16-xmodem": {0x1021, 0x0000, false, 0, "be"},
}

// sum computes the CRC bit by bit: frames are short and lines are slow, so a
// table would save nothing that can be measured.
func (c crc16) sum(data []byte) uint16 {
	crc := c.init
	if !c.reflected {
		for _, b := range data {
			crc ^= uint16(b) << 8
			for range 8 {
				top := crc & 0x8000
				crc <<= 1
				if top != 0 {
					crc ^= c.poly
				}
			}
		}
		return crc ^ c.xorOut
	}
	poly := bits.Reverse16(c.poly)
	for _, b := range data {
		crc ^= uint16(b)
		for range 8 {
			low := crc & 1
			crc >>= 1
			if low != 0 {
				crc ^= poly
			}
		}
	}
	return crc ^ c.xorOut
}
