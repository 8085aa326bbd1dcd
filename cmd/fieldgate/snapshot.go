package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fieldgate/bridge"
	"fieldgate/buffer"
	"fieldgate/buffer/clock"
	"fieldgate/drivers"
	"fieldgate/mqtt/broker"
	"fieldgate/web"
)

// Status puts together what every part counts. It touches no device, no
// network and, but for the free space, no disk.
func (g *gateway) Status() web.Status {
	g.mu.Lock()
	file, problems := g.file, append([]web.Problem{}, g.problems...)
	links := make([]*bridge.Bridge, 0, len(g.links))
	for _, u := range file.Upstream {
		if l := g.links[u.Name]; l != nil {
			links = append(links, l.bridge)
		}
	}
	g.mu.Unlock()

	s := web.Status{
		Schema: web.Schema, Problems: problems, Devices: []web.Device{}, Buses: []web.Bus{}, Upstream: []web.Link{},
		Gateway: web.Gateway{
			ID: file.Gateway.ID, Name: file.Gateway.Name, Version: versionText(), Started: g.started,
			UptimeS: int64(time.Since(g.started).Seconds()), ConfigID: file.Fingerprint(),
		},
	}
	for _, b := range g.super.Stats() {
		s.Buses = append(s.Buses, webBus(b))
		for _, d := range b.Devices {
			s.Devices = append(s.Devices, webDevice(b.Bus, d))
		}
	}
	slices.SortFunc(s.Buses, func(a, b web.Bus) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Devices, func(a, b web.Device) int { return strings.Compare(a.Name, b.Name) })
	s.Tags = countTags(g.super.Tags())
	s.Broker = g.brokerStatus()
	for _, l := range links {
		s.Upstream = append(s.Upstream, webLink(l.Stats()))
	}
	queue := g.buffer.Stats()
	s.Store = g.storeStatus(file.Buffer.Directory(), queue.Degraded)
	synced, within := clock.Synced()
	s.Clock = web.Clock{Synced: synced, ErrorMs: float64(within) / 1e6}
	s.Problems = append(s.Problems, findProblems(&s)...)
	if queue.LowDisk {
		s.Problems = append(s.Problems, web.Problem{
			Code: "W0713", Part: "queue", Next: "free some space on the disk of " + s.Store.Dir,
			Text: bytesText(queue.FreeBytes) + " are left on the disk, less than min_free: the queue does not grow any further",
		})
	}
	if queue.Held {
		s.Problems = append(s.Problems, web.Problem{
			Code: "E0716", Part: "queue", Next: "fieldgate queue status shows what waits for whom; free some space, raise max_size, or choose another buffer.full",
			Text: "there is no room in the queue: publishers wait and are not acknowledged",
		})
	}
	s.Problems = append(s.Problems, leftBehind(queue.Upstreams)...)
	s.State = "ok"
	if len(s.Problems) > 0 {
		s.State = "degraded"
	}
	if strings.HasPrefix(s.Store.State, "degraded") || queue.Held {
		s.State = "failed"
	}
	return s
}

// Tags lists every tag with its value, for the page and the tags command.
func (g *gateway) Tags() []web.Tag {
	states := g.super.Tags()
	tags := make([]web.Tag, 0, len(states))
	for _, t := range states {
		tag := web.Tag{
			Device: t.Tag.Device, Tag: t.Tag.Name, Label: t.Tag.Label, Unit: t.Tag.Unit, Quality: t.Quality.String(),
			Reason: t.Reason, Address: t.Tag.Address, Topic: t.Topic, Value: json.RawMessage(t.Value.AppendJSON(nil)),
		}
		if age, ok := t.Age(); ok {
			at := clock.Wall(t.Time)
			tag.Time, tag.AgeS = &at, age.Seconds()
		}
		tags = append(tags, tag)
	}
	return tags
}

func countTags(states []drivers.TagState) (n web.TagCount) {
	for _, t := range states {
		switch t.Quality {
		case drivers.Good:
			n.Good++
		case drivers.Uncertain:
			n.Uncertain++
		default:
			n.Bad++
			if t.Reason == drivers.ReasonStale {
				n.Stale++
			}
		}
	}
	return n
}

func webBus(b drivers.BusStats) web.Bus {
	return web.Bus{
		Name: b.Bus, Kind: b.Kind, Target: b.Target, Open: b.Open, Error: b.Error, Requests: b.Requests, Errors: b.Errors,
		Retries: b.Retries, Late: b.Late, BytesIn: b.BytesIn, BytesOut: b.BytesOut, Reconnects: b.Reconnects,
		BusyS: b.Busy.Seconds(), Hints: b.Hints,
	}
}

func webDevice(bus string, d drivers.DeviceStats) web.Device {
	return web.Device{
		Name: d.Device, Bus: bus, Unit: d.Unit, State: d.State, Reason: d.Reason, Since: moment(d.Since), LastOK: moment(d.LastOK),
		NextTry: moment(d.NextTry), Polls: d.Polls, Failures: d.Failures, Overruns: d.Overruns, Writes: d.Writes,
		P50ms: millis(d.P50), P95ms: millis(d.P95), MaxMs: millis(d.Max),
		DelayP50ms: millis(d.DelayP50), DelayP99ms: millis(d.DelayP99),
	}
}

func webLink(l bridge.Stats) web.Link {
	state := l.State
	if state == bridge.StateWaiting {
		state = "offline"
	}
	return web.Link{
		Name: l.Name, URL: l.URL, State: state, Reason: l.Reason, Hint: l.Hint, Since: moment(l.Since), NextTry: moment(l.NextTry),
		Connects: l.Connects, Sent: l.Sent, Acked: l.Acked, BytesOut: l.Bytes, AckP50ms: millis(l.AckP50), AckP99ms: millis(l.AckP99),
		Carried: l.Carried, Budget: webBudget(l), Queue: webQueue(l.Backlog),
	}
}

func webBudget(l bridge.Stats) *web.Budget {
	b := l.Budget
	if b.Month == 0 {
		return nil
	}
	return &web.Budget{
		Month: b.Month, Used: b.Used, Projected: b.Projected, Ends: moment(b.Ends), Saving: savings[b.Saving], KeepOneOf: b.KeepOneOf, Thinned: l.Thinned,
	}
}

// savings are the words for bridge.Saving.
var savings = map[bridge.Saving]string{bridge.SavingNone: "none", bridge.SavingBulk: "bulk", bridge.SavingThin: "thin"}

func webQueue(c buffer.CursorStats) web.Queue {
	return web.Queue{
		Messages: c.Messages, Bytes: c.Bytes, Limit: c.LimitBytes, OldestAgeS: c.OldestAge.Seconds(), FullInS: c.FullIn.Seconds(),
		Enqueued: c.Offered, Dropped: c.Dropped,
	}
}

func (g *gateway) storeStatus(dir, degraded string) web.Store {
	s := web.Store{Dir: dir, State: "ok", WrittenBytes: writtenBytes()}
	s.WrittenToday = g.written.today(time.Now(), s.WrittenBytes)
	if degraded != "" {
		s.State = "degraded: " + degraded
	}
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) == nil {
		s.FreeBytes, s.SizeBytes = fs.Bavail*uint64(fs.Bsize), fs.Blocks*uint64(fs.Bsize)
	}
	return s
}

// findProblems puts into words what a person should look at.
func findProblems(s *web.Status) []web.Problem {
	var all []web.Problem
	add := func(code, part, next, format string, args ...any) {
		all = append(all, web.Problem{Code: code, Part: part, Text: fmt.Sprintf(format, args...), Next: next})
	}
	down := map[string]bool{}
	for _, b := range s.Buses {
		if !b.Open && b.Error != "" {
			down[b.Name] = true
			add("E0717", "bus "+b.Name, "", "%s", b.Error)
		}
		for _, hint := range b.Hints {
			add("W0718", "bus "+b.Name, "", "%s", hint)
		}
	}
	for _, d := range s.Devices {
		if d.State == drivers.DeviceOffline && !(d.Reason == drivers.ReasonPort && down[d.Bus]) { // the bus says it better
			add(drivers.CodeDeviceOffline, "device "+d.Name, "fieldgate read "+d.Name+" shows what it answers", "%s%s", cmp.Or(d.Reason, "no answer"), sinceText(d.Since))
		}
	}
	for _, l := range s.Upstream {
		if l.State != bridge.StateOnline && l.State != "disabled" {
			add("W0812", "upstream "+l.Name, cmp.Or(l.Hint, "fieldgate upstream test "+l.Name), "%s%s", cmp.Or(l.Reason, l.State), sinceText(l.Since))
		}
	}
	for _, l := range s.Upstream {
		if b := l.Budget; b != nil && b.Saving != "none" {
			add(bridge.CodeBudget, "upstream "+l.Name, "send less (batch, compress, where), or raise budget.month", "%s", budgetText(*b))
		}
	}
	if strings.HasPrefix(s.Store.State, "degraded") {
		add("E0713", "queue", "look at the disk of "+s.Store.Dir, "%s", s.Store.State)
	}
	return all
}

// leftBehind lists queues that no bridge empties: nothing else shows them.
func leftBehind(queues []buffer.CursorStats) []web.Problem {
	var all []web.Problem
	for _, q := range queues {
		refused := q.Name == bridge.QuarantineName
		if q.Messages == 0 || !q.Retired && !refused {
			continue
		}
		text, next := "%d messages wait for an upstream that is not in the configuration", "fieldgate queue peek "+q.Name
		if refused {
			text, next = "%d messages were refused by an upstream", next+" says why; fieldgate queue retry sends them again"
		}
		all = append(all, web.Problem{
			Code: "W0731", Part: "queue " + q.Name, Text: fmt.Sprintf(text, q.Messages),
			Next: next + "; fieldgate queue drop " + q.Name + " gives them up",
		})
	}
	return all
}

func sinceText(t *time.Time) string {
	if t == nil {
		return ""
	}
	return " since " + t.Format("15:04") + " (" + age(time.Since(*t)) + ")"
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (g *gateway) brokerStatus() web.Broker {
	b := g.broker.Stats()
	return web.Broker{
		Listeners: g.addresses(), Enter: whoEnters(b.Listeners), Clients: b.Clients, Sessions: b.Sessions, Retained: b.Retained, Subscriptions: b.Subscriptions,
		MessagesIn: b.MessagesReceived, MessagesOut: b.MessagesSent, BytesIn: b.BytesReceived, BytesOut: b.BytesSent,
		Dropped: b.Dropped, Connects: b.Connects, AuthFailures: b.AuthFailures,
	}
}

// addresses lists the broker's listeners as URLs.
func (g *gateway) addresses() []string {
	list := []string{}
	for _, l := range g.broker.Stats().Listeners {
		scheme := "mqtt"
		if l.WebSocket {
			scheme = "ws"
		}
		if l.TLS {
			scheme += "s"
		}
		list = append(list, scheme+"://"+l.Address)
	}
	return list
}

// whoEnters says in words who may enter by each listener.
func whoEnters(list []broker.ListenerInfo) []string {
	who := []string{}
	for _, l := range list {
		var text string
		switch {
		case l.Certs:
			text = "clients with a certificate"
		case l.Anonymous && l.Local:
			text = "everybody on this box"
		case l.Anonymous:
			text = "everybody"
		case l.Users:
			text = "users"
		default:
			text = "nobody"
		}
		if l.Local && !l.Anonymous {
			text += " on this box"
		}
		who = append(who, text)
	}
	return who
}

func devicesUp(devices []web.Device) (n int) {
	for _, d := range devices {
		if d.State != drivers.DeviceOffline && d.State != drivers.DeviceUnknown {
			n++
		}
	}
	return n
}
