package buffer

import (
	"context"
	"testing"
)

// TestUrgent: the lane gives the alarms of the backlog and of now, and leaves
// the rest to the others, over a restart too.
func TestUrgent(t *testing.T) {
	cfg := testConfig(memDir(t))
	b := mustOpen(t, cfg)
	c := upstream(t, b, "a")[0]
	add := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			err := b.Append(context.Background(), []Item{{Message: text(i), Targets: 1, Durable: i%50 == 0, Priority: []Priority{Normal, Alarm, Bulk}[i%3]}})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	count := func(list []Entry) (alarms, others int) {
		for _, e := range list {
			if e.Priority == Alarm {
				alarms++
			} else {
				others++
			}
		}
		return alarms, others
	}
	add(0, 300)
	c.Mark()
	add(300, 330)
	urgent := handedOut(t, c, Urgent)
	if alarms, others := count(urgent); alarms != 110 || others != 0 {
		t.Fatalf("%d alarms and %d others, want 110 and 0", alarms, others)
	}
	for i, e := range urgent {
		if i >= 10 {
			c.Ack(e.ID)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = mustOpen(t, cfg)
	defer b.Close()
	c = upstream(t, b, "a")[0]
	c.Mark()
	if alarms, others := count(handedOut(t, c, Urgent)); alarms != 10 || others != 0 {
		t.Errorf("after a restart %d alarms and %d others, want 10 and 0", alarms, others)
	}
	c.Mark()
	if alarms, others := count(handedOut(t, c, Backlog)); alarms != 10 || others != 220 {
		t.Errorf("left are %d alarms and %d others, want 10 and 220", alarms, others)
	}
}

// handedOut is what a lane gives, without an acknowledgement.
func handedOut(t *testing.T, c *Cursor, lane Lane) (out []Entry) {
	t.Helper()
	for {
		got, err := c.Next(lane, 0, 100, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 {
			return out
		}
		out = append(out, got...)
	}
}
