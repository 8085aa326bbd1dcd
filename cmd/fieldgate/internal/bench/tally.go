package bench

import (
	"encoding/binary"
	"math/bits"
)

// headSize is what a payload begins with: publisher (4 bytes), number (8) and
// time sent (8, ns since the start of the run).
const headSize = 20

func putHead(b []byte, publisher int, number, sent int64) {
	binary.BigEndian.PutUint32(b, uint32(publisher))
	binary.BigEndian.PutUint64(b[4:], uint64(number))
	binary.BigEndian.PutUint64(b[12:], uint64(sent))
}

// readHead is false for a payload that is none of ours.
func readHead(b []byte) (publisher int, number, sent int64, ok bool) {
	if len(b) < headSize {
		return 0, 0, 0, false
	}
	return int(binary.BigEndian.Uint32(b)), int64(binary.BigEndian.Uint64(b[4:])), int64(binary.BigEndian.Uint64(b[12:])), true
}

// tally is what one subscriber got of each publisher. Nobody else touches it
// while messages come.
type tally struct {
	of         map[int]*series
	got        int64
	repeated   int64
	outOfOrder int64
	stray      int64 // of nobody expected
}

type series struct {
	seen []uint64 // a bit for each number
	n    int64    // numbers are 0 to n-1
	last int64    // largest number so far, -1 before the first
}

// expect n messages of a publisher.
func (t *tally) expect(publisher int, n int64) {
	if t.of == nil {
		t.of = map[int]*series{}
	}
	t.of[publisher] = &series{seen: make([]uint64, (n+63)/64), n: n, last: -1}
}

// add counts one message; it says whether it is expected and new.
func (t *tally) add(publisher int, number int64) bool {
	s := t.of[publisher]
	if s == nil || number < 0 || number >= s.n {
		t.stray++
		return false
	}
	word, bit := number/64, uint64(1)<<(number%64)
	if s.seen[word]&bit != 0 {
		t.repeated++
		return false
	}
	s.seen[word] |= bit
	t.got++
	if number < s.last {
		t.outOfOrder++
	}
	s.last = max(s.last, number)
	return true
}

// lost is how many of the first sent messages of a publisher never came.
func (t *tally) lost(publisher int, sent int64) int64 {
	s := t.of[publisher]
	if s == nil {
		return 0
	}
	n := sent
	for _, w := range s.seen {
		n -= int64(bits.OnesCount64(w))
	}
	return n
}
