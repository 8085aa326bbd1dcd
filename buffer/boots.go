package buffer

import (
	"encoding/binary"
	"os"
	"strings"
	"sync"
	"time"

	"fieldgate/buffer/clock"
)

// maxBoots bounds the table; records of older boots keep their order and
// lose their wall-clock time.
const maxBoots = 256

// boot is what is known of one run of the kernel.
type boot struct {
	number uint32
	id     string // /proc/sys/kernel/random/boot_id
	offset int64  // wall-clock time at CLOCK_BOOTTIME 0, Unix nanoseconds, as last seen
	synced bool   // offset was taken from a synchronised clock
}

// boots numbers the runs of the kernel, so that a stored stamp keeps its
// order for ever and gets its wall-clock time as soon as one is known for its
// boot. It has its own lock; no other is taken while it is held.
type boots struct {
	synced func() bool // whether the wall clock is right at this moment

	mu   sync.Mutex
	list []boot // by number; the last one is running
}

// bootID names the running boot; a file system without /proc is one boot per
// process.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "process-" + time.Now().UTC().Format(time.RFC3339Nano)
	}
	return strings.TrimSpace(string(b))
}

// start takes the stored tables (of queue.db and state.db, either may have
// been lost) and adds the running boot, id, where it is new.
func (b *boots) start(id string, stored ...[]boot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, list := range stored {
		if len(list) > 0 && (len(b.list) == 0 || list[len(list)-1].number >= b.list[len(b.list)-1].number) {
			b.list = list
		}
	}
	if n := len(b.list); n == 0 || b.list[n-1].id != id {
		number := uint32(1)
		if n > 0 {
			number = b.list[n-1].number + 1
		}
		b.list = append(b.list, boot{number: number, id: id})
	}
	if n := len(b.list); n > maxBoots {
		b.list = b.list[n-maxBoots:]
	}
	b.noteLocked()
}

// note looks at the wall clock and reports whether the table changed so that
// it should be stored.
func (b *boots) note() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.noteLocked()
}

func (b *boots) noteLocked() bool {
	cur := &b.list[len(b.list)-1]
	ok := b.synced()
	if cur.synced && !ok {
		// Synchronised once: a later loss of the server leaves a clock that is
		// nearly right, and an offset that was right.
		return false
	}
	offset := clock.Wall(clock.Stamp{}).UnixNano()
	moved := time.Duration(offset - cur.offset).Abs()
	if cur.synced == ok && moved < 500*time.Millisecond {
		return false
	}
	cur.offset, cur.synced = offset, ok
	return true
}

func (b *boots) current() uint32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.list[len(b.list)-1].number
}

// trusted reports whether the running boot has seen a synchronised clock.
func (b *boots) trusted() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.list[len(b.list)-1].synced
}

// wall is the wall-clock time of a stamp. ok says that it rests on a
// synchronised clock; without, it is the best guess, and zero for a boot that
// is not known any more.
func (b *boots) wall(s clock.Stamp) (t time.Time, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	cur := b.list[len(b.list)-1]
	if s.Boot == 0 || s.Boot == cur.number {
		if b.synced() {
			return clock.Wall(clock.Stamp{Nanos: s.Nanos}), true
		}
		if cur.synced {
			return time.Unix(0, cur.offset+s.Nanos), true
		}
		return clock.Wall(clock.Stamp{Nanos: s.Nanos}), false
	}
	for i := range b.list {
		if x := &b.list[i]; x.number == s.Boot {
			return time.Unix(0, x.offset+s.Nanos), x.synced
		}
	}
	return time.Time{}, false
}

// age is how long ago a stored stamp (with its boot's number) was, and
// whether that is certain.
func (b *boots) age(s clock.Stamp) (time.Duration, bool) {
	if s.Boot == 0 || s.Boot == b.current() {
		return clock.Now().Sub(clock.Stamp{Nanos: s.Nanos}), true
	}
	then, known := b.wall(s)
	now, synced := b.wall(clock.Now())
	if then.IsZero() {
		return 0, false
	}
	return now.Sub(then), known && synced
}

// encode writes the table, sealed.
func (b *boots) encode() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	dst := binary.AppendUvarint(nil, uint64(len(b.list)))
	for _, x := range b.list {
		dst = binary.AppendUvarint(dst, uint64(x.number))
		dst = appendString(dst, x.id)
		dst = appendVarint(dst, x.offset)
		if x.synced {
			dst = append(dst, 1)
		} else {
			dst = append(dst, 0)
		}
	}
	return seal(dst)
}

// decodeBoots reads what encode wrote; a damaged table is no table.
func decodeBoots(b []byte) []boot {
	body, err := unseal(b)
	if err != nil {
		return nil
	}
	r := wireReader{buf: body}
	n := r.count()
	var list []boot
	for range n {
		x := boot{number: uint32(r.uvarint()), id: r.string(), offset: r.varint(), synced: r.byte() == 1}
		if r.err != nil || len(list) > 0 && x.number <= list[len(list)-1].number {
			return nil
		}
		list = append(list, x)
	}
	return list
}
