package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

const (
	lump    = 16 << 10             // bytes that are written at the latest
	lateBy  = 2 * time.Millisecond // a paced message later than this is timed from when it was due
	window  = 20                   // unacknowledged messages of a publisher, as most clients have
	idWords = 65536 / 64
)

// publisher sends numbered messages, as fast as its limits allow.
//
// run sends; readAcks, in a goroutine of its own, reads; subscribers add to
// delivered and poke. mu guards what the first two share.
type publisher struct {
	number      int
	link        *link
	qos         mqtt.QoS
	count       int64
	fan         int64         // deliveries of each message
	outstanding int64         // messages not yet delivered everywhere that are allowed; 0: no limit
	every       time.Duration // between messages; 0: at once
	delay       time.Duration // before the first, so that paced publishers take turns
	message     []byte        // the whole packet: id and head are filled in
	payload     int

	sent      atomic.Int64
	acked     atomic.Int64
	delivered atomic.Int64
	wake      chan struct{}

	mu    sync.Mutex
	out   []byte
	busy  [idWords]uint64
	open  int
	id    uint16
	ended error
}

func newPublisher(number int, l *link, topic string, qos mqtt.QoS, payload int, count int64) (*publisher, error) {
	p := &publisher{number: number, link: l, qos: qos, count: count, fan: 1, payload: max(payload, headSize), wake: make(chan struct{}, 1)}
	m := packet.Publish{Topic: topic, QoS: qos, Payload: make([]byte, p.payload)}
	if qos > 0 {
		m.PacketID = 1
	}
	var err error
	p.message, err = m.Append(nil, mqtt.V311)
	return p, err
}

func (p *publisher) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run sends everything and waits for the acknowledgements.
func (p *publisher) run(ctx context.Context, epoch time.Time) error {
	begin := time.Now().Add(p.delay)
	for n := int64(0); n < p.count; n++ {
		stamp, err := p.pace(ctx, begin, n)
		if err != nil {
			return err
		}
		if err := p.wait(ctx, p.mayDeliver); err != nil {
			return err
		}
		if err := p.wait(ctx, p.mayOpen); err != nil {
			return err
		}
		if stamp.IsZero() {
			stamp = time.Now()
		}
		if err := p.put(n, int64(stamp.Sub(epoch))); err != nil {
			return err
		}
		p.sent.Add(1)
	}
	if err := p.flush(); err != nil {
		return err
	}
	return p.wait(ctx, func() bool { return p.qos == 0 || p.acked.Load() == p.count })
}

// pace waits until message n is due; the time is set where it is late.
func (p *publisher) pace(ctx context.Context, begin time.Time, n int64) (late time.Time, err error) {
	if p.every == 0 {
		return late, nil
	}
	due := begin.Add(time.Duration(n) * p.every)
	d := time.Until(due)
	if d < -lateBy {
		return due, nil
	}
	if d <= 0 {
		return late, nil
	}
	if err := p.flush(); err != nil {
		return late, err
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return late, nil
	case <-ctx.Done():
		return late, ctx.Err()
	}
}

// wait flushes and waits, as long as something must happen first.
func (p *publisher) wait(ctx context.Context, ok func() bool) error {
	for !ok() {
		if err := p.flush(); err != nil {
			return err
		}
		select {
		case <-p.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (p *publisher) mayDeliver() bool {
	return p.outstanding == 0 || p.sent.Load()*p.fan-p.delivered.Load() < p.outstanding*p.fan
}

func (p *publisher) mayOpen() bool {
	if p.qos == 0 {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open < window
}

// put appends a message to what is written next.
func (p *publisher) put(n, sent int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended != nil {
		return p.ended
	}
	at := len(p.message) - p.payload
	if p.qos > 0 {
		id := p.takeIDLocked()
		p.message[at-2], p.message[at-1] = byte(id>>8), byte(id)
	}
	putHead(p.message[at:], p.number, n, sent)
	p.out = append(p.out, p.message...)
	if len(p.out) >= lump || p.every > 0 {
		return p.flushLocked()
	}
	return nil
}

func (p *publisher) takeIDLocked() uint16 {
	for {
		p.id++
		if word, bit := &p.busy[p.id/64], uint64(1)<<(p.id%64); p.id != 0 && *word&bit == 0 {
			*word |= bit
			p.open++
			return p.id
		}
	}
}

func (p *publisher) flush() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended != nil {
		return p.ended
	}
	return p.flushLocked()
}

func (p *publisher) flushLocked() error {
	if len(p.out) == 0 {
		return nil
	}
	_, err := p.link.Write(p.out)
	p.out = p.out[:0]
	return err
}

// readAcks reads until the connection ends.
func (p *publisher) readAcks() {
	for {
		header, body, err := p.link.next()
		if err == nil {
			err = p.answered(header, body)
		}
		if err != nil {
			p.mu.Lock()
			p.ended = fmt.Errorf("publisher %d: %w", p.number, err)
			p.mu.Unlock()
			p.poke()
			return
		}
	}
}

func (p *publisher) answered(header byte, body []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := ackID(body)
	switch packet.TypeOf(header) {
	case packet.TypePuback, packet.TypePubcomp:
		word, bit := &p.busy[id/64], uint64(1)<<(id%64)
		if *word&bit == 0 {
			return fmt.Errorf("the broker acknowledged id %d, which was not open", id)
		}
		*word &^= bit
		p.open--
		p.acked.Add(1)
	case packet.TypePubrec:
		p.out = appendAck(p.out, packet.TypePubrel, id)
	}
	if !p.link.drained() {
		return nil
	}
	p.poke()
	return p.flushLocked()
}
