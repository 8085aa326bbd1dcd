package drivers

import (
	"math"
	"testing"
	"time"

	"fieldgate/buffer/clock"
)

// step is one sample and whether it is worth a message.
type step struct {
	at    int64 // seconds
	value Value
	q     Quality
	want  bool
}

func TestChange(t *testing.T) {
	good := func(at int64, f float64, want bool) step { return step{at, FloatValue(f), Good, want} }
	bad := func(at int64, want bool) step { return step{at, Value{}, Bad, want} }
	for _, c := range []struct {
		name  string
		rule  PublishRule
		steps []step
	}{
		{"every change", PublishRule{}, []step{good(1, 5, true), good(2, 5, false), good(3, 5.001, true), good(4, 5, true)}},
		{"absolute deadband", PublishRule{Deadband: 0.2}, []step{
			good(1, 4.0, true), good(2, 4.2, false), // 4.2-4.0 is 0.20000000000000018
			good(3, 4.21, true), good(4, 4.1, false), good(5, 4.0, true)}},
		{"creeping is seen", PublishRule{Deadband: 1}, []step{good(1, 0, true), good(2, 0.6, false), good(3, 1.2, true), good(4, 1.8, false)}},
		{"percent", PublishRule{Deadband: 0.005, Percent: true}, []step{
			good(1, 1000, true), good(2, 1005, false), good(3, 1005.1, true), good(4, 1000.2, false)}},
		{"percent of zero", PublishRule{Deadband: 0.005, Percent: true}, []step{good(1, 0, true), good(2, 0.0001, true)}},
		{"percent of a negative", PublishRule{Deadband: 0.1, Percent: true}, []step{good(1, -100, true), good(2, -109, false), good(3, -111, true)}},
		{"repeat after max age", PublishRule{Deadband: 5, MaxAge: 10 * time.Second}, []step{
			good(1, 5, true), good(10, 5, false), good(11, 6, true), good(20, 6, false), good(21, 6, true)}},
		{"never repeat", PublishRule{MaxAge: -1}, []step{good(1, 5, true), good(1e6, 5, false)}},
		{"every poll", PublishRule{OnPoll: true}, []step{good(1, 5, true), good(2, 5, true), bad(3, true), bad(4, false), good(5, 5, true)}},
		{"quality once per change", PublishRule{MaxAge: 10 * time.Second}, []step{
			bad(1, true), bad(2, false), bad(100, false), // a bad value is not repeated
			good(101, 5, true), bad(102, true), good(103, 5, true)}},
		{"uncertain is a quality too", PublishRule{}, []step{good(1, 5, true), {2, FloatValue(5), Uncertain, true}, {3, FloatValue(5), Uncertain, false}, good(4, 5, true)}},
		{"an old sample is not new", PublishRule{OnPoll: true}, []step{good(5, 1, true), good(5, 2, false), good(4, 3, false), good(6, 4, true)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ch := change{rule: c.rule}
			for i, s := range c.steps {
				got := ch.wants(Sample{Value: s.value, Quality: s.q, Time: clock.Stamp{Nanos: s.at * 1e9}})
				if got != s.want {
					t.Errorf("step %d (%s at %d s): %v, want %v", i, s.value, s.at, got, s.want)
				}
			}
		})
	}
}

func TestChangeOfTexts(t *testing.T) {
	ch := change{rule: PublishRule{Deadband: 100}}
	at := func(n int64) clock.Stamp { return clock.Stamp{Nanos: n} }
	if !ch.wants(Sample{Value: StringValue("on"), Time: at(1)}) || ch.wants(Sample{Value: StringValue("on"), Time: at(2)}) ||
		!ch.wants(Sample{Value: StringValue("off"), Time: at(3)}) {
		t.Error("a text has no deadband")
	}
}

func TestChangeOfLargeIntegersIsExact(t *testing.T) {
	ch := change{}
	if !ch.wants(Sample{Value: UintValue(math.MaxUint64 - 1), Time: clock.Stamp{Nanos: 1}}) ||
		!ch.wants(Sample{Value: UintValue(math.MaxUint64), Time: clock.Stamp{Nanos: 2}}) {
		t.Error("one apart near 2^64 is a change")
	}
}

func TestParseDeadband(t *testing.T) {
	for _, c := range []struct {
		in      any
		want    float64
		percent bool
		ok      bool
	}{
		{nil, 0, false, true}, {0.2, 0.2, false, true}, {int64(3), 3, false, true}, {"0.5%", 0.005, true, true},
		{" 1 % ", 0.01, true, true}, {"0.3", 0.3, false, true}, {"x", 0, false, false}, {-1.0, 0, false, false},
		{math.NaN(), 0, false, false}, {true, 0, false, false},
	} {
		got, percent, err := ParseDeadband(c.in)
		if (err == nil) != c.ok || got != c.want || percent != c.percent {
			t.Errorf("%v: %v %v %v", c.in, got, percent, err)
		}
	}
}

func TestParseRate(t *testing.T) {
	for _, c := range []struct {
		in   string
		want time.Duration
		ok   bool
	}{
		{"", 0, true}, {"1/5s", 5 * time.Second, true}, {"2/1m", 30 * time.Second, true}, {"10/s", 100 * time.Millisecond, true},
		{"0/5s", 0, false}, {"5s", 0, false}, {"1/0s", 0, false}, {"1/x", 0, false}, {"-1/s", 0, false},
	} {
		if got, err := ParseRate(c.in); (err == nil) != c.ok || got != c.want {
			t.Errorf("%q: %v %v", c.in, got, err)
		}
	}
}
