package buffer

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"fieldgate/mqtt"
)

// TestGiveUp: what a bridge gives up is gone, counted, and reported once an
// hour at most, over a restart too.
func TestGiveUp(t *testing.T) {
	cfg := testConfig(memDir(t))
	b := mustOpen(t, cfg)
	c := upstream(t, b, "a")[0]
	put := func(n int, p Priority) {
		t.Helper()
		if err := b.Append(t.Context(), []Item{{Message: numbered(n), Targets: c.Bit(), Priority: p, Durable: true}}); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 10 {
		put(n, Normal)
	}
	c.Mark()
	entries, err := c.Next(Backlog, 0, 4, 1<<20)
	if err != nil || len(entries) != 4 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	c.GiveUp(entries...)
	c.GiveUp(entries...) // handed out no longer: nothing happens
	if s := c.Stats(); s.Messages != 6 || s.Dropped["budget"] != 4 || s.Acked != 0 {
		t.Errorf("%+v", s)
	}
	gaps := func() (list []uint64, rest int) {
		for _, lane := range []Lane{Live, Backlog} {
			for _, e := range drain(t, c, lane) {
				if g, ok := b.parseGap(&e.Message); ok && g.Reason == "budget" {
					list = append(list, g.Count)
				} else {
					rest++
				}
			}
		}
		return list, rest
	}
	var told []uint64
	left := 0
	eventually(t, "a gap record and the rest", func() bool {
		list, n := gaps()
		told, left = append(told, list...), left+n
		return len(told) == 1 && left == 6
	})
	if told[0] != 4 {
		t.Errorf("a record of %d", told[0])
	}
	put(10, Normal)
	entries, err = c.Next(Live, 0, 4, 1<<20)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	c.GiveUp(entries...)
	put(11, Normal) // its commit would carry a record
	if list, n := gaps(); len(list) != 0 || n != 1 {
		t.Errorf("%d records within the hour, %d messages", len(list), n)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = mustOpen(t, cfg)
	c = upstream(t, b, "a")[0]
	if s := c.Stats(); s.Dropped["budget"] != 5 {
		t.Errorf("after the restart %+v", s)
	}
	c.Mark()
	put(12, Normal)
	told = nil
	eventually(t, "the second record", func() bool {
		list, _ := gaps()
		told = append(told, list...)
		return slices.Equal(told, []uint64{1})
	})
}

// TestNextByUrgency: whole priorities can be left out, and are there later.
func TestNextByUrgency(t *testing.T) {
	b := mustOpen(t, testConfig(memDir(t)))
	c := upstream(t, b, "a")[0]
	c.Mark()
	for n, p := range []Priority{Bulk, Normal, Alarm, Bulk, Normal, Alarm} {
		if err := b.Append(t.Context(), []Item{{Message: numbered(n), Targets: c.Bit(), Priority: p}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []struct {
		after uint64
		n     []int
	}{{AlarmsOnly, []int{2, 5}}, {AlarmsOnly, nil}, {NoBulk, []int{1, 4}}, {NoBulk, nil}, {0, []int{0, 3}}} {
		entries, err := c.Next(Live, want.after, 10, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, e := range entries {
			got = append(got, numberOf(e))
		}
		if !slices.Equal(got, want.n) {
			t.Errorf("after %x: %v, want %v", want.after, got, want.n)
		}
	}
}

// TestFirstLayout reads counters as the first version wrote them.
func TestFirstLayout(t *testing.T) {
	b := mustOpen(t, testConfig(memDir(t)))
	c := upstream(t, b, "a")[0]
	b.mu.Lock()
	c.drops[reasonAge] = 7
	row := b.encodeMetaLocked(true)
	b.mu.Unlock()
	body, err := unseal(row)
	if err != nil {
		t.Fatal(err)
	}
	old := append([]byte{1}, body[1:len(body)-2]...) // the last reason: no drop, no gap
	if tail := body[len(body)-2:]; binary.BigEndian.Uint16(tail) != 0 {
		t.Fatalf("the last reason is % x", tail)
	}
	m, err := b.decodeMeta(seal(old))
	if err != nil || len(m.cursors) != 1 || m.cursors[0].drops[reasonAge] != 7 || m.cursors[0].name != "a" {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := b.decodeMeta(seal(append([]byte{metaVersion + 1}, body[1:]...))); err == nil {
		t.Error("a later layout was read")
	}
}

func numbered(n int) mqtt.Message {
	return mqtt.Message{Topic: "plant/n", Payload: fmt.Appendf(nil, `{"n":%d}`, n), QoS: 1}
}
