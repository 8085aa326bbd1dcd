package buffer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
)

// TestStateModel compares session queues with a plain list over random
// changes, commits and restarts.
func TestStateModel(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed=%d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	cfg := testConfig(memDir(t))
	cfg.Commit = conf.Duration(5 * time.Millisecond)
	b := mustOpen(t, cfg)
	defer func() { b.Close() }()
	ctx := context.Background()
	apply := func(durable bool, ch ...mqtt.StoreChange) {
		t.Helper()
		if err := b.State().Apply(ctx, durable, ch); err != nil {
			t.Fatal(err)
		}
	}
	apply(false, mqtt.StoreChange{PutSession: &mqtt.SessionState{ClientID: "x"}}, mqtt.StoreChange{PutSession: &mqtt.SessionState{ClientID: "y"}})
	want := map[string][]mqtt.Queued{}
	seq := uint64(0)
	for step := range 600 {
		client := []string{"x", "y"}[rnd.IntN(2)]
		list := want[client]
		switch p := rnd.IntN(100); {
		case p < 45:
			seq++
			q := mqtt.Queued{Seq: seq, Message: text(int(seq))}
			apply(rnd.IntN(10) == 0, mqtt.StoreChange{Enqueue: &mqtt.SessionEntry{ClientID: client, Queued: q}})
			want[client] = append(list, q)
		case p < 70 && len(list) > 0:
			i := rnd.IntN(min(len(list), 5))
			apply(rnd.IntN(20) == 0, mqtt.StoreChange{Dequeue: &mqtt.SessionSeq{ClientID: client, Seq: list[i].Seq}})
			want[client] = slices.Delete(slices.Clone(list), i, i+1)
		case p < 85 && len(list) > 0:
			i := rnd.IntN(len(list))
			list[i].PacketID, list[i].Released = uint16(1+rnd.IntN(65535)), rnd.IntN(2) == 0
			apply(false, mqtt.StoreChange{Update: &mqtt.SessionEntry{ClientID: client, Queued: list[i]}})
		case p < 87:
			apply(false, mqtt.StoreChange{DropSession: client}, mqtt.StoreChange{PutSession: &mqtt.SessionState{ClientID: client}})
			want[client] = nil
		case p < 89:
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			b = mustOpen(t, cfg)
		}
		list = want[client]
		after, max := uint64(0), 1+rnd.IntN(20)
		if len(list) > 0 && rnd.IntN(2) == 0 {
			after = list[rnd.IntN(len(list))].Seq
		}
		got, err := b.State().Pending(ctx, client, after, max)
		if err != nil {
			t.Fatal(err)
		}
		var expect []mqtt.Queued
		for _, q := range list {
			if q.Seq > after && len(expect) < max {
				expect = append(expect, q)
			}
		}
		if brief(got) != brief(expect) {
			t.Fatalf("step %d: %s after %d, at most %d:\n got %s\nwant %s", step, client, after, max, brief(got), brief(expect))
		}
		if n, _ := b.State().PendingCount(client); n != len(list) {
			t.Fatalf("step %d: %d wait, the counter says %d", step, len(list), n)
		}
	}
}

func brief(list []mqtt.Queued) (s string) {
	for _, q := range list {
		s += fmt.Sprintf("%d:%d:%v:%s ", q.Seq, q.PacketID, q.Released, q.Message.Payload)
	}
	return s
}

// TestStateElision: what is dequeued before its commit is never written, and
// releases its publisher.
func TestStateElision(t *testing.T) {
	cfg := testConfig(memDir(t))
	cfg.Commit = conf.Duration(time.Minute)
	b := mustOpen(t, cfg)
	defer b.Close()
	s := b.State()
	ctx := context.Background()
	if err := s.Apply(ctx, true, []mqtt.StoreChange{{PutSession: &mqtt.SessionState{ClientID: "x"}}}); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(100) {
		err := s.Apply(ctx, false, []mqtt.StoreChange{
			{Enqueue: &mqtt.SessionEntry{ClientID: "x", Queued: mqtt.Queued{Seq: i + 1, Message: text(1)}}},
			{Dequeue: &mqtt.SessionSeq{ClientID: "x", Seq: i + 1}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n, bytes := s.PendingCount("x"); n != 0 || bytes != 0 {
		t.Fatal(n, bytes)
	}
	if err := s.Apply(ctx, false, []mqtt.StoreChange{{Enqueue: &mqtt.SessionEntry{ClientID: "nobody", Queued: mqtt.Queued{Seq: 1}}}}); err != nil {
		t.Fatal(err)
	}
	if n, _ := s.PendingCount("nobody"); n != 0 {
		t.Fatal("a message for a session that is gone was kept")
	}
}

// TestKV: small settings are there at once and after a restart.
func TestKV(t *testing.T) {
	cfg := testConfig(memDir(t))
	b := mustOpen(t, cfg)
	if err := errors.Join(b.Put("a", []byte("1")), b.Put("b", []byte("2")), b.Put("b", nil)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if v, ok, err := b.Get("a"); string(v) != "1" || !ok || err != nil {
			t.Fatal(v, ok, err)
		}
		if _, ok, err := b.Get("b"); ok || err != nil {
			t.Fatal(ok, err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b = mustOpen(t, cfg)
	}
	b.Close()
}
