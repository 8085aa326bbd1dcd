package bridge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"fieldgate/buffer"
	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// group is what a driver publishes with [publish] format = "group".
func group() mqtt.Message {
	now := clock.Now()
	sample := func(tag, value, quality, reason string) *mqtt.Sample {
		return &mqtt.Sample{Device: "boiler", Tag: tag, Value: value, Quality: quality, Reason: reason, Time: now}
	}
	return mqtt.Message{Topic: "acme/boiler", Payload: []byte(`{"ts":1,"device":"boiler","values":{"temp":95,"level":3},"errors":{"flow":"timeout"}}`),
		Retain: true, Kind: mqtt.KindSample, Origin: "device:boiler", Props: &mqtt.Properties{ContentType: "application/json", PayloadFormat: 1},
		Sample: &mqtt.Sample{Device: "boiler", Time: now, Group: []*mqtt.Sample{
			sample("temp", "95", "good", ""), sample("level", "3", "good", ""), sample("flow", "null", "bad", "timeout")}}}
}

// TestGroupTakenApart: the values of a group go through routes one by one, and
// the group itself where a route leaves payloads alone.
func TestGroupTakenApart(t *testing.T) {
	hot := Route{From: "#", Where: "value > 80", To: "alarm/{tag}", Format: "json", Priority: "alarm"}
	rest := Route{From: "#", To: "v/{device}/{tag}", Format: "value"}
	for _, c := range []struct {
		name   string
		routes []Route
		want   []string // topic, payload, retained
	}{
		{"as it is", nil, []string{`acme/boiler {"ts":1,"device":"boiler","values":{"temp":95,"level":3},"errors":{"flow":"timeout"}} true`}},
		{"by value", []Route{hot, rest}, []string{`alarm/temp {"value":95,`, "v/boiler/level 3 true", "v/boiler/flow null true"}},
		{"one topic for all", []Route{{From: "#", To: "all", Format: "value"}}, []string{"all 95 false", "all 3 false", "all null false"}},
		{"batch", []Route{{From: "#", To: "b", Format: "influx", Batch: Batch{MaxSamples: 10}}}, []string{"b boiler,"}},
		{"some by value, the whole for others", []Route{hot, {From: "#"}},
			[]string{`alarm/temp {"value":95,`, `acme/boiler {"ts":1,`}},
		{"the whole by its payload", []Route{{From: "#", Where: "payload.values.temp > 90"}}, []string{`acme/boiler {"ts":1,`}},
		{"nothing", []Route{{From: "#", Types: []string{"status"}}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, Config{Route: c.routes})
			h := &Hub{queue: w.store}
			if err := h.Set(nil); err != nil {
				t.Fatal(err)
			}
			list := []*Bridge{w.Bridge}
			h.bridges.Store(&list)
			if err := h.take(context.Background(), []mqtt.Message{group()}); err != nil {
				t.Fatal(err)
			}
			var got []string
			entries := map[string][]buffer.Entry{} // one batch per topic
			var order []string
			for i, e := range w.q.entries {
				r, topic := w.destination(&e.Message)
				if r == nil {
					t.Fatalf("no route for entry %d", i)
				}
				key := topic
				if r.batch.samples <= 1 {
					key = fmt.Sprint(topic, i)
				}
				if entries[key] == nil {
					order = append(order, key)
				}
				entries[key] = append(entries[key], e)
			}
			for _, key := range order {
				r, topic := w.destination(&entries[key][0].Message)
				m, err := r.message(&letter{}, topic, entries[key], true)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprintf("%s %s %v", m.Topic, m.Payload, m.Retain))
				if userProperty(m.Props.User, propMark) == "" {
					t.Errorf("%s has no number", m.Topic)
				}
			}
			if !slices.EqualFunc(got, c.want, strings.HasPrefix) {
				t.Errorf("sent\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// TestGroupPartAsIs: a value that waited while its route became "as-is" leaves
// as a group of one, and never as an empty, deleting payload.
func TestGroupPartAsIs(t *testing.T) {
	w := newWorld(t, Config{Route: []Route{{From: "#"}}})
	m := group()
	m.Sample, m.Payload, m.Props = m.Sample.Group[0], nil, nil
	e := buffer.Entry{Epoch: 1, Seq: 1, Message: m}
	r, topic := w.destination(&e.Message)
	out, err := r.message(&letter{}, topic, []buffer.Entry{e}, true)
	if err != nil || !strings.Contains(string(out.Payload), `"value":95`) || out.Retain {
		t.Errorf("%s retain %v, %v", out.Payload, out.Retain, err)
	}
}

// TestGroupTwoBridges: each gets its own form, what both want is stored once.
func TestGroupTwoBridges(t *testing.T) {
	a := newWorld(t, Config{Name: "a", URL: "mqtt://h"})
	b := newWorld(t, Config{Name: "b", URL: "mqtt://h", Route: []Route{{From: "#", Format: "json", To: "{tag}", Priority: "bulk"}}})
	c := newWorld(t, Config{Name: "c", URL: "mqtt://h", Route: []Route{{From: "#", Where: "tag == 'temp'", Format: "json", To: "{tag}"}}})
	b.queue, c.queue = bitQueue{b.q, 2}, bitQueue{c.q, 4}
	m := group()
	var got []string
	for _, it := range appendItems(nil, &m, []*Bridge{a.Bridge, b.Bridge, c.Bridge}) {
		tag := "whole"
		if it.Message.Sample != nil {
			tag = it.Message.Sample.Tag
		}
		got = append(got, fmt.Sprint(tag, " ", it.Targets, " ", it.Priority))
	}
	if want := []string{"whole 1 normal", "temp 6 normal", "level 2 bulk", "flow 2 bulk"}; !slices.Equal(got, want) {
		t.Errorf("queued %q, want %q", got, want)
	}
	m.Origin = "upstream:b"
	if items := appendItems(nil, &m, []*Bridge{b.Bridge}); len(items) != 0 {
		t.Errorf("what came from the upstream goes up again: %d", len(items))
	}
}
