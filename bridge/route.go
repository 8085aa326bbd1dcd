package bridge

import (
	"fmt"
	"time"

	"fieldgate/buffer"
	"fieldgate/mqtt"
	"fieldgate/mqtt/encode"
)

// compileOptions are what routes need of the world.
type compileOptions struct {
	wall encode.WallFunc
	asIs *encode.Encoder // how this gateway publishes values; nil: JSON
}

// route is a compiled [[upstream.route]]: which messages it takes and what it
// makes of them. It does not change after compile.
type route struct {
	gateway  string
	from     string
	types    uint8 // one bit per mqtt.Kind
	where    *where
	wall     encode.WallFunc
	target   pattern
	enc      *encode.Encoder // nil: as it is
	asIs     *encode.Encoder
	format   string
	qos      mqtt.QoS
	strip    bool
	batch    batchLimits
	compress string
	priority buffer.Priority
	reply    bool // carries results: the Response Topic has been used up

	nearState bool // some message may become the topic of the gateway's state at the upstream
}

// batchLimits say when a batch is full.
type batchLimits struct {
	samples int // 1: no batches
	bytes   int
	wait    time.Duration
}

func (r Route) compile(gateway string, o compileOptions) (*route, error) {
	c := &route{gateway: gateway, from: orText(r.From, "#"), format: orText(r.Format, encode.AsIs), qos: DefaultRouteQoS,
		strip: r.Retain == "strip", compress: r.Compress, wall: o.wall, asIs: o.asIs,
		batch: batchLimits{samples: max(1, r.Batch.MaxSamples), bytes: int(r.Batch.MaxBytes.Or(DefaultBatchBytes)), wait: r.Batch.MaxWait.Std()}}
	if err := mqtt.CheckFilter(c.from); err != nil {
		return nil, fmt.Errorf("from %q: %w", c.from, err)
	}
	var err error
	if c.target, err = r.pattern(); err != nil {
		return nil, fmt.Errorf("to %q %w", r.To, err)
	}
	if c.types, err = parseTypes(r.Types); err != nil {
		return nil, err
	}
	if r.Where != "" {
		if c.where, err = compileWhere(r.Where); err != nil {
			return nil, fmt.Errorf("where: %w", err)
		}
	}
	if r.QoS != nil {
		c.qos = mqtt.QoS(*r.QoS)
	}
	c.priority, _ = buffer.ParsePriority(r.Priority)
	if c.format == encode.AsIs {
		c.batch.samples = 1
		return c, nil
	}
	c.enc, err = encode.New(encode.Options{Format: c.format, Template: r.Template, Gateway: gateway, Batch: c.batch.samples > 1, Wall: o.wall})
	if !encode.CanBatch(c.format) {
		c.batch.samples = 1
	}
	return c, err
}

func (r Route) pattern() (pattern, error) {
	return parsePattern(orText(r.To, "{topic}"), orText(r.From, "#"), "topic", "device", "tag")
}

// parseTypes is the set of kinds; none named means all.
func parseTypes(names []string) (set uint8, err error) {
	if len(names) == 0 {
		return 0xFF, nil
	}
	for _, n := range names {
		k, ok := mqtt.ParseKind(n)
		if !ok {
			return 0, fmt.Errorf("types: unknown type %q; known are sample, status, event, command-result, message", n)
		}
		set |= 1 << k
	}
	return set, nil
}

// takes reports whether the message is this route's. An error comes from its
// condition and means no.
func (r *route) takes(m *mqtt.Message) (bool, error) {
	if r.types&(1<<m.Kind) == 0 || !mqtt.Match(r.from, m.Topic) {
		return false, nil
	}
	if r.where == nil {
		return true, nil
	}
	return r.where.match(m, r.wall)
}

// topic is where the message goes at the upstream.
func (r *route) topic(m *mqtt.Message) string {
	v := vars{gateway: r.gateway, topic: m.Topic}
	if m.Sample != nil {
		v.device, v.tag = m.Sample.Device, m.Sample.Tag
	}
	if !r.target.uses("N") && !r.target.uses("#") {
		return r.target.expand(v)
	}
	v.levels, v.rest, _ = capture(r.from, m.Topic)
	return r.target.expand(v)
}

// item is an entry as the encoder wants it.
func item(e *buffer.Entry) encode.Item {
	return encode.Item{Topic: e.Message.Topic, Payload: e.Message.Payload, Sample: e.Message.Sample, Epoch: e.Epoch, Seq: e.Seq}
}

// encodes reports whether the route's format applies to the message: what is
// no value of a tag passes as it is, except through a template.
func (r *route) encodes(m *mqtt.Message) bool {
	return r.enc != nil && r.enc.Takes(encode.Item{Sample: m.Sample})
}
