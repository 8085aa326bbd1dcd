package buffer

import "fmt"

// Priority says who goes first and who is given up last. The zero value is
// Normal.
type Priority uint8

// The priorities of `route.priority`.
const (
	Normal Priority = iota
	Alarm           // alarms and gap records
	Bulk            // what may wait, and goes first when room is needed
)

// ParsePriority finds a priority by the name the file uses; "" is Normal.
func ParsePriority(name string) (Priority, bool) {
	switch name {
	case "", "normal":
		return Normal, true
	case "alarm":
		return Alarm, true
	case "bulk":
		return Bulk, true
	}
	return Normal, false
}

// String is the name the file uses.
func (p Priority) String() string {
	switch p {
	case Alarm:
		return "alarm"
	case Bulk:
		return "bulk"
	}
	return "normal"
}

// An id is class (3 bits) | epoch (20) | seq (40). The class puts alarms
// first, so that the primary key alone gives the order of delivery; epoch
// rises with every start, seq with every message of an epoch, over all classes.
const (
	classes   = 3
	seqBits   = 40
	orderBits = 60
	seqMask   = 1<<seqBits - 1
	orderMask = 1<<orderBits - 1
	maxEpoch  = 1<<(orderBits-seqBits) - 1
)

func (p Priority) class() int {
	switch p {
	case Alarm:
		return 0
	case Bulk:
		return 2
	}
	return 1
}

func classPriority(class int) Priority { return [classes]Priority{Alarm, Normal, Bulk}[class] }

func makeID(class int, epoch uint32, seq uint64) uint64 {
	return uint64(class)<<orderBits | uint64(epoch)<<seqBits | seq&seqMask
}

func classOf(id uint64) int    { return int(id >> orderBits) }
func epochOf(id uint64) uint32 { return uint32(id & orderMask >> seqBits) }
func seqOf(id uint64) uint64   { return id & seqMask }

// classLow is the id before the first one of a class, classHigh the last.
func classLow(class int) uint64  { return uint64(class) << orderBits }
func classHigh(class int) uint64 { return uint64(class)<<orderBits | orderMask }

// idText is an id as people read it: "normal 12/4711", priority epoch/seq.
func idText(id uint64) string {
	if classOf(id) >= classes {
		return fmt.Sprintf("%#x", id)
	}
	return fmt.Sprintf("%s %d/%d", classPriority(classOf(id)), epochOf(id), seqOf(id))
}
