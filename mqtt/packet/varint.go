package packet

// MaxVarint is the largest variable byte integer, and so the largest body of a
// packet (MQTT 5.0 §1.5.5).
const MaxVarint = 1<<28 - 1

// varintSize is the number of bytes that appendVarint writes.
func varintSize(n int) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14:
		return 2
	case n < 1<<21:
		return 3
	}
	return 4
}

// appendVarint appends n, which must be within 0 and MaxVarint.
func appendVarint(dst []byte, n int) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

// readVarint reads a variable byte integer. size is 0 while b is too short to
// tell, and -1 where the encoding is longer than four bytes or than it need be
// [MQTT-1.5.5-1].
func readVarint(b []byte) (n, size int) {
	for i, c := range b {
		if i == 4 {
			break
		}
		n |= int(c&0x7F) << (7 * i)
		if c < 0x80 {
			if c == 0 && i > 0 {
				return 0, -1
			}
			return n, i + 1
		}
	}
	if len(b) >= 4 {
		return 0, -1
	}
	return 0, 0
}
