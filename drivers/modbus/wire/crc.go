package wire

// crcTable is CRC-16/MODBUS: polynomial 0x8005 reflected, start 0xFFFF
// (Modbus serial line V1.02 §6.2.2).
var crcTable = func() (t [256]uint16) {
	for i := range t {
		crc := uint16(i)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xA001
			} else {
				crc >>= 1
			}
		}
		t[i] = crc
	}
	return t
}()

func crcAdd(crc uint16, b byte) uint16 { return crc>>8 ^ crcTable[byte(crc)^b] }

// crc16 of a frame that ends with its own check sum, low byte first, is 0.
func crc16(b []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, c := range b {
		crc = crcAdd(crc, c)
	}
	return crc
}
