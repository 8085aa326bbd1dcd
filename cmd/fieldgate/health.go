package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/drivers/modbus"
	"fieldgate/mqtt"
	"fieldgate/web"
)

// healthEvery is how often the health topic is published.
const healthEvery = 30 * time.Second

// publishStatus keeps the gateway's own topics: status, info and health, all
// retained. At the end it publishes offline, which a killed gateway cannot:
// then the broker is gone with it, and the upstream has our will.
func (g *gateway) publishStatus(ctx context.Context) error {
	say := func(leaf string, payload []byte, kind mqtt.Kind) {
		m := mqtt.Message{Topic: g.base + "/" + leaf, Payload: payload, Retain: true, Kind: kind, Origin: "gateway"}
		if err := g.broker.Publish(context.WithoutCancel(ctx), m); err != nil {
			g.log.Warn("cannot publish the gateway's state", "topic", m.Topic, "error", err)
		}
	}
	say("info", g.info(), mqtt.KindStatus)
	say("status", []byte("online"), mqtt.KindStatus)
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	first := time.After(2 * time.Second) // by then the first polls are done
	for {
		select {
		case <-ctx.Done():
			say("status", []byte("offline"), mqtt.KindStatus)
			return nil
		case <-first:
		case <-tick.C:
		case <-g.renewed:
			say("info", g.info(), mqtt.KindStatus)
		}
		health, err := json.Marshal(g.health())
		if err != nil {
			return fmt.Errorf("health document: %w", err)
		}
		say("health", health, mqtt.KindStatus)
		g.keepTrust()
		if g.written.due(time.Now()) {
			g.keepWritten()
		}
		notify(g.log, "STATUS="+g.oneLine())
	}
}

type healthDoc struct {
	TS       int64         `json:"ts"`
	State    string        `json:"state"`
	Problems []web.Problem `json:"problems"`
	Buffer   []healthQueue `json:"buffer"`
	Store    web.Store     `json:"store"`
	Clock    web.Clock     `json:"clock"`
}

type healthQueue struct {
	Upstream string `json:"upstream"`
	web.Queue
}

func (g *gateway) health() healthDoc {
	s := g.Status()
	doc := healthDoc{TS: clock.Wall(clock.Now()).UnixMilli(), State: s.State, Problems: s.Problems, Buffer: []healthQueue{}, Store: s.Store, Clock: s.Clock}
	if doc.Problems == nil {
		doc.Problems = []web.Problem{}
	}
	for _, l := range s.Upstream {
		doc.Buffer = append(doc.Buffer, healthQueue{l.Name, l.Queue})
	}
	return doc
}

func (g *gateway) info() []byte {
	host, _ := os.Hostname() // an unknown host has no name to show
	s := g.Status()
	doc, err := json.Marshal(struct {
		Version   string    `json:"version"`
		Started   time.Time `json:"started"`
		Host      string    `json:"host"`
		Addresses []string  `json:"addresses"`
		Name      string    `json:"name,omitempty"`
		Devices   int       `json:"devices"`
		Tags      int       `json:"tags"`
		Upstreams int       `json:"upstreams"`
		Config    string    `json:"config"`
	}{versionText(), g.started, host, hostAddresses(), s.Gateway.Name, len(s.Devices), s.Tags.Good + s.Tags.Uncertain + s.Tags.Bad, len(s.Upstream), s.Gateway.ConfigID})
	if err != nil {
		return []byte("{}") // strings and numbers always marshal
	}
	return doc
}

// hostAddresses lists where this box can be reached.
func hostAddresses() []string {
	list := []string{}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return list
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			list = append(list, n.IP.String())
		}
	}
	return list
}

// oneLine is the state for `systemctl status`.
func (g *gateway) oneLine() string {
	s := g.Status()
	waiting := int64(0)
	for _, l := range s.Upstream {
		waiting += l.Queue.Messages
	}
	return fmt.Sprintf("%s: %d devices, %d tags good, %d bad, %d messages queued", s.State, len(s.Devices), s.Tags.Good, s.Tags.Bad, waiting)
}

// aliveLimit is how long a part may take to answer before it counts as stuck.
// A bus may be in the middle of a request to a dead unit meanwhile.
const aliveLimit = 15 * time.Second

// alive is nil while the parts that must never stop make progress: broker,
// queue writer and every bus. It is what feeds the watchdog.
func (g *gateway) alive() error {
	ctx, cancel := context.WithTimeout(context.Background(), aliveLimit)
	defer cancel()
	// A $-topic of our own: no wildcard subscription sees it.
	if err := g.broker.Publish(ctx, mqtt.Message{Topic: "$fieldgate/alive", Origin: "gateway", Kind: mqtt.KindStatus}); err != nil {
		return fmt.Errorf("the broker does not move: %w", err)
	}
	if err := g.buffer.Alive(ctx); err != nil {
		return fmt.Errorf("the queue's writer does not move: %w", err)
	}
	return g.busesAlive(ctx)
}

// busesAlive asks every Modbus bus for its line for a moment. Only a bus that
// does not answer at all is stuck: one whose port is gone says so.
func (g *gateway) busesAlive(ctx context.Context) error {
	g.mu.Lock()
	buses := map[string]*modbus.Driver{}
	for name := range g.buses {
		if d, ok := g.modbusDriver(name); ok {
			buses[name] = d
		}
	}
	g.mu.Unlock()
	for name, d := range buses {
		err := d.Exclusive(ctx, func(context.Context, modbus.Doer) error { return nil })
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("bus %s does not move", name)
		}
	}
	return nil
}

// ready is nil once the queue is open and the listeners are bound, which they
// are since openGateway; a disk that fails takes it back.
func (g *gateway) ready() error {
	if d := g.buffer.Stats().Degraded; d != "" {
		return errors.New("the queue is degraded: " + d)
	}
	return nil
}

// noteReload remembers what was wrong with the last configuration: in how far
// it is in force, why, and what to do where the error does not say it. err
// nil: all is well.
func (g *gateway) noteReload(inForce string, err error, next string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.problems = nil
	if err != nil {
		g.problems = []web.Problem{{Code: "E0714", Part: "configuration", Text: inForce + ": " + err.Error(), Next: next}}
	}
}
