package web

import (
	"encoding/json"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// collector turns the Status document into Prometheus metrics at each scrape;
// nothing is kept between two scrapes.
type collector struct {
	status func() Status
	tags   func() []Tag // nil: tag values are not exported
}

// registry is a fresh registry with our metrics and those of the process.
func registry(c collector) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Describe sends nothing: the set of metrics depends on the configuration
// (an unchecked collector in Prometheus' words).
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends one metric for each figure of the Status document.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.status()
	e := emitter(ch)
	e.gauge("build_info", "Version of the gateway.", 1, "version", s.Gateway.Version)
	e.gauge("health_state", "0 ok, 1 degraded, 2 failed.", stateNumber(s.State))
	e.gauge("clock_synced", "1 while the kernel says the clock is synchronised.", truth(s.Clock.Synced))
	e.buses(s.Buses)
	e.devices(s.Devices)
	e.gauge("tags", "Tags by quality.", float64(s.Tags.Good), "quality", "good")
	e.gauge("tags", "Tags by quality.", float64(s.Tags.Uncertain), "quality", "uncertain")
	e.gauge("tags", "Tags by quality.", float64(s.Tags.Bad), "quality", "bad")
	e.broker(s.Broker)
	e.links(s.Upstream)
	e.counter("store_written_bytes_total", "Bytes written to the disk by this process.", s.Store.WrittenBytes)
	e.gauge("store_written_today_bytes", "Bytes written to the disk since local midnight, over restarts.", float64(s.Store.WrittenToday))
	e.gauge("store_free_bytes", "Bytes left on the disk of the queue.", float64(s.Store.FreeBytes))
	e.gauge("store_degraded", "1 while the queue cannot use its disk.", truth(strings.HasPrefix(s.Store.State, "degraded")))
	if c.tags != nil {
		e.tags(c.tags())
	}
}

// emitter sends metrics with labels given as name, value pairs.
type emitter chan<- prometheus.Metric

func (e emitter) send(kind prometheus.ValueType, name, help string, v float64, labels []string) {
	names, values := make([]string, 0, len(labels)/2), make([]string, 0, len(labels)/2)
	for i := 0; i+1 < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	e <- prometheus.MustNewConstMetric(prometheus.NewDesc("fieldgate_"+name, help, names, nil), kind, v, values...)
}

func (e emitter) gauge(name, help string, v float64, labels ...string) {
	e.send(prometheus.GaugeValue, name, help, v, labels)
}

func (e emitter) counter(name, help string, v uint64, labels ...string) {
	e.send(prometheus.CounterValue, name, help, float64(v), labels)
}

func (e emitter) buses(buses []Bus) {
	for _, b := range buses {
		e.counter("bus_requests_total", "Requests on the wire.", b.Requests, "bus", b.Name)
		for reason, n := range b.Errors {
			e.counter("bus_errors_total", "Failed requests by reason.", n, "bus", b.Name, "reason", reason)
		}
		e.counter("bus_bytes_total", "Bytes on the wire.", b.BytesIn, "bus", b.Name, "direction", "in")
		e.counter("bus_bytes_total", "Bytes on the wire.", b.BytesOut, "bus", b.Name, "direction", "out")
		e.counter("bus_reconnects_total", "Times the wire was opened again.", b.Reconnects, "bus", b.Name)
		e.send(prometheus.CounterValue, "bus_busy_seconds_total", "Time with a request outstanding.", b.BusyS, []string{"bus", b.Name})
	}
}

func (e emitter) devices(devices []Device) {
	for _, d := range devices {
		up := truth(d.State == "online" || d.State == "degraded")
		e.gauge("device_up", "1 while the device answers.", up, "device", d.Name)
		e.counter("device_polls_total", "Polls of the device.", d.Polls, "device", d.Name)
		e.counter("device_poll_overruns_total", "Poll slots that were missed.", d.Overruns, "device", d.Name)
		e.counter("device_writes_total", "Writes to the device.", d.Writes, "device", d.Name)
		if d.LastOK != nil {
			at := float64(d.LastOK.UnixMilli()) / 1000
			e.gauge("device_last_success_timestamp_seconds", "When the device last answered.", at, "device", d.Name)
		}
		e.gauge("device_request_duration_seconds", "Turn-around by quantile.", d.P50ms/1000, "device", d.Name, "quantile", "0.5")
		e.gauge("device_request_duration_seconds", "Turn-around by quantile.", d.P95ms/1000, "device", d.Name, "quantile", "0.95")
	}
}

func (e emitter) broker(b Broker) {
	e.gauge("broker_clients", "Connected clients.", float64(b.Clients))
	e.gauge("broker_retained", "Retained messages.", float64(b.Retained))
	e.gauge("broker_subscriptions", "Subscriptions.", float64(b.Subscriptions))
	e.counter("broker_messages_total", "Publishes received and sent.", b.MessagesIn, "direction", "in")
	e.counter("broker_messages_total", "Publishes received and sent.", b.MessagesOut, "direction", "out")
	e.counter("broker_bytes_total", "Bytes received and sent.", b.BytesIn, "direction", "in")
	e.counter("broker_bytes_total", "Bytes received and sent.", b.BytesOut, "direction", "out")
	e.counter("broker_dropped_total", "Messages dropped for slow subscribers.", b.Dropped)
	e.counter("broker_connects_total", "Accepted connections.", b.Connects)
	e.counter("broker_auth_failures_total", "Refused logins.", b.AuthFailures)
}

func (e emitter) links(links []Link) {
	for _, l := range links {
		e.gauge("upstream_connected", "1 while connected.", truth(l.State == "online"), "upstream", l.Name)
		e.counter("upstream_connects_total", "Connections made.", l.Connects, "upstream", l.Name)
		e.counter("upstream_messages_total", "Messages acknowledged by the upstream.", l.Acked, "upstream", l.Name)
		e.counter("upstream_bytes_total", "Payload bytes sent.", l.BytesOut, "upstream", l.Name)
		e.counter("upstream_carried_bytes_total", "Bytes on the wire, both ways, with headers.", l.Carried, "upstream", l.Name)
		if b := l.Budget; b != nil {
			e.gauge("upstream_month_limit_bytes", "What the link may carry in a month.", float64(b.Month), "upstream", l.Name)
			e.gauge("upstream_month_used_bytes", "Of this month.", float64(b.Used), "upstream", l.Name)
			e.gauge("upstream_month_projected_bytes", "At the month's end, if it goes on like this.", float64(b.Projected), "upstream", l.Name)
			e.counter("upstream_thinned_total", "Values given up to stay within the budget.", b.Thinned, "upstream", l.Name)
		}
		e.gauge("upstream_ack_duration_seconds", "Publish to acknowledgement by quantile.", l.AckP50ms/1000, "upstream", l.Name, "quantile", "0.5")
		e.gauge("upstream_ack_duration_seconds", "Publish to acknowledgement by quantile.", l.AckP99ms/1000, "upstream", l.Name, "quantile", "0.99")
		q := l.Queue
		e.gauge("queue_messages", "Messages that wait.", float64(q.Messages), "upstream", l.Name)
		e.gauge("queue_bytes", "Bytes that wait.", float64(q.Bytes), "upstream", l.Name)
		e.gauge("queue_limit_bytes", "Bytes that may wait.", float64(q.Limit), "upstream", l.Name)
		e.gauge("queue_oldest_age_seconds", "Age of the oldest message that waits.", q.OldestAgeS, "upstream", l.Name)
		e.counter("queue_enqueued_total", "Messages taken in.", q.Enqueued, "upstream", l.Name)
		for reason, n := range q.Dropped {
			e.counter("queue_dropped_total", "Messages dropped by reason.", n, "upstream", l.Name, "reason", reason)
		}
	}
}

func (e emitter) tags(tags []Tag) {
	for _, t := range tags {
		if v, ok := number(t.Value); ok && t.Quality != "bad" {
			e.gauge("tag_value", "Value of a tag.", v, "device", t.Device, "tag", t.Tag)
		}
	}
}

// number is a value as a metric: numbers, and truths as 0 and 1. A text is
// none, even where it reads like a number.
func number(value any) (v float64, ok bool) {
	doc, err := json.Marshal(value)
	if err != nil || json.Unmarshal(doc, &value) != nil {
		return 0, false
	}
	switch x := value.(type) {
	case float64:
		return x, true
	case bool:
		return truth(x), true
	}
	return 0, false
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func stateNumber(state string) float64 {
	switch state {
	case "ok":
		return 0
	case "degraded":
		return 1
	}
	return 2
}
