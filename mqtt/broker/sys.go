package broker

import (
	"context"
	"fmt"
	"math"
	"runtime/metrics"
	"strconv"
	"time"

	"fieldgate/mqtt"
)

// sys publishes $SYS under mosquitto's names, so that dashboards and exporters
// made for it work: retained, QoS 0, and only what has changed. It is for one
// goroutine.
type sys struct {
	b    *Broker
	last map[string]string
	at   time.Time
	load []loadAverage
	heap uint64 // the highest seen
}

// loadAverage is a decaying mean per minute, as mosquitto reckons it.
type loadAverage struct {
	name  string
	total func(*counters) uint64
	prev  uint64
	mean  [3]float64
}

var loadMinutes = [3]float64{1, 5, 15}

func newSys(b *Broker) *sys {
	s := &sys{b: b, last: map[string]string{}, at: time.Now()}
	add := func(name string, total func(*counters) uint64) {
		s.load = append(s.load, loadAverage{name: name, total: total})
	}
	add("messages/received", func(c *counters) uint64 { return c.messagesReceived.Load() })
	add("messages/sent", func(c *counters) uint64 { return c.messagesSent.Load() })
	add("publish/received", func(c *counters) uint64 { return c.publishReceived.Load() })
	add("publish/sent", func(c *counters) uint64 { return c.publishSent.Load() })
	add("publish/dropped", func(c *counters) uint64 { return c.dropped.Load() })
	add("bytes/received", func(c *counters) uint64 { return c.bytesReceived.Load() })
	add("bytes/sent", func(c *counters) uint64 { return c.bytesSent.Load() })
	add("sockets", func(c *counters) uint64 { return c.sockets.Load() })
	add("connections", func(c *counters) uint64 { return c.connects.Load() })
	return s
}

// publish publishes what has changed since the last call.
func (s *sys) publish() {
	now := time.Now()
	minutes := now.Sub(s.at).Minutes()
	s.at = now
	var msgs []mqtt.Message
	set := func(name, value string) {
		if s.last[name] != value {
			s.last[name] = value
			msgs = append(msgs, mqtt.Message{Topic: "$SYS/broker/" + name, Payload: []byte(value), Retain: true, Origin: "gateway", Kind: mqtt.KindStatus})
		}
	}
	s.values(set)
	for i := range s.load {
		s.load[i].step(s.load[i].total(&s.b.stats), minutes)
		for k, m := range loadMinutes {
			set(fmt.Sprintf("load/%s/%dmin", s.load[i].name, int(m)), strconv.FormatFloat(s.load[i].mean[k], 'f', 2, 64))
		}
	}
	if err := s.b.Publish(context.Background(), msgs...); err != nil {
		s.b.log.Warn("$SYS could not be published", "error", err)
	}
}

// step takes in the total after some more minutes.
func (l *loadAverage) step(total uint64, minutes float64) {
	if minutes <= 0 {
		return
	}
	rate := float64(total-l.prev) / minutes
	l.prev = total
	for k, m := range loadMinutes {
		decay := math.Exp(-minutes / m)
		l.mean[k] = l.mean[k]*decay + rate*(1-decay)
	}
}

// values are all but the load averages.
func (s *sys) values(set func(name, value string)) {
	st := s.b.Stats()
	number := func(name string, n uint64) { set(name, strconv.FormatUint(n, 10)) }
	set("version", "fieldgate version "+s.b.version)
	set("uptime", fmt.Sprintf("%d seconds", s.b.uptime()/time.Second))
	offline := uint64(max(0, st.Sessions-st.Clients))
	number("clients/total", uint64(st.Sessions))
	number("clients/maximum", uint64(st.MaxClients))
	number("clients/connected", uint64(st.Clients))
	number("clients/active", uint64(st.Clients))
	number("clients/disconnected", offline)
	number("clients/inactive", offline)
	number("clients/expired", st.Expired)
	stored, bytes := s.b.storedMessages(), uint64(max(0, st.QueuedBytes))+uint64(st.RetainedBytes)
	number("messages/received", st.PacketsReceived)
	number("messages/sent", st.PacketsSent)
	number("messages/stored", stored)
	number("store/messages/count", stored)
	number("store/messages/bytes", bytes)
	number("bytes/received", st.BytesReceived)
	number("bytes/sent", st.BytesSent)
	number("publish/messages/received", st.MessagesReceived)
	number("publish/messages/sent", st.MessagesSent)
	number("publish/messages/dropped", st.Dropped)
	number("publish/bytes/received", s.b.stats.publishBytesReceived.Load())
	number("publish/bytes/sent", s.b.stats.publishBytesSent.Load())
	number("subscriptions/count", uint64(st.Subscriptions))
	number("shared_subscriptions/count", uint64(st.Shared))
	number("retained messages/count", uint64(st.Retained))
	number("connections/socket/count", uint64(st.Clients))
	count, waiting := s.b.unsent()
	number("packet/out/count", count)
	number("packet/out/bytes", waiting)
	heap := heapBytes()
	s.heap = max(s.heap, heap)
	number("heap/current", heap)
	number("heap/maximum", s.heap)
}

// storedMessages is how many messages sessions wait for, and retained ones.
func (b *Broker) storedMessages() uint64 {
	n := 0
	for _, c := range b.Clients() {
		n += c.Queued + c.Inflight
	}
	kept, _ := b.retained.counts()
	return uint64(n + kept)
}

// unsent is how many connections have unsent bytes, and how many bytes.
func (b *Broker) unsent() (count, bytes uint64) {
	sessions := b.allSessions()
	for _, s := range sessions {
		s.mu.Lock()
		if s.conn != nil && s.conn.outLen() > 0 {
			count++
			bytes += uint64(s.conn.outLen())
		}
		s.mu.Unlock()
	}
	return count, bytes
}

// heapBytes is what live objects take, read without stopping the world.
func heapBytes() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}
