package bridge

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"testing"
	"time"

	"fieldgate/buffer"
	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// sixPolls are six polls of ten tags of a meter, one second apart.
func sixPolls() (entries []buffer.Entry) {
	tags := []struct {
		name       string
		mid, swing float64
		digits     int
	}{{"voltage_l1", 230.4, 1.8, 1}, {"voltage_l2", 231.2, 1.7, 1}, {"voltage_l3", 229.8, 1.9, 1}, {"current_l1", 12.4, 1.5, 2}, {"current_l2", 11.8, 1.9, 2},
		{"current_l3", 13.1, 1.8, 2}, {"power", 8900, 800, 0}, {"frequency", 50, 0.05, 2}, {"water_temp", 71.4, 3, 1}, {"pressure", 2.4, 0.2, 2}}
	start := clock.Now()
	start.Nanos += int64(time.UnixMilli(1767225600123).Add(500 * time.Microsecond).Sub(clock.Wall(start))) // always the same text
	for poll := range 6 {
		for i, tag := range tags {
			v := tag.mid + tag.swing*math.Sin(float64(poll)/7+float64(i))
			n := uint64(812_340 + 10*poll + i)
			at := start
			at.Nanos += int64(poll) * int64(time.Second)
			entries = append(entries, buffer.Entry{ID: n, Epoch: 31, Seq: n, Message: mqtt.Message{Topic: "acme/meter/" + tag.name, Kind: mqtt.KindSample,
				Sample: &mqtt.Sample{Device: "meter", Tag: tag.name, Value: fmt.Sprintf("%.*f", tag.digits, v), Quality: "good", Time: at}}})
		}
	}
	return entries
}

// exchange is what a PUBLISH of QoS 1 costs over TLS 1.3 and IPv4 beside
// itself, measured (fieldgate bench wire): three packets with 52 bytes of
// headers, two records with 22, a PUBACK.
const exchange = 3*52 + 2*22 + 4

// TestWireOfColumns keeps the smallest format below 9.5 bytes of IP a sample:
// every byte of a property counts.
func TestWireOfColumns(t *testing.T) {
	w := newWorld(t, Config{Route: []Route{{From: "#", To: "factory/{gateway}/line2/values", Format: "columns", Compress: "gzip", Batch: Batch{MaxSamples: 60}}}})
	entries := sixPolls()
	r, topic := w.destination(&entries[0].Message)
	r.gateway = "plant7-gw01"
	m, err := r.message(&letter{}, topic, entries, true)
	if err != nil {
		t.Fatal(err)
	}
	if m.Props.ContentType != "application/json+gzip" || m.Topic != "factory/gw/line2/values" {
		t.Errorf("%s, %+v", m.Topic, m.Props)
	}
	p := packet.Publish{QoS: 1, PacketID: 1, TopicAlias: 1, Payload: m.Payload, Props: m.Props}
	wire, err := p.Append(nil, mqtt.V5)
	if err != nil {
		t.Fatal(err)
	}
	per := float64(exchange+len(wire)) / float64(len(entries))
	t.Logf("%.2f bytes a sample: payload %d, packet %d", per, len(m.Payload), len(wire))
	if per > 9.5 {
		t.Errorf("%.2f bytes a sample; at most 9.5 are the aim", per)
	}
}

// TestNumbersInColumns: they are in the mark, and inside only where the mark
// does not go with the message.
func TestNumbersInColumns(t *testing.T) {
	w := newWorld(t, Config{Route: []Route{{From: "#", To: "up", Format: "columns", Compress: "gzip", Batch: Batch{MaxSamples: 60}}}})
	entries := sixPolls()
	r, topic := w.destination(&entries[0].Message)
	for _, v5 := range []bool{true, false} {
		m, err := r.message(&letter{}, topic, entries, v5)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(bytes.NewReader(m.Payload))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		if inside := bytes.Contains(body, []byte(`"gateway":"gw","epoch":31,"seq":[[812340,812399]]`)); inside == v5 {
			t.Errorf("MQTT 5 %v: %s", v5, body)
		}
		if mark := userProperty(m.Props.User, propMark); mark != "gw/31/812340-812399" {
			t.Errorf("mark %q", mark)
		}
	}
}

func TestCutMark(t *testing.T) {
	for mark, want := range map[string][3]string{
		"gw/3/17-59,61": {"gw", "3", "17-59,61"}, "a/b/3/1": {"a/b", "3", "1"}, "": {}, "gw": {}, "gw/3": {}, "//": {},
	} {
		gateway, epoch, seq := cutMark(mark)
		if got := [3]string{gateway, epoch, seq}; got != want {
			t.Errorf("%q: %q", mark, got)
		}
	}
}
