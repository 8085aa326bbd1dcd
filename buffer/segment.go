package buffer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"

	"github.com/klauspost/compress/zstd"
)

const (
	// MaxMessage is the longest message the queue takes: topic, payload and
	// properties together.
	MaxMessage = 1 << 20

	segmentBytes    = 64 << 10       // a segment is closed at this many bytes before compression
	segmentRecords  = 1000           // or at this many messages
	compressFrom    = 256            // shorter segments are stored as they are
	maxSegmentBytes = 2 * MaxMessage // what a damaged header may make us unpack
)

var segmentMagic = []byte("fgS1")

const (
	packNone = 0
	packZstd = 1
)

// head is what is known of a segment without unpacking it. It stands in a
// column of its own, so that reading it does not touch the pages of the body.
type head struct {
	first, last uint64
	targets     uint64   // upstreams that needed at least one record
	ends        []uint64 // per bit of targets, ascending: the last id that this upstream needs
	n           int
	boot        uint32
	oldest      int64 // nanoseconds of boot, of the first and the newest record
	newest      int64
	raw         int // bytes before compression
	thin        int // how often it was thinned
	pack        byte
	crc         uint32 // of the head without this field, and the body
}

// end is the last id that the upstream with this bit needs.
func (h *head) end(bit int) uint64 {
	i := 0
	end := uint64(0)
	eachBit(h.targets, func(b int) {
		if b == bit && i < len(h.ends) {
			end = h.ends[i]
		}
		i++
	})
	return end
}

// append writes the head and its checksum over itself and body.
func (h *head) append(dst, body []byte) []byte {
	start := len(dst)
	dst = append(dst, segmentMagic...)
	dst = append(dst, h.pack)
	for _, v := range [...]uint64{h.first, h.last - h.first, h.targets, uint64(h.n), uint64(h.boot)} {
		dst = binary.AppendUvarint(dst, v)
	}
	dst = appendVarint(dst, h.oldest)
	dst = appendVarint(dst, h.newest-h.oldest)
	dst = binary.AppendUvarint(dst, uint64(h.raw))
	dst = binary.AppendUvarint(dst, uint64(h.thin))
	for _, end := range h.ends {
		dst = binary.AppendUvarint(dst, h.last-end)
	}
	h.crc = crc32.Update(crc32.Checksum(dst[start:], castagnoli), castagnoli, body)
	return binary.LittleEndian.AppendUint32(dst, h.crc)
}

// readHead takes a head apart; its checksum is checked with the body, by verify.
func readHead(b []byte) (h head, err error) {
	if len(b) < len(segmentMagic)+5 || !bytes.HasPrefix(b, segmentMagic) {
		return h, errShort
	}
	h.crc = binary.LittleEndian.Uint32(b[len(b)-4:])
	r := wireReader{buf: b[len(segmentMagic) : len(b)-4]}
	h.pack = r.byte()
	h.first = r.uvarint()
	h.last = h.first + r.uvarint()
	h.targets = r.uvarint()
	n := r.uvarint()
	h.boot = uint32(r.uvarint())
	h.oldest = r.varint()
	h.newest = h.oldest + r.varint()
	raw := r.uvarint()
	thin := r.uvarint()
	eachBit(h.targets, func(int) { h.ends = append(h.ends, h.last-r.uvarint()) })
	if r.err != nil || len(r.buf) != 0 || n == 0 || n > segmentRecords || raw > maxSegmentBytes || thin > 64 ||
		h.last < h.first || classOf(h.first) >= classes || classOf(h.first) != classOf(h.last) {
		return h, errShort
	}
	h.n, h.raw, h.thin = int(n), int(raw), int(thin)
	return h, nil
}

// verify checks the checksum over head and body.
func (h *head) verify(headBytes, body []byte) error {
	if len(headBytes) < 4 {
		return errShort
	}
	sum := crc32.Update(crc32.Checksum(headBytes[:len(headBytes)-4], castagnoli), castagnoli, body)
	if sum != h.crc {
		return fmt.Errorf("segment %s: checksum %08x instead of %08x", idText(h.first), sum, h.crc)
	}
	return nil
}

// segment is encoded messages of one class, ready to be a row.
type segment struct {
	head head
	hb   []byte // the head, encoded
	body []byte
	recs []*record // those inside, while they are in memory
}

func (s *segment) size() int { return len(s.hb) + len(s.body) }

// packer turns records into segments; it keeps its buffers between calls and
// belongs to one goroutine.
type packer struct {
	codec codec
	raw   []byte
	zstd  *zstd.Encoder
}

func newPacker() (*packer, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(64<<10), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("start compressor: %w", err)
	}
	return &packer{zstd: z}, nil
}

// packed is a record as the packer sees it: targets are those that still
// need it at this moment.
type packed struct {
	id      uint64
	targets uint64
	msg     *mqtt.Message
}

// take packs as many of recs as one segment holds and returns how many.
func (p *packer) take(recs []packed, boot uint32, thin int) (*segment, int) {
	s := &segment{head: head{first: recs[0].id, targets: 0, thin: thin}}
	h := &s.head
	n, size := 0, 0
	for n < len(recs) && n < segmentRecords && (n == 0 || size < segmentBytes) {
		h.targets |= recs[n].targets
		size += messageSize(recs[n].msg)
		n++
	}
	recs = recs[:n]
	p.codec.reset(boot)
	p.stampRange(h, recs)
	p.codec.prev = clock.Stamp{Boot: h.boot, Nanos: h.oldest}
	p.raw = p.raw[:0]
	prev := h.first
	for i := range recs {
		r := &recs[i]
		p.raw = binary.AppendUvarint(p.raw, r.id-prev)
		prev = r.id
		p.raw = p.codec.append(p.raw, r.msg, r.targets, h.targets)
	}
	h.last, h.n, h.raw = prev, n, len(p.raw)
	p.setEnds(h, recs)
	s.body = p.compress(h)
	s.hb = h.append(nil, s.body)
	return s, n
}

// stampRange notes the first record's boot and time, and the newest of that boot.
func (p *packer) stampRange(h *head, recs []packed) {
	first := p.codec.stored(recs[0].msg.Stamp)
	h.boot, h.oldest, h.newest = first.Boot, first.Nanos, first.Nanos
	for i := range recs {
		if s := p.codec.stored(recs[i].msg.Stamp); s.Boot == h.boot {
			h.oldest, h.newest = min(h.oldest, s.Nanos), max(h.newest, s.Nanos)
		}
	}
}

// setEnds finds the last id that each target needs, from the back.
func (p *packer) setEnds(h *head, recs []packed) {
	var at [64]uint64
	missing := h.targets
	for i := len(recs) - 1; i >= 0 && missing != 0; i-- {
		eachBit(recs[i].targets&missing, func(b int) { at[b] = recs[i].id })
		missing &^= recs[i].targets
	}
	eachBit(h.targets, func(b int) { h.ends = append(h.ends, at[b]) })
}

func (p *packer) compress(h *head) []byte {
	if len(p.raw) >= compressFrom {
		if out := p.zstd.EncodeAll(p.raw, nil); len(out) < len(p.raw) {
			h.pack = packZstd
			return out
		}
	}
	h.pack = packNone
	return bytes.Clone(p.raw)
}

// unzstd is shared: DecodeAll may be called by many at once.
var unzstd = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxSegmentBytes),
		zstd.WithDecoderLowmem(true))
})

var errTail = errors.New("segment holds more than its head says")

// unpacked is one record of a segment as it was stored.
type unpacked struct {
	id      uint64
	targets uint64
	msg     mqtt.Message
}

// unpack decodes a whole segment. boot is the number of the running boot.
// Payloads are views of one block of memory per segment.
func unpack(hb, body []byte, boot uint32) (head, []unpacked, error) {
	h, err := readHead(hb)
	if err != nil {
		return h, nil, err
	}
	if err := h.verify(hb, body); err != nil {
		return h, nil, err
	}
	raw := body
	if h.pack == packZstd {
		z, err := unzstd()
		if err != nil {
			return h, nil, fmt.Errorf("start decompressor: %w", err)
		}
		if raw, err = z.DecodeAll(body, make([]byte, 0, h.raw)); err != nil {
			return h, nil, fmt.Errorf("segment %s: %w", idText(h.first), err)
		}
	}
	var c codec
	c.boot, c.prev = boot, clock.Stamp{Boot: h.boot, Nanos: h.oldest}
	r := wireReader{buf: raw}
	out := make([]unpacked, 0, h.n)
	id := h.first
	for range h.n {
		id += r.uvarint()
		m, targets := c.read(&r, h.targets)
		if r.err != nil || id > h.last {
			return h, nil, errShort
		}
		out = append(out, unpacked{id, targets, m})
	}
	if len(r.buf) != 0 {
		return h, nil, errTail
	}
	return h, out, nil
}

// messageSize is about what a message takes in memory and before compression.
func messageSize(m *mqtt.Message) int {
	n := 32 + len(m.Topic) + len(m.Payload)
	if p := m.Props; p != nil {
		n += 16 + len(p.ContentType) + len(p.ResponseTopic) + len(p.CorrelationData)
		for _, u := range p.User {
			n += 4 + len(u.Name) + len(u.Value)
		}
	}
	if s := m.Sample; s != nil {
		n += 32 + len(s.Value) + len(s.Last)
	}
	return n
}
