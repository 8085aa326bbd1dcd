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

// reconnects counts what passes until a gateway that was cut off is back: from
// the first packet of the new connection to the last of its login, the state
// that it publishes included. First the link is reset, then the upstream is
// started again, which makes it forget its sessions of TLS.
func (b *wireBench) reconnects(ctx context.Context) (events []WireEvent, err error) {
	for _, why := range []struct {
		name       string
		away, back func() error
	}{{"link reset", b.reset, b.calm}, {"upstream restarted", func() error { b.rig.stop(b.upstream); return nil }, b.startUpstream}} {
		more, err := b.reconnect(ctx, why.name, why.away, why.back)
		if err != nil {
			return events, fmt.Errorf("%s: %w", why.name, err)
		}
		events = append(events, more...)
	}
	return events, nil
}

// cutNames are the upstreams whose reconnect is counted.
var cutNames = []string{"metered", "default"}

func (b *wireBench) reset() error {
	for _, name := range cutNames {
		if err := b.cables[name].Reset(); err != nil {
			return err
		}
	}
	return nil
}

func (b *wireBench) calm() error {
	for _, name := range cutNames {
		if err := b.cables[name].Calm(); err != nil {
			return err
		}
	}
	return nil
}

func (b *wireBench) reconnect(ctx context.Context, why string, away, back func() error) (events []WireEvent, err error) {
	before, err := b.links()
	if err != nil {
		return nil, err
	}
	if err := away(); err != nil {
		return nil, err
	}
	if err := b.offline(ctx); err != nil {
		return nil, err
	}
	from := map[string]netlab.Count{}
	for _, name := range cutNames {
		if from[name], err = b.cables[name].Count(); err != nil {
			return nil, err
		}
	}
	if err := back(); err != nil {
		return nil, err
	}
	if err := b.online(ctx); err != nil {
		return nil, err
	}
	for _, name := range cutNames {
		m, err := b.mark(ctx, name)
		if err != nil {
			return nil, err
		}
		if m.link.Connects != before[name].Connects+1 {
			return nil, fmt.Errorf("%s has connected %d times, not once", name, m.link.Connects-before[name].Connects)
		}
		events = append(events, WireEvent{name + ", " + why, m.count.Sub(from[name]).Bytes()})
	}
	return events, nil
}

// offline waits until none of them is connected. They try again after three
// seconds: what they try until then is in the count, as it is on a real link.
func (b *wireBench) offline(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		all, err := b.links()
		if err != nil {
			return err
		}
		still := ""
		for _, name := range cutNames {
			if all[name].State == "online" {
				still = name
			}
		}
		if still == "" {
			return nil
		}
		if err := b.gateway.wait(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("wait until %s notices: %w", still, err)
		}
	}
}
