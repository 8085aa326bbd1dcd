package drivers

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/buffer/clock"
)

func TestComputedValues(t *testing.T) {
	two := 2
	for _, c := range []struct {
		text   string
		round  *int
		inputs []Value // in the order in which they are named
		want   string
	}{
		{"a + b", nil, []Value{IntValue(1), FloatValue(0.5)}, "1.5"},
		{"a > b + 10", nil, []Value{Float32Value(81), IntValue(70)}, "true"},
		{"a * b", &two, []Value{FloatValue(1.006), IntValue(3)}, "3.02"},
		{"round(a / b)", nil, []Value{UintValue(7), UintValue(2)}, "4"},
		{"a / b", nil, []Value{IntValue(1), IntValue(0)}, "-"},
		{"a % b", nil, []Value{IntValue(1), IntValue(0)}, "-"},
		{"a ? b : 0", nil, []Value{BoolValue(false), IntValue(3)}, "0"},
		{"a and not b", nil, []Value{BoolValue(true), BoolValue(false)}, "true"},
		{"max(a, b, 3)", nil, []Value{IntValue(1), IntValue(9)}, "9"},
		{"other.v - v", nil, []Value{IntValue(9007199254740993), IntValue(1)}, "9007199254740992"},
		{`tag("x-y/z 1") + tag("l1-n")`, nil, []Value{IntValue(2), IntValue(3)}, "5"},
		{"a + 1", nil, []Value{StringValue("text")}, "-"},
		{"a == 'run'", nil, []Value{StringValue("run")}, "true"},
		{"a + b", nil, []Value{UintValue(1 << 63), IntValue(0)}, "9223372036854776000"}, // a float: only integers below 2^63 stay exact,
	} {
		e, err := NewComputed("d", c.text, c.round, nil)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := e.eval(c.inputs).String(); got != c.want {
			t.Errorf("%s of %v is %s, want %s", c.text, c.inputs, got, c.want)
		}
	}
}

func TestComputedMistakes(t *testing.T) {
	known := func(r TagRef) bool { return r == TagRef{"d", "a"} || r == TagRef{"o", "b"} }
	for text, want := range map[string]string{
		"": "unexpected token", "1 + 2": "names no tag", "a +": "column", "c": "there is no tag d/c", "o.c": "there is no tag o/c", "a.b": "there is no tag a/b",
		"filter([a], true)": "lists", "len('x') + a": "len", "tag(a)": "functions other than", "let x = a; x": "tag d/x", strings.Repeat("a + ", 400) + "a": "maximum",
	} {
		if _, err := NewComputed("d", text, nil, known); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.30q: %v, want %q", text, err, want)
		}
	}
	e, err := NewComputed("d", "a + o.b + a", nil, known)
	if err != nil || len(e.Inputs()) != 2 {
		t.Errorf("%v %v", e, err)
	}
}

// TestComputedTagsFollow: a computed tag is as good as the worst of its inputs,
// as new as the newest, follows over drivers and through other computed tags,
// and ends with its inputs' staleness.
func TestComputedTagsFollow(t *testing.T) {
	bubble(t, Publish{}, func(r *rig) {
		computed := func(name, text string) Tag {
			c, err := NewComputed("other", text, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			return Tag{Device: "other", Name: name, Computed: c}
		}
		other := newFakeDriver("two", Tag{Device: "other", Name: "limit"}, computed("hot", "boiler.temp > limit"), computed("cold", "not hot"))
		if err := r.s.Add(other, []DeviceInfo{{Name: "other", Bus: "two"}}); err != nil {
			t.Fatal(err)
		}
		limit := func(v Value, q Quality, reason string) {
			time.Sleep(time.Second)
			other.samples <- []Sample{{Device: "other", Tag: "limit", Value: v, Quality: q, Reason: reason, Time: clock.Now()}}
			synctest.Wait()
		}
		r.sample("temp", IntValue(70), Good, "")
		r.want("gw1/other/+") // a part of it was never read
		limit(IntValue(60), Good, "")
		r.want("gw1/other/hot", `{"value":true,"ts":TS,"quality":"good"}`)
		r.want("gw1/other/cold", `{"value":false,"ts":TS,"quality":"good"}`)
		state, _ := r.s.Tag("other", "cold")
		if in, _ := r.s.Tag("other", "limit"); state.Time != in.Time {
			t.Errorf("it is of %v, its newest input of %v", state.Time, in.Time)
		}
		r.b.forget()
		limit(Value{}, Bad, ReasonTimeout)
		r.want("gw1/other/cold", `{"value":null,"ts":TS,"quality":"bad","reason":"timeout","last":false,"last_ts":TS}`)
		r.b.forget()
		limit(IntValue(80), Good, "")
		r.want("gw1/other/cold", `{"value":true,"ts":TS,"quality":"good"}`)
		r.sample("temp", IntValue(70), Good, "")
		r.b.forget()
		limit(IntValue(81), Uncertain, ReasonRange)
		r.want("gw1/other/hot", `{"value":false,"ts":TS,"quality":"uncertain","reason":"range"}`)
		r.b.forget()
		limit(IntValue(81), Good, "")
		time.Sleep(4 * time.Second) // boiler/temp goes stale
		synctest.Wait()
		if state, _ := r.s.Tag("other", "cold"); state.Quality != Bad || state.Reason != ReasonStale {
			t.Errorf("%+v", state)
		}
		if err := r.s.Remove("two", true); err != nil {
			t.Error(err)
		}
		r.sample("temp", IntValue(71), Good, "") // and nobody follows
		if len(r.s.dependents) != 0 {
			t.Error(r.s.dependents)
		}
	})
}
