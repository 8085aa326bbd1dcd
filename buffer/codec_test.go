package buffer

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/configs/conf"
	"fieldgate/mqtt"

	"github.com/google/go-cmp/cmp"
)

// fullMessage has every field set.
func fullMessage() mqtt.Message {
	return mqtt.Message{
		Topic: "a/b/c", Payload: []byte("payload"), QoS: 2, Retain: true, Kind: mqtt.KindSample, Origin: "device:boiler",
		Stamp: clock.Stamp{Nanos: 123456789},
		Props: &mqtt.Properties{PayloadFormat: 1, MessageExpiry: 7, HasExpiry: true, ContentType: "application/json",
			ResponseTopic: "r/t", CorrelationData: []byte{0, 1}, User: []mqtt.UserProperty{{Name: "k", Value: "v"}, {Name: "k", Value: "w"}},
			SubscriptionIDs: []uint32{1, 268435455}},
		Sample: &mqtt.Sample{Device: "boiler", Tag: "temp", Unit: "°C", Value: "71.4", Quality: "bad", Reason: "timeout",
			Time: clock.Stamp{Nanos: 99}, Last: "70", LastTime: clock.Stamp{Boot: 2, Nanos: 5}},
		From: &mqtt.Publisher{User: "anna", Local: true, Cert: true},
	}
}

func TestSegmentRoundTrip(t *testing.T) {
	p, err := newPacker()
	if err != nil {
		t.Fatal(err)
	}
	var in []packed
	for i := range 2500 {
		m := fullMessage()
		if i%3 == 0 {
			m = text(i)
			m.Stamp = clock.Stamp{Boot: uint32(i % 2), Nanos: int64(1_000_000 - i)}
		}
		in = append(in, packed{makeID(1, 3, uint64(i*i+1)), uint64(1 + i%3), &m})
	}
	n := 0
	for rest := in; len(rest) > 0; {
		s, k := p.take(rest, 7, 0)
		h, out, err := unpack(s.hb, s.body, 7)
		if err != nil || len(out) != k || h.n != k {
			t.Fatal(err, len(out), k)
		}
		if k > segmentRecords || h.raw > segmentBytes*2 {
			t.Fatalf("a segment of %d messages, %d bytes", k, h.raw)
		}
		for i, r := range out {
			if r.id != rest[i].id || r.targets != rest[i].targets {
				t.Fatalf("record %d is %s for %b", i, idText(r.id), r.targets)
			}
			if d := cmp.Diff(*rest[i].msg, r.msg); d != "" {
				t.Fatal(d)
			}
		}
		eachBit(h.targets, func(bit int) {
			want := uint64(0)
			for _, r := range out {
				if r.targets&(1<<bit) != 0 {
					want = r.id
				}
			}
			if h.end(bit) != want {
				t.Fatalf("bit %d ends at %s, want %s", bit, idText(h.end(bit)), idText(want))
			}
		})
		rest = rest[k:]
		n++
	}
	if n < 3 {
		t.Fatalf("%d segments", n)
	}
}

// TestBitFlips: no flipped bit of a segment goes unnoticed.
func TestBitFlips(t *testing.T) {
	p, err := newPacker()
	if err != nil {
		t.Fatal(err)
	}
	m := fullMessage()
	s, _ := p.take([]packed{{makeID(1, 3, 9), 5, &m}, {makeID(1, 3, 10), 1, &m}}, 7, 0)
	for i := range (len(s.hb) + len(s.body)) * 8 {
		hb, body := bytes.Clone(s.hb), bytes.Clone(s.body)
		if i < len(hb)*8 {
			hb[i/8] ^= 1 << (i % 8)
		} else {
			body[i/8-len(hb)] ^= 1 << (i % 8)
		}
		if _, _, err := unpack(hb, body, 7); err == nil {
			t.Fatalf("bit %d was not noticed", i)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	p, err := newPacker()
	if err != nil {
		f.Fatal(err)
	}
	m, small := fullMessage(), text(1)
	small.Stamp = clock.Stamp{Nanos: 1}
	long := make([]packed, 50)
	for i := range long {
		long[i] = packed{makeID(0, 1, uint64(i+1)), 1, &m}
	}
	for _, recs := range [][]packed{{{makeID(1, 3, 9), 5, &m}, {makeID(1, 3, 10), 1, &small}}, long} {
		s, _ := p.take(recs, 7, 0)
		f.Add(s.hb, s.body, false)
		f.Add(s.hb, s.body, true)
	}
	f.Fuzz(func(t *testing.T, hb, body []byte, fix bool) {
		if fix { // get past the checksum, to the decoder behind it
			h, err := readHead(hb)
			if err != nil {
				return
			}
			hb = h.append(nil, body)
		}
		h, recs, err := unpack(hb, body, 7)
		if err != nil {
			return
		}
		if len(recs) != h.n || recs[0].id < h.first || recs[len(recs)-1].id > h.last {
			t.Fatalf("%+v with %d records", h, len(recs))
		}
	})
}

func FuzzStored(f *testing.F) {
	var c codec
	m := fullMessage()
	f.Add(c.encodeMessage(&m, 3))
	f.Add(c.encodeSession(&mqtt.SessionState{User: "u", Expiry: 9, Will: &mqtt.Will{Message: m},
		Subscriptions: []mqtt.Subscription{{Filter: "a/#", QoS: 1, ID: 3}}}, 3))
	b := &Buffer{w: &writer{}}
	b.cursors[3] = newCursor(b, "a", 3)
	b.cursors[3].acked[1] = spans{{5, 9}, {11, 20}}
	b.cursors[3].gaps[0] = gap{count: 3, first: 1, last: 9}
	f.Add(b.encodeMetaLocked(true))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, data := range [][]byte{raw, seal(bytes.Clone(raw[:max(len(raw)-4, 0)]))} {
			if m, err := decodeMessage(data, 3); err == nil {
				again, err := decodeMessage((&codec{}).encodeMessage(&m, 3), 3)
				if err != nil || cmp.Diff(m, again) != "" {
					t.Fatalf("%v %s", err, cmp.Diff(m, again))
				}
			}
			decodeSession(data, "c", 3)
			decodeBoots(data)
			x := &Buffer{w: &writer{}}
			if m, err := x.decodeMeta(data); err == nil {
				x.adoptLocked(m.cursors)
			}
		}
	})
}

// FuzzPages: no page makes the search fail.
func FuzzPages(f *testing.F) {
	page := make([]byte, pageSize)
	page[0] = leafTable
	page[4] = 2
	f.Add(page)
	page = bytes.Clone(page)
	page[0], page[8], page[9] = leafIndex, 0x0f, 0x00
	f.Add(page)
	f.Fuzz(func(t *testing.T, data []byte) {
		page := make([]byte, pageSize)
		copy(page, data)
		p := &pageFile{}
		p.rows(page, func(_ int64, record []byte) { columns(record) })
	})
}

// TestSpans compares the set with a plain map.
func TestSpans(t *testing.T) {
	rnd := rand.New(rand.NewPCG(rand.Uint64(), 1))
	for range 40 {
		var s spans
		in := map[uint64]bool{}
		for range 60 {
			lo := 1 + rnd.Uint64N(200)
			hi := lo + rnd.Uint64N(10)
			s.add(lo, hi)
			for i := lo; i <= hi; i++ {
				in[i] = true
			}
			if rnd.IntN(20) == 0 {
				cut := rnd.Uint64N(100)
				s = s.without(cut)
				for i := range cut + 1 {
					delete(in, i)
				}
			}
			for i := range uint64(220) {
				if s.has(i) != in[i] {
					t.Fatalf("%d in %v", i, s)
				}
			}
			for i := 1; i < len(s); i++ {
				if s[i].lo <= s[i-1].hi+1 {
					t.Fatalf("spans touch: %v", s)
				}
			}
			r := wireReader{buf: s.append(nil)}
			if back := readSpans(&r); cmp.Diff([]span(s), []span(back), cmp.AllowUnexported(span{})) != "" && len(s) > 0 {
				t.Fatalf("%v was read as %v", s, back)
			}
		}
	}
}

// TestBoots: a stamp gets its wall-clock time when its boot's clock is set,
// also after a reboot, and keeps its order without one.
func TestBoots(t *testing.T) {
	synced := false
	b := &boots{synced: func() bool { return synced }}
	b.start("first")
	at := clock.Now()
	if _, ok := b.wall(at); ok || b.trusted() {
		t.Fatal("an unset clock is trusted")
	}
	if _, sure := b.age(clock.Stamp{Boot: b.current(), Nanos: at.Nanos}); !sure {
		t.Fatal("the age within one boot does not need a clock")
	}
	stored := clock.Stamp{Boot: b.current(), Nanos: at.Nanos}

	// The clock is never set in this boot.
	second := &boots{synced: func() bool { return synced }}
	second.start("second", decodeBoots(b.encode()))
	if second.current() != b.current()+1 {
		t.Fatalf("boot %d after %d", second.current(), b.current())
	}
	if _, ok := second.wall(stored); ok {
		t.Fatal("a boot without a clock got a certain time")
	}
	if _, sure := second.age(stored); sure {
		t.Fatal("the age over a boot without a clock is certain")
	}
	if !stored.Before(clock.Now()) {
		t.Fatal("an earlier boot is not before this one")
	}

	// It is set in this one, and both are known after the next reboot.
	synced = true
	if !second.note() {
		t.Fatal("nothing to store after the clock was set")
	}
	stored2 := clock.Stamp{Boot: second.current(), Nanos: at.Nanos}
	synced = false
	third := &boots{synced: func() bool { return synced }}
	third.start("third", nil, decodeBoots(second.encode()))
	got, ok := third.wall(stored2)
	if d := time.Since(got); !ok || d < 0 || d > time.Minute {
		t.Fatalf("%v %v", got, ok)
	}
	if _, sure := third.age(stored2); sure {
		t.Fatal("an age is certain while this boot's clock is not set")
	}
	if unknown, ok := third.wall(clock.Stamp{Boot: 77, Nanos: 1}); ok || !unknown.IsZero() {
		t.Fatal("a boot that nobody knows has a time")
	}
	if decodeBoots([]byte("rubbish")) != nil {
		t.Fatal("rubbish is a table")
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		cfg Config
		key string
	}{
		{Config{}, ""},
		{Config{Full: "drop"}, "full"},
		{Config{MaxSize: 1000}, "max_size"},
		{Config{Commit: conf.Duration(time.Hour)}, "commit"},
		{Config{Commit: 1}, "commit"},
		{Config{MaxAge: conf.Duration(time.Second)}, "max_age"},
	} {
		var keys []string
		c.cfg.Validate(func(p conf.Problem) {
			keys = append(keys, p.Key)
			if p.Help == "" || p.Code == "" || p.Text == "" {
				t.Errorf("%+v", p)
			}
		})
		if c.key == "" && len(keys) != 0 || c.key != "" && (len(keys) != 1 || keys[0] != c.key) {
			t.Errorf("%+v: %v", c.cfg, keys)
		}
	}
}
