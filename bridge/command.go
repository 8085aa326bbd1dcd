package bridge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// command is a compiled [[upstream.command]]: what may come down.
type command struct {
	from   string
	target pattern
	qos    mqtt.QoS
	maxAge time.Duration
}

func (c Command) compile(gateway string) (*command, error) {
	out := &command{from: fill(c.From, gateway), qos: DefaultCommandQoS, maxAge: c.MaxAge.Or(DefaultMaxAge)}
	if err := mqtt.CheckFilter(out.from); err != nil {
		return nil, fmt.Errorf("from %q: %w", out.from, err)
	}
	var err error
	if out.target, err = parsePattern(c.To, out.from); err != nil {
		return nil, fmt.Errorf("to %q %w", c.To, err)
	}
	if c.QoS != nil {
		out.qos = mqtt.QoS(*c.QoS)
	}
	return out, nil
}

// topic is where the command goes here.
func (c *command) topic(gateway, remote string) string {
	v := vars{gateway: gateway, topic: remote}
	v.levels, v.rest, _ = capture(c.from, remote)
	return c.target.expand(v)
}

// The codes of results that the bridge itself gives to a command.
const (
	CodeRetained   = "E0851" // a retained message is no command
	CodeTooOld     = "E0852" // older than max_age
	CodeClock      = "E0853" // its age cannot be told, for our clock is not set
	CodeTarget     = "E0854" // to does not give a topic for it
	CodeNotTaken   = "E0855" // our own broker refused it
	CodeLoop       = "E0856" // event: a message has come round in a circle
	CodeQuarantine = "E0861" // event: the upstream refuses a message, it was put aside
	CodeBreaker    = "E0862" // event: too many echoes, commands pause
	CodeSubscribe  = "E0863" // event: the upstream refuses a subscription
	CodeBudget     = "W0864" // event: the month's budget is being overspent
)

// refusal is why a command is not carried out.
type refusal struct{ code, text string }

// check decides whether a message from the upstream may be carried out now.
// The order matters: a retained message is refused whatever else it says.
func (c *command) check(m *mqtt.Message, now time.Time, synced bool) *refusal {
	if m.Retain {
		return &refusal{CodeRetained, "a retained message is never carried out as a command; publish it without retain"}
	}
	sent, ok := sentAt(m.Payload)
	if !ok {
		return nil // no queue lies between us and the sender: it was sent just now
	}
	if !synced {
		return &refusal{CodeClock, "the command says when it was sent, but the gateway's clock is not set; send it without ts, with a message expiry"}
	}
	if age := now.Sub(sent); age > c.maxAge {
		return &refusal{CodeTooOld, fmt.Sprintf("the command is %s old, more than max_age = %s", age.Round(time.Second), c.maxAge)}
	} else if age < -c.maxAge {
		return &refusal{CodeTooOld, fmt.Sprintf("the command was sent %s in the future; set the sender's clock", (-age).Round(time.Second))}
	}
	return nil
}

// maxCommand bounds the payload of a command that is looked into.
const maxCommand = 64 << 10

// sentAt is the ts of a JSON command: Unix seconds or milliseconds, or RFC 3339.
func sentAt(payload []byte) (time.Time, bool) {
	payload = bytes.TrimSpace(payload)
	if len(payload) == 0 || payload[0] != '{' || len(payload) > maxCommand {
		return time.Time{}, false
	}
	var v struct {
		TS any `json:"ts"`
	}
	if err := json.Unmarshal(payload, &v); err != nil {
		return time.Time{}, false
	}
	switch ts := v.TS.(type) {
	case float64:
		if math.Abs(ts) > 1e15 {
			return time.Time{}, true // not a time we know: as old as can be
		}
		if math.Abs(ts) < 1e11 { // seconds until the year 5138
			return time.UnixMilli(int64(ts * 1000)), true
		}
		return time.UnixMilli(int64(ts)), true
	case string:
		t, err := time.Parse(time.RFC3339, ts)
		if err != nil {
			return time.Time{}, true
		}
		return t, true
	}
	return time.Time{}, false
}

// local is the message that carries the command out: no retain, an expiry of
// at most max_age, so that no queue here makes it late either.
func (c *command) local(m *mqtt.Message, topic, origin string) mqtt.Message {
	out := mqtt.Message{Topic: topic, Payload: m.Payload, QoS: min(m.QoS, c.qos), Kind: mqtt.KindMessage, Origin: origin, Stamp: clock.Now()}
	p := mqtt.Properties{}
	if m.Props != nil {
		p = *m.Props
	}
	p.SubscriptionIDs = nil
	limit := uint32(max(1, min(math.MaxUint32, c.maxAge/time.Second)))
	if !p.HasExpiry || p.MessageExpiry > limit {
		p.HasExpiry, p.MessageExpiry = true, limit
	}
	out.Props = &p
	return out
}

// resultTopic is where the result of a command on a topic is published when it
// asks for no other place.
func resultTopic(topic string) string {
	if head, name, ok := strings.Cut(topic, "/cmd/request/"); ok {
		return head + "/cmd/response/" + name
	}
	return topic + "/result"
}
