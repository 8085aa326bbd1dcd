package buffer

import (
	"encoding/binary"
	"slices"

	"fieldgate/mqtt"
)

// maxExchanges bounds the sessions whose exchanges are remembered; a session
// beyond it falls back to "at least once" over a crash.
const maxExchanges = 256

// exchanges makes a QoS 2 publish of a session that goes on arrive here once.
// The broker stores that it has taken a publish in after we have stored the
// publish, in another file. A crash between the two makes the client send it
// again, and the broker give it the same number again (mqtt.Exchange). So the
// number of the last one that is stored here, per session, goes with every
// commit, and after a restart a repetition up to that number is passed over.
//
// Such a publish is handed out only once it is stored: forgotten by a crash,
// it would come again under another id and be delivered twice.
//
// Buffer.mu guards it.
type exchanges struct {
	marks  []exchangeMark    // last taken in, the session that was quiet longest first
	stored map[uint64]uint64 // as the last run had stored them
}

type exchangeMark struct{ session, number uint64 }

// load takes over what the last run had stored.
func (x *exchanges) load(marks []exchangeMark) {
	x.marks, x.stored = marks, make(map[uint64]uint64, len(marks))
	for _, m := range marks {
		x.stored[m.session] = m.number
	}
}

// repeats reports a publish that the last run had stored.
func (x *exchanges) repeats(e *mqtt.Exchange) bool {
	if e == nil {
		return false
	}
	last, known := x.stored[e.Session]
	if !known || e.Number > last {
		return false
	}
	if !e.Again { // the client has forgotten what was under way and counts anew
		delete(x.stored, e.Session)
		return false
	}
	return true
}

// take notes a publish that was queued.
func (x *exchanges) take(e *mqtt.Exchange) {
	if e == nil {
		return
	}
	if n := len(x.marks); n > 0 && x.marks[n-1].session == e.Session { // nearly always
		x.marks[n-1].number = e.Number
		return
	}
	x.marks = slices.DeleteFunc(x.marks, func(m exchangeMark) bool { return m.session == e.Session })
	if len(x.marks) >= maxExchanges {
		x.marks = slices.Delete(x.marks, 0, 1)
	}
	x.marks = append(x.marks, exchangeMark{e.Session, e.Number})
}

// append writes what the commit that is being made will have stored: of each
// session everything before its first publish that still waits in memory.
func (x *exchanges) append(dst []byte, ram *[classes][]*record) []byte {
	if len(x.marks) == 0 {
		return dst
	}
	first := map[uint64]uint64{}
	for _, list := range ram {
		for _, r := range list {
			if e := r.msg.Exchange; e != nil && r.state < recCounted {
				if n, known := first[e.Session]; !known || e.Number < n {
					first[e.Session] = e.Number
				}
			}
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(x.marks)))
	for _, m := range x.marks {
		if n, waits := first[m.session]; waits {
			m.number = min(m.number, n-1)
		}
		dst = binary.LittleEndian.AppendUint64(dst, m.session)
		dst = binary.AppendUvarint(dst, m.number)
	}
	return dst
}

func readExchanges(r *wireReader) (marks []exchangeMark) {
	for range r.count() {
		marks = append(marks, exchangeMark{r.uint64(), r.uvarint()})
	}
	if r.err != nil {
		return nil
	}
	if len(marks) > maxExchanges {
		marks = marks[len(marks)-maxExchanges:]
	}
	return marks
}

// earlyLocked reports a record that must not be handed out before it is
// stored. While the disk is out of order it may be: better twice than never.
func (b *Buffer) earlyLocked(r *record) bool {
	return r.msg.Exchange != nil && r.state < recStored && b.stats.degraded == ""
}
