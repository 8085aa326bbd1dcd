package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"fieldgate/buffer"
	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// setState moves the state machine and tells the local broker, once per
// change that a reader would notice.
func (b *Bridge) setState(state, reason, hint string) {
	b.mu.Lock()
	old := b.state
	if state != old.State {
		b.state.Since = time.Now()
	}
	b.state.State, b.state.Reason, b.state.Hint = state, reason, hint
	if state != StateWaiting {
		b.state.NextTry = time.Time{}
	}
	b.mu.Unlock()
	if now := statusText(state, reason); now != statusText(old.State, old.Reason) || state == StateOnline {
		b.publishStatus(now)
	}
}

func (b *Bridge) reason() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state.Reason
}

// statusText is the payload of BASE/upstream/NAME/status: "online", or
// "offline: " and why. Connecting is offline for the same reason as before.
func statusText(state, reason string) string {
	switch {
	case state == StateOnline:
		return "online"
	case reason == "":
		return "offline"
	}
	return "offline: " + reason
}

// online notes a connection.
func (b *Bridge) online(conn connection) {
	lim := conn.Limits()
	b.count.connects.Add(1)
	b.mu.Lock()
	b.state.Attempts = 0
	b.state.Version = 4
	if lim.v5 {
		b.state.Version = 5
	}
	url := b.state.URL
	b.mu.Unlock()
	b.setState(StateOnline, "", "")
	b.log.Info("upstream is online", "url", url, "mqtt5", lim.v5)
	if b.s.version == mqtt.V5 && !lim.v5 {
		b.log.Warn("the upstream speaks MQTT 3.1.1 only: no reasons, no user properties", "hint", "write version = 4 to stop trying 5 first")
	}
}

// publishTimeout bounds what the bridge publishes here about itself.
const publishTimeout = 5 * time.Second

func (b *Bridge) publishStatus(text string) {
	state := "0"
	if text == "online" {
		state = "1"
	}
	b.tell(
		mqtt.Message{Topic: b.opts.Base + "/upstream/" + b.s.name + "/status", Payload: []byte(text), Retain: true, Kind: mqtt.KindStatus},
		// what mosquitto's bridges publish, and dashboards look for
		mqtt.Message{Topic: "$SYS/broker/connection/" + b.opts.Gateway + "." + b.s.name + "/state", Payload: []byte(state), Retain: true, Kind: mqtt.KindStatus},
	)
}

// event publishes BASE/event: something a person should know.
func (b *Bridge) event(code, level, text string) {
	ts, synced := b.opts.Buffer.Wall(clock.Now())
	e := struct {
		TS       int64  `json:"ts"`
		Code     string `json:"code"`
		Level    string `json:"level"`
		Upstream string `json:"upstream"`
		Text     string `json:"text"`
		Clock    string `json:"clock,omitempty"`
	}{ts.UnixMilli(), code, level, b.s.name, text, ""}
	if !synced {
		e.Clock = "unsynced"
	}
	payload, err := json.Marshal(e)
	if err != nil {
		return // a struct of texts and numbers always encodes
	}
	b.log.Warn(text, "code", code)
	b.tell(mqtt.Message{Topic: b.opts.Base + "/event", Payload: payload, Kind: mqtt.KindEvent, Origin: "gateway"})
}

// tell publishes at the local broker.
func (b *Bridge) tell(msgs ...mqtt.Message) {
	for i := range msgs {
		msgs[i].Stamp = clock.Now()
		if msgs[i].Origin == "" {
			msgs[i].Origin = b.origin
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
	defer cancel()
	if err := b.opts.Broker.Publish(ctx, msgs...); err != nil {
		b.log.Debug("publish state here", "err", err)
	}
}

// quarantine puts a message aside that the upstream will not take, and says so.
func (b *Bridge) quarantine(p *parcel, reason string) {
	b.count.quarantined.Add(uint64(len(p.entries)))
	kept := "dropped"
	if q := b.opts.Quarantine; q != nil {
		items := make([]buffer.Item, len(p.entries))
		for i, e := range p.entries {
			items[i] = keepAside(e, q.Bit(), b.s.name, reason)
		}
		ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
		defer cancel()
		if err := b.opts.Buffer.Append(ctx, items); err == nil {
			kept = "put into quarantine"
		}
	}
	first := &p.entries[0]
	if first.Message.Kind == mqtt.KindEvent {
		// An event about an event would be refused for the same reason, and so on.
		b.log.Warn("an event cannot go up", "topic", first.Message.Topic, "reason", reason)
		return
	}
	b.event(CodeQuarantine, "error", fmt.Sprintf("%d message(s) for %s from %s, epoch %d seq %d, %s: %s (payload %q)",
		len(p.entries), p.topic, first.Message.Topic, first.Epoch, first.Seq, kept, reason, head(first.Message.Payload)))
}

// head is the beginning of a payload, for people.
func head(payload []byte) string {
	const most = 120
	if len(payload) <= most {
		return string(payload)
	}
	cut := most
	for cut > most-utf8.UTFMax && !utf8.RuneStart(payload[cut]) {
		cut--
	}
	return string(payload[:cut]) + "…"
}
