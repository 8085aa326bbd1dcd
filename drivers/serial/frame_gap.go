package serial

import "time"

// gapShape is a frame that ends where the line falls silent: the last resort
// for devices without markers. The reader measures the silence and calls
// framer.silence; looking at bytes alone never finds a frame.
type gapShape struct {
	start []byte
	gap   time.Duration
}

func (s *gapShape) find([]byte) (skip, n, body int) { return 0, 0, 0 }

// resync: nothing inside a piece between two silences can be another frame.
func (s *gapShape) resync(n int) int { return n }
