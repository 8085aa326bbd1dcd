package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"fieldgate/buffer"
	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// inboxSize bounds the commands that wait to be carried out; more are refused.
const inboxSize = 64

// loopReport is how long loops must have been absent to be reported again.
const loopReport = time.Minute

// inbox takes commands from the connection's reading goroutine, which must
// not wait, and carries them out one after the other in its own.
type inbox struct {
	b    *Bridge
	list chan arrival
}

type arrival struct {
	m    *mqtt.Message
	at   clock.Stamp
	done func()
}

func newInbox(b *Bridge) *inbox { return &inbox{b, make(chan arrival, inboxSize)} }

// put is called for every message that comes from the upstream. done
// acknowledges it there.
func (i *inbox) put(m *mqtt.Message, done func()) {
	select {
	case i.list <- arrival{m, clock.Now(), done}:
	default:
		i.b.count.rejected.Add(1)
		done()
	}
}

// run carries commands out until ctx ends. What has waited longer than its
// max_age is refused like any command that is too old.
func (i *inbox) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-i.list:
			i.b.down(ctx, a.m, a.at)
			a.done()
		}
	}
}

// down decides about one message from the upstream.
func (b *Bridge) down(ctx context.Context, m *mqtt.Message, at clock.Stamp) {
	c := b.commandFor(m.Topic)
	if c == nil {
		return // nothing that we have subscribed to
	}
	if cameRound(m, b.s.gateway) {
		b.count.loops.Add(1)
		if now := time.Now().Unix(); now-b.loopSeen.Swap(now) > int64(loopReport/time.Second) {
			b.event(CodeLoop, "warn", fmt.Sprintf("%s has come round in a circle from this gateway or through %d others; check the maps of both sides", m.Topic, maxHops))
		}
		return
	}
	if b.s.looks {
		drop, tripped := b.echoes.received(m, time.Now())
		if tripped {
			b.event(CodeBreaker, "error", fmt.Sprintf("more than %d messages a second come back from %s: commands pause for %s; check the maps of both sides", echoBreak, b.s.name, breakerOpen))
		}
		if drop {
			return
		}
	}
	now, synced := b.opts.Buffer.Wall(clock.Now())
	refused := c.check(m, now, synced)
	if waited := clock.Now().Sub(at); refused == nil && waited > c.maxAge {
		refused = &refusal{CodeTooOld, fmt.Sprintf("the command waited %s in the gateway, more than max_age = %s", waited.Round(time.Second), c.maxAge)}
	}
	topic := c.topic(b.s.gateway, m.Topic)
	if err := mqtt.CheckTopic(topic); refused == nil && err != nil {
		refused = &refusal{CodeTarget, fmt.Sprintf("it would go to %q: %v", topic, err)}
	}
	if refused == nil {
		refused = b.carryOut(ctx, c, m, topic)
	}
	if refused != nil {
		b.refuse(ctx, m, refused)
		return
	}
	b.count.commands.Add(1)
}

func (b *Bridge) commandFor(topic string) *command {
	for _, c := range b.s.commands {
		if mqtt.Match(c.from, topic) {
			return c
		}
	}
	return nil
}

// carryOut publishes the command here, where the access rules and limits of
// any other command hold.
func (b *Bridge) carryOut(ctx context.Context, c *command, m *mqtt.Message, topic string) *refusal {
	local := c.local(m, topic, b.origin)
	here, there := resultTopic(topic), resultTopic(m.Topic)
	if m.Props != nil && m.Props.ResponseTopic != "" {
		here, there = b.replies+strconv.FormatUint(b.replySeq.Add(1), 10), m.Props.ResponseTopic
		local.Props.ResponseTopic = here
	}
	b.asked.add(here, there, time.Now())
	if err := b.opts.Broker.Publish(ctx, local); err != nil {
		b.asked.take(here)
		return &refusal{CodeNotTaken, fmt.Sprintf("the gateway's broker refuses %s: %v", topic, err)}
	}
	return nil
}

// refuse sends a result that says why a command was not carried out.
func (b *Bridge) refuse(ctx context.Context, m *mqtt.Message, r *refusal) {
	b.count.rejected.Add(1)
	b.event(r.code, "warn", fmt.Sprintf("command on %s refused: %s", m.Topic, r.text))
	var id struct {
		ID          json.RawMessage `json:"id"`
		Transaction json.RawMessage `json:"transaction"`
	}
	if len(m.Payload) <= maxCommand {
		_ = json.Unmarshal(m.Payload, &id) // no id is no error
	}
	body, err := json.Marshal(struct {
		ID          json.RawMessage `json:"id,omitempty"`
		Transaction json.RawMessage `json:"transaction,omitempty"`
		Status      string          `json:"status"`
		Code        string          `json:"code"`
		Error       string          `json:"error"`
	}{short(id.ID), short(id.Transaction), "error", r.code, r.text})
	if err != nil {
		return
	}
	out := mqtt.Message{Topic: b.replies + "refused", Payload: body, QoS: 1, Kind: mqtt.KindCommandResult, Stamp: clock.Now(), Origin: "gateway",
		Props: &mqtt.Properties{ResponseTopic: resultTopic(m.Topic)}}
	if m.Props != nil {
		out.Props.CorrelationData = m.Props.CorrelationData
		out.Props.ResponseTopic = orText(m.Props.ResponseTopic, out.Props.ResponseTopic)
	}
	item := buffer.Item{Message: out, Targets: b.queue.Bit(), Priority: buffer.Alarm}
	if err := b.opts.Buffer.Append(ctx, []buffer.Item{item}); err != nil {
		b.log.Debug("queue a result", "err", err)
	}
}

// short keeps an id that fits into a result.
func short(id json.RawMessage) json.RawMessage {
	if len(id) > 256 || strings.TrimSpace(string(id)) == "null" {
		return nil
	}
	return id
}
