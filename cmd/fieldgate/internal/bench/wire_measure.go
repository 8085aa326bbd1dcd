package bench

import (
	"context"
	"fmt"
	"time"

	"fieldgate/bridge/netlab"
)

// formats counts some batches of each format. All go up at the same time, from
// the same values.
func (b *wireBench) formats(ctx context.Context) ([]WireFormat, error) {
	var all []WireFormat
	begun := map[string]wireMark{}
	for _, c := range b.cases {
		if c.route != "" {
			continue
		}
		m, err := b.mark(ctx, c.name)
		if err != nil {
			return nil, err
		}
		begun[c.name] = m
	}
	for _, c := range b.cases {
		if c.route != "" {
			continue
		}
		m, err := b.later(ctx, c, begun[c.name])
		if err != nil {
			return nil, err
		}
		from := begun[c.name]
		samples := m.link.Acked - from.link.Acked
		all = append(all, WireFormat{Format: c.format, Compress: c.compress, Batch: c.batch, Samples: samples,
			Messages: m.link.Sent - from.link.Sent,
			Payload:  float64(m.link.BytesOut-from.link.BytesOut) / float64(samples),
			Bytes:    float64(m.count.Sub(from.count).Bytes()) / float64(samples)})
	}
	return all, nil
}

// later waits until enough of a format has gone up since a mark.
func (b *wireBench) later(ctx context.Context, c wireCase, from wireMark) (wireMark, error) {
	wanted := int64(b.w.Batches * WireBatch)
	if c.batch > WireBatch {
		wanted = int64(c.batch)
	}
	for {
		m, err := b.mark(ctx, c.name)
		if err != nil {
			return m, err
		}
		if m.link.Acked-from.link.Acked >= wanted {
			return m, nil
		}
		if m.link.Connects != from.link.Connects {
			return m, fmt.Errorf("%s has lost its connection: %s", c.name, m.link.Reason)
		}
		if err := b.gateway.wait(ctx, 200*time.Millisecond); err != nil {
			return m, err
		}
	}
}

// pingPackets are PINGREQ, PINGRESP with its acknowledgement, and the last one.
const pingPackets = 3

// idle watches the link that carries nothing.
func (b *wireBench) idle(ctx context.Context) (WireIdle, error) {
	from, err := b.mark(ctx, "idle")
	if err != nil {
		return WireIdle{}, err
	}
	began := time.Now()
	if err := b.gateway.wait(ctx, b.w.Idle); err != nil {
		return WireIdle{}, err
	}
	to, err := b.mark(ctx, "idle")
	if err != nil {
		return WireIdle{}, err
	}
	if to.link.Connects != from.link.Connects {
		return WireIdle{}, fmt.Errorf("the idle link has lost its connection")
	}
	n := to.count.Sub(from.count)
	i := WireIdle{Seconds: time.Since(began).Seconds(), Keepalive: b.w.Keepalive.Seconds(), Bytes: n.Bytes(), Pings: (n.UpPackets + n.DownPackets) / pingPackets}
	if i.Pings > 0 {
		i.PerPing = float64(i.Bytes) / float64(i.Pings)
		i.Month = i.PerPing * float64(month/LongestSilence)
	}
	return i, nil
}

// reconnects kills the upstream, starts it again, and counts what passed until
// the gateway was back: from the first packet of the new connection to the
// last of its login, the state that it publishes included.
func (b *wireBench) reconnects(ctx context.Context) (events []WireEvent, err error) {
	names := []string{"metered", "default"}
	before, err := b.links()
	if err != nil {
		return nil, err
	}
	b.rig.stop(b.upstream)
	from := map[string]netlab.Count{}
	if err := b.gateway.wait(ctx, 200*time.Millisecond); err != nil {
		return nil, err
	}
	for _, name := range names {
		if from[name], err = b.cables[name].Count(); err != nil {
			return nil, err
		}
	}
	if err := b.startUpstream(); err != nil {
		return nil, err
	}
	if err := b.online(ctx); err != nil {
		return nil, err
	}
	for _, name := range names {
		m, err := b.mark(ctx, name)
		if err != nil {
			return nil, err
		}
		if m.link.Connects != before[name].Connects+1 {
			return nil, fmt.Errorf("%s has connected %d times, not once", name, m.link.Connects-before[name].Connects)
		}
		events = append(events, WireEvent{name, m.count.Sub(from[name]).Bytes()})
	}
	return events, nil
}
