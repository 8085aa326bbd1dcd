package broker

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"fieldgate/mqtt"
)

// plainMatch is the filters of a tree that match, found the simple way.
func plainMatch(filters []string, topic string) []string {
	var found []string
	for _, f := range filters {
		if mqtt.Match(f, topic) {
			found = append(found, f)
		}
	}
	slices.Sort(found)
	return found
}

func treeMatch(t *tree, topic string) []string {
	var found []string
	t.match(topic, func(s *subscription) { found = append(found, s.filter) }, func(g *shareGroup) {
		for _, m := range g.members {
			found = append(found, "share:"+m.filter)
		}
	})
	slices.Sort(found)
	return found
}

func randomLevels(rnd *rand.Rand, words []string) string {
	levels := make([]string, 1+rnd.IntN(5))
	for i := range levels {
		levels[i] = words[rnd.IntN(len(words))]
	}
	return strings.Join(levels, "/")
}

// The tree and the retained messages find what Match finds.
func TestMatchingAgainstTheSimpleWay(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var tr tree
		var kept retained
		kept.limit(1<<20, 1<<40)
		filters, topics := map[string]*subscription{}, map[string]bool{}
		for range 60 {
			f := randomLevels(rnd, []string{"a", "b", "", "+", "$x", "c"})
			if rnd.IntN(3) == 0 {
				f += "/#"
			}
			if rnd.IntN(20) == 0 {
				f = "#"
			}
			sub := &subscription{filter: f, session: &session{}}
			if old := filters[f]; old != nil {
				if rnd.IntN(2) == 0 {
					if !tr.remove(old) || tr.remove(old) {
						t.Fatalf("remove %q", f)
					}
					delete(filters, f)
				}
				continue
			}
			tr.add(sub)
			filters[f] = sub
			topic := randomLevels(rnd, []string{"a", "b", "", "$x", "c"})
			if topic == "" {
				continue
			}
			if topics[topic] && rnd.IntN(2) == 0 {
				kept.put(&mqtt.Message{Topic: topic})
				delete(topics, topic)
			} else {
				kept.put(&mqtt.Message{Topic: topic, Payload: []byte("x")})
				topics[topic] = true
			}
		}
		list := slices.Collect(maps.Keys(filters))
		for range 50 {
			topic := randomLevels(rnd, []string{"a", "b", "", "$x", "c"})
			if topic == "" {
				continue
			}
			if got, want := treeMatch(&tr, topic), plainMatch(list, topic); !slices.Equal(got, want) {
				t.Fatalf("topic %q: tree %q, want %q", topic, got, want)
			}
		}
		for _, f := range list {
			var got, want []string
			for _, m := range kept.match(f) {
				got = append(got, m.Topic)
			}
			for topic := range topics {
				if mqtt.Match(f, topic) {
					want = append(want, topic)
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Fatalf("filter %q: retained %q, want %q", f, got, want)
			}
		}
		if n, _ := kept.counts(); n != len(topics) {
			t.Fatalf("%d retained, want %d", n, len(topics))
		}
		for topic := range topics {
			kept.put(&mqtt.Message{Topic: topic})
		}
		for _, s := range filters {
			tr.remove(s)
		}
		if n, bytes := kept.counts(); n != 0 || bytes != 0 || len(kept.root.children) != 0 {
			t.Fatalf("%d messages, %d bytes, %d nodes left", n, bytes, len(kept.root.children))
		}
		if !tr.root.empty() || tr.count != 0 {
			t.Fatal("the tree is not empty")
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("a/+/c", "a/b/c")
	f.Add("#", "$SYS/x")
	f.Add("a/#", "a")
	f.Add("+/+", "/")
	f.Add(strings.Repeat("+/", 127)+"#", strings.Repeat("/", 127))
	f.Fuzz(func(t *testing.T, filter, topic string) {
		if mqtt.CheckFilter(filter) != nil || mqtt.CheckTopic(topic) != nil {
			return
		}
		var tr tree
		tr.add(&subscription{filter: filter, session: &session{}})
		var kept retained
		kept.limit(10, 1<<30)
		kept.put(&mqtt.Message{Topic: topic, Payload: []byte("x")})
		want := mqtt.Match(filter, topic)
		if got := len(treeMatch(&tr, topic)) == 1; got != want {
			t.Errorf("%q in the tree, %q: %v", filter, topic, got)
		}
		if got := len(kept.match(filter)) == 1; got != want {
			t.Errorf("%q retained, %q: %v", topic, filter, got)
		}
	})
}

func TestRing(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var r ring[int]
	var model []int
	for i := range 20_000 {
		switch {
		case len(model) > 0 && rnd.IntN(100) < 45+i/2000:
			at := rnd.IntN(min(3, len(model)))
			if *r.at(at) != model[at] {
				t.Fatalf("item %d is %d, want %d", at, *r.at(at), model[at])
			}
			r.remove(at)
			model = slices.Delete(model, at, at+1)
		default:
			r.push(i)
			model = append(model, i)
		}
		if r.len() != len(model) {
			t.Fatalf("length %d, want %d", r.len(), len(model))
		}
	}
	for i, v := range model {
		if *r.at(i) != v {
			t.Fatalf("item %d is %d, want %d", i, *r.at(i), v)
		}
	}
}

func TestLastSeq(t *testing.T) {
	for _, seqs := range [][]uint64{nil, {1}, {2}, {1, 2, 3}, {7}, {1000, 1001, 5000}, {1 << 39}} {
		m := newMemory()
		m.Apply(t.Context(), true, []mqtt.StoreChange{{PutSession: &mqtt.SessionState{ClientID: "c"}}})
		want := uint64(0)
		for _, n := range seqs {
			e := &mqtt.SessionEntry{ClientID: "c"}
			e.Seq = n
			m.Apply(t.Context(), true, []mqtt.StoreChange{{Enqueue: e}})
			want = n
		}
		if got, err := lastSeq(t.Context(), m, "c"); err != nil || got != want {
			t.Errorf("%v: %d, %v", seqs, got, err)
		}
	}
}

// Messages that reach the store in another order come out in theirs.
func TestFillWaitsForTheCommitInBetween(t *testing.T) {
	store := newFaulty()
	s := start(t, Config{MaxInflight: 1, MaxQueued: 10_000}, store)
	r := s.connect(mqtt.V5, "r", durable)
	r.subscribe(sub("t", 1))
	hold := make(chan struct{})
	store.set(nil, func(_ bool, c []mqtt.StoreChange) {
		if c[0].Enqueue != nil && string(c[0].Enqueue.Message.Payload) == "late" {
			<-hold
		}
	})
	a, b := s.connect(mqtt.V5, "a"), s.connect(mqtt.V5, "b")
	n := queuePage + 1
	for i := range n { // window and queue are full, what follows is only on disk
		a.publish("t", fmt.Sprint(i), 1, uint16(i%20+1))
	}
	b.send(pub("t", "late", 1, 1))
	waitFor(t, "the late one's turn", func() bool {
		for _, c := range s.Clients() {
			if c.ID == "r" {
				return c.Inflight+c.Queued == n+1
			}
		}
		return false
	})
	a.publish("t", "early", 1, 1)
	for i := range n {
		if m := r.receive(); string(m.Payload) != fmt.Sprint(i) {
			t.Fatalf("got %s, want %d", m.Payload, i)
		}
	}
	r.silent()
	close(hold)
	for _, want := range []string{"late", "early"} {
		if m := r.receive(); string(m.Payload) != want {
			t.Fatalf("got %s, want %s", m.Payload, want)
		}
	}
}
