package session

import (
	"errors"
	"fmt"
	"testing"

	"fieldgate/mqtt"
)

func TestAliasIn(t *testing.T) {
	a := NewAliasIn(2)
	for _, c := range []struct {
		alias       uint16
		topic, want string
		reason      mqtt.ReasonCode
	}{
		{0, "t", "", mqtt.TopicAliasInvalid},
		{3, "t", "", mqtt.TopicAliasInvalid},
		{2, "", "", mqtt.ProtocolError},
		{2, "b", "b", 0},
		{1, "", "", mqtt.ProtocolError},
		{2, "", "b", 0},
		{2, "c", "c", 0},
		{2, "", "c", 0},
	} {
		got, err := a.Resolve(c.alias, c.topic)
		if got != c.want || (c.reason == 0) != (err == nil) || err != nil && !errors.Is(err, c.reason) {
			t.Errorf("%d %q: %q, %v", c.alias, c.topic, got, err)
		}
	}
	if err := NewAliasIn(0).Check(1); !errors.Is(err, mqtt.TopicAliasInvalid) {
		t.Errorf("aliases that were not announced: %v", err)
	}
}

// Whatever AliasOut says, AliasIn understands.
func TestAliasBothEnds(t *testing.T) {
	for _, topics := range []int{1, 3, 4, 5, 20} {
		out, in := NewAliasOut(3), NewAliasIn(3)
		saved := 0
		for i := range 1000 {
			topic := fmt.Sprint(i % topics)
			if i > 500 {
				topic = fmt.Sprint("late", i%2)
			}
			n, known := out.Alias(topic)
			if n == 0 {
				if known {
					t.Fatal("known without an alias")
				}
				continue
			}
			sent := topic
			if known {
				sent = ""
				saved++
			}
			if got, err := in.Resolve(n, sent); err != nil || got != topic {
				t.Fatalf("%d topics, message %d: %q, %v; want %q", topics, i, got, err, topic)
			}
		}
		if saved < 400 { // the two late topics at least must have come by aliases
			t.Errorf("%d topics: saved %d of 1000", topics, saved)
		}
		if len(out.byName) > 3 || len(out.list) > 3 {
			t.Errorf("%d topics: holds %d", topics, len(out.byName))
		}
	}
	if n, known := NewAliasOut(0).Alias("t"); n != 0 || known {
		t.Error("an alias although none is allowed")
	}
}

// More topics than aliases, round and round: aliases stay where they are.
func TestAliasOutDoesNotThrash(t *testing.T) {
	out := NewAliasOut(2)
	changes := 0
	for i := range 300 {
		if n, known := out.Alias(fmt.Sprint(i % 3)); n != 0 && !known {
			changes++
		}
	}
	if changes != 2 {
		t.Errorf("%d times a topic got an alias, want 2", changes)
	}
}
