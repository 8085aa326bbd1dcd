package buffer

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// reason is why a message was given up.
type reason int

const (
	reasonFull     reason = iota // the oldest, for room within max_size
	reasonNewest                 // refused at max_size (full = "drop-newest", "block")
	reasonThinned                // full = "thin"
	reasonAge                    // older than max_age
	reasonDisk                   // the disk took nothing and memory was full
	reasonDamaged                // lost with a damaged database
	reasonOperator               // dropped by hand
	reasonBudget                 // thinned by the upstream's bridge, to stay within its budget
	reasons
)

var reasonNames = [reasons]string{"full", "refused", "thinned", "age", "disk", "damaged", "operator", "budget"}

// firstReasons is how many reasons the first layout of the counters knew.
const firstReasons = 7

// budgetReport is how often what the budget has taken is reported: thinning
// goes on for days, and each record costs what is to be saved.
const budgetReport = time.Hour

func (r reason) String() string { return reasonNames[r] }

// gap is what one upstream will not get, for one reason, since the last gap
// record. It is stored with the counters until its record is stored.
type gap struct {
	count       uint64
	first, last uint64      // epoch and seq of the outermost messages
	from, to    clock.Stamp // their times, with stored boot numbers
}

func (g *gap) add(x gap) {
	if x.count == 0 {
		return
	}
	if g.count == 0 {
		*g = x
		return
	}
	g.count += x.count
	g.first, g.last = min(g.first, x.first), max(g.last, x.last)
	if x.from.Before(g.from) {
		g.from = x.from
	}
	if g.to.Before(x.to) {
		g.to = x.to
	}
}

func (g *gap) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, g.count)
	if g.count == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, g.first)
	dst = binary.AppendUvarint(dst, g.last)
	for _, s := range [...]clock.Stamp{g.from, g.to} {
		dst = appendVarint(binary.AppendUvarint(dst, uint64(s.Boot)), s.Nanos)
	}
	return dst
}

func readGap(r *wireReader) (g gap) {
	if g.count = r.uvarint(); g.count == 0 {
		return g
	}
	g.first, g.last = r.uvarint(), r.uvarint()
	g.from = clock.Stamp{Boot: uint32(r.uvarint()), Nanos: r.varint()}
	g.to = clock.Stamp{Boot: uint32(r.uvarint()), Nanos: r.varint()}
	return g
}

// GapRecord is the payload of a gap record, a message of KindEvent at alarm
// priority: Count messages from First to Last are missing for Upstream. (Not
// every message between the two is: others were delivered.)
type GapRecord struct {
	TS       int64  `json:"ts"` // when the record was made, Unix ms
	Code     string `json:"code"`
	Level    string `json:"level"`
	Text     string `json:"text"`
	Gateway  string `json:"gateway,omitempty"`
	Upstream string `json:"upstream"`
	Reason   string `json:"reason"` // full|refused|thinned|age|disk|damaged|operator|budget
	Count    uint64 `json:"count"`
	First    GapID  `json:"first"`
	Last     GapID  `json:"last"`
	From     int64  `json:"from"` // time of the first, Unix ms; 0: unknown
	To       int64  `json:"to"`
	Clock    string `json:"clock,omitempty"` // "unsynced": the times are guesses
}

// GapID is a message's identity as Entry has it.
type GapID struct {
	Epoch uint32 `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

const gapCode = "W0730"

// giveUpLocked drops a message that may be handed out: then it can still
// arrive, and an acknowledgement takes back what is counted here.
func (c *Cursor) giveUpLocked(why reason, id uint64, m *mqtt.Message) {
	why, n, told := c.dropLocked(why, id, m)
	if h, out := c.out[id]; out && n > 0 && h.counted == 0 {
		h.why, h.counted, h.told = why, n, told
		c.out[id] = h
		c.limbo++
	}
}

// foundLocked: what was given up while it was handed out has arrived.
func (c *Cursor) foundLocked(h handed) {
	c.limbo--
	g := &c.gaps[h.why]
	if g.count = max(g.count, h.counted) - h.counted; g.count == 0 {
		*g = gap{}
	}
	if !h.told {
		c.drops[h.why] = max(c.drops[h.why], 1) - 1
		c.b.stats.dropped--
	}
	c.b.dirty = true
}

// takeBackLocked forgets that a message was handed out.
func (c *Cursor) takeBackLocked(id uint64) {
	if c.out[id].counted > 0 {
		c.limbo--
	}
	delete(c.out, id)
}

// forgetOutLocked forgets all that was handed out.
func (c *Cursor) forgetOutLocked() {
	clear(c.out)
	c.limbo = 0
}

// dropLocked counts a message that this upstream will not get: one, or as many
// as a gap record of our own told of. It returns as what and how much was counted, and
// whether a gap record had told of it before.
func (c *Cursor) dropLocked(why reason, id uint64, m *mqtt.Message) (as reason, n uint64, told bool) {
	if g, own := c.b.parseGap(m); own && g.Upstream == c.name {
		as, n = c.restoreGapLocked(g)
		return as, n, true
	}
	s := m.Stamp
	if s.Boot == 0 {
		s.Boot = c.b.boots.current()
	}
	c.missLocked(why, gap{count: 1, first: id & orderMask, last: id & orderMask, from: s, to: s})
	return why, 1, false
}

// missLocked counts what is missing and will be reported.
func (c *Cursor) missLocked(why reason, g gap) {
	c.drops[why] += g.count
	if c.shelf == 0 { // nobody reads records there
		c.gaps[why].add(g)
	}
	c.b.dirty = true
	c.b.stats.dropped += g.count
}

// gapDueLocked reports whether something missing should be reported while the
// upstream reads.
func (c *Cursor) gapDueLocked(now time.Time) bool {
	for why := range c.gaps {
		if c.gaps[why].count > 0 && (reason(why) != reasonBudget || now.Sub(c.budgetTold) >= budgetReport) {
			return true
		}
	}
	return false
}

// GiveUp says that the upstream will not get these entries, which Next has
// handed out: they are counted (reason "budget"), reported in a gap record
// within the hour, and gone. Ids that are not handed out are passed over.
func (c *Cursor) GiveUp(entries ...Entry) {
	b := c.b
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range entries {
		e := &entries[i]
		h, ok := c.out[e.ID]
		if !ok {
			continue
		}
		delete(c.out, e.ID)
		c.dropLocked(reasonBudget, e.ID, &e.Message)
		c.ackLocked(e.ID, h)
	}
	if b.cfg.Full == FullBlock {
		b.roomLocked()
	}
}

// restoreGapLocked takes a gap record back that was given up itself.
func (c *Cursor) restoreGapLocked(g GapRecord) (reason, uint64) {
	for why, name := range reasonNames {
		if name == g.Reason {
			now := clock.Stamp{Boot: c.b.boots.current(), Nanos: clock.Now().Nanos}
			c.gaps[why].add(gap{count: g.Count, from: now, to: now,
				first: makeID(0, g.First.Epoch, g.First.Seq), last: makeID(0, g.Last.Epoch, g.Last.Seq)})
			c.b.dirty = true
			return reason(why), g.Count
		}
	}
	return 0, 0
}

// parseGap recognises one of our own gap records.
func (b *Buffer) parseGap(m *mqtt.Message) (g GapRecord, ok bool) {
	if m.Kind != mqtt.KindEvent || m.Topic != b.opt.EventTopic || m.Origin != "gateway" {
		return g, false
	}
	err := json.Unmarshal(m.Payload, &g)
	return g, err == nil && g.Code == gapCode && g.Count > 0
}

// reportGapsLocked turns what is missing into gap records for the upstreams
// that want them now. Only the writer calls it, just before it grabs a batch:
// so the counters without the gap and the record reach the disk together. What
// may still arrive is waited for: until then the sum is not known.
func (b *Buffer) reportGapsLocked() {
	now := time.Now()
	for _, c := range b.cursors {
		if c == nil || !c.report || c.retired || c.limbo > 0 {
			continue
		}
		c.report = false
		for why := range reasons {
			g := c.gaps[why]
			if g.count == 0 || why == reasonBudget && now.Sub(c.budgetTold) < budgetReport {
				continue
			}
			c.gaps[why] = gap{}
			if why == reasonBudget {
				c.budgetTold = time.Now()
			}
			b.putLocked(&record{msg: b.gapMessage(c.name, why, g)}, 0, c.Bit())
		}
	}
}

func (b *Buffer) gapMessage(upstream string, why reason, g gap) mqtt.Message {
	now, synced := b.boots.wall(clock.Now())
	from, ok1 := b.boots.wall(g.from)
	to, ok2 := b.boots.wall(g.to)
	rec := GapRecord{
		TS: now.UnixMilli(), Code: gapCode, Level: "warning", Gateway: b.opt.GatewayID, Upstream: upstream,
		Text:   fmt.Sprintf("%d messages for %s were given up: %s", g.count, upstream, why.explain()),
		Reason: why.String(), Count: g.count,
		First: GapID{epochOf(g.first), seqOf(g.first)}, Last: GapID{epochOf(g.last), seqOf(g.last)},
	}
	if !from.IsZero() && !to.IsZero() {
		rec.From, rec.To = from.UnixMilli(), to.UnixMilli()
	}
	if !synced || !ok1 || !ok2 {
		rec.Clock = "unsynced"
	}
	payload, err := json.Marshal(rec)
	if err != nil {
		panic("buffer: a gap record cannot fail to encode: " + err.Error())
	}
	return mqtt.Message{Topic: b.opt.EventTopic, Payload: payload, QoS: 1, Kind: mqtt.KindEvent, Origin: "gateway", Stamp: clock.Now()}
}

func (r reason) explain() string {
	return [reasons]string{
		"the oldest, because there was no room (max_size, min_free)", "refused, because there was no room (max_size, min_free)",
		"every second of the oldest, because there was no room (max_size, min_free)", "older than max_age",
		"the disk took nothing and memory was full", "lost with a damaged database", "dropped by hand",
		"thinned, to stay within the upstream's budget",
	}[r]
}
