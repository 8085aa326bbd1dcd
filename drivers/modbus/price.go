package modbus

import (
	"time"

	"fieldgate/drivers/modbus/wire"
	"fieldgate/drivers/port"
)

// What a unit is assumed to need before it answers, where nothing was measured
// yet: serial meters take 5 to 60 ms, a TCP device a round trip and some
// processing.
const (
	assumedSerial = 20 * time.Millisecond
	assumedTCP    = 5 * time.Millisecond
	assumedBaud   = 9600 // behind a gateway or a serial server that does not tell

	tcpRegister = 300 * time.Nanosecond // 16 bits at 100 Mbit/s, and both ends' work
	// The widest hole that max_gap = "auto" reads along, in registers and in bits.
	autoGapCap    = 100
	autoBitGapCap = 800
)

// price is what a request costs in line time: the request itself and each
// register in it. The planner reads a hole along where that is cheaper than
// another request:
//
//	hole × register  <  request
type price struct {
	request  time.Duration // both heads, the silences, the unit's turn-around
	register time.Duration // two characters
}

// gap is the widest hole worth reading, in registers.
func (p price) gap() int {
	if p.register <= 0 {
		return autoGapCap
	}
	return int(min(autoGapCap, (p.request-1)/p.register))
}

// tariff is how a bus's prices come about: what is known beforehand of the
// wire, to which the unit's turn-around is added.
type tariff struct {
	head     time.Duration // of a request without registers, silences included, turn-around not
	pause    time.Duration // the part of head before the request's first character
	register time.Duration // 0: learnt, see slope
	turn     time.Duration // assumed until something is measured
	gap      time.Duration // the bus's, in head
	slope    slope
}

// newTariff prices a bus. shared says that several units are behind one
// Modbus TCP endpoint: then it is a gateway to a serial line of unknown speed.
func newTariff(cfg wire.Config, shared bool) *tariff {
	if cfg.Kind == wire.TCP {
		if !shared {
			return &tariff{register: tcpRegister, turn: assumedTCP}
		}
		return &tariff{turn: assumedTCP + assumedSerial}
	}
	t := &tariff{turn: assumedSerial, gap: cfg.Gap}
	baud := cfg.Baud
	if baud == 0 && (cfg.Kind == wire.RTU || cfg.Kind == wire.ASCII) {
		baud = port.DefaultBaud
	}
	bytes, one := onWire(cfg, 1)
	var chars time.Duration
	if baud > 0 {
		_, many := onWire(cfg, 101)
		t.register = (many - one) / 100
		chars = time.Duration(bytes) * cfg.Mode.CharTime(baud)
	}
	t.head = one - t.register
	t.pause = (one-chars-cfg.Gap)/2 + cfg.Gap // FrameCost counts a frame gap on either side of the request
	return t
}

func onWire(cfg wire.Config, registers uint16) (bytes int, d time.Duration) {
	return wire.FrameCost(cfg, wire.Request{Unit: 1, Function: Holding.readFunction(), Quantity: registers})
}

// perRegister is the price of a register: known, learnt or assumed.
func (t *tariff) perRegister() time.Duration {
	if t.register > 0 {
		return t.register
	}
	if learnt, ok := t.slope.value(); ok {
		return max(learnt, tcpRegister)
	}
	return 2 * 10 * time.Second / assumedBaud
}

// price is that of a unit with a turn-around; 0: not measured yet.
func (t *tariff) price(turn time.Duration) price {
	if turn == 0 {
		turn = t.turn
	}
	return price{request: t.head + turn, register: t.perRegister()}
}

// priceOf is price for a device: it may need more silence than the bus gives.
func (t *tariff) priceOf(d *Device, turn time.Duration) price {
	p := t.price(turn)
	p.request += max(0, d.Gap.Std()-t.gap)
	return p
}

// thought is the turn-around behind an exchange that took so long from the
// request's first character to the answer's last.
func (t *tariff) thought(took time.Duration, registers int) time.Duration {
	if t.register == 0 {
		t.slope.add(float64(registers), took.Seconds())
	}
	return max(took-(t.head-t.pause)-time.Duration(registers)*t.perRegister(), time.Microsecond)
}

// slope learns how much longer an answer takes for each register in it, by
// least squares in which old answers fade.
type slope struct{ n, x, y, xx, xy float64 }

const (
	slopeFade  = 0.995
	slopeLeast = 20   // answers, before it says anything
	slopeWidth = 10.0 // registers of spread among them
)

func (s *slope) add(x, y float64) {
	s.n, s.x, s.y = s.n*slopeFade+1, s.x*slopeFade+x, s.y*slopeFade+y
	s.xx, s.xy = s.xx*slopeFade+x*x, s.xy*slopeFade+x*y
}

// value is the time per register; ok is false while answers differ too little
// in length to tell.
func (s *slope) value() (perRegister time.Duration, ok bool) {
	if s.n < slopeLeast {
		return 0, false
	}
	variance := s.xx/s.n - s.x/s.n*s.x/s.n
	if variance < slopeWidth*slopeWidth/4 {
		return 0, false
	}
	b := (s.xy/s.n - s.x/s.n*s.y/s.n) / variance
	return time.Duration(max(b, 0) * float64(time.Second)), true
}

// ewma follows a value, new ones by an eighth.
func ewma(old, now time.Duration) time.Duration {
	if old == 0 {
		return now
	}
	return old + (now-old)/8
}

// tariffOf prices the bus of some devices.
func tariffOf(b Bus, devices []Device) *tariff {
	units := map[byte]bool{}
	for i := range devices {
		if devices[i].Bus == b.Name {
			units[devices[i].unit()] = true
		}
	}
	return newTariff(b.Line(nil), len(units) > 1)
}

// slackLeast is the shortest request, in registers, that a faster poll may
// force on the others: below that the line cannot do it anyway.
const slackLeast = 8

// protectFast keeps the requests of slower polls so short that none, begun just
// before the fastest poll of the line is due, makes it late by a whole slot.
func protectFast(devices []*device, t *tariff) {
	var fast time.Duration
	for _, dev := range devices {
		for _, g := range dev.groups {
			if every := g.poll.Every(); every > 0 && (fast == 0 || every < fast) {
				fast = every
			}
		}
	}
	p := t.price(0)
	free := fast - p.request
	for _, dev := range devices {
		for _, g := range dev.groups {
			for _, b := range g.blocks {
				if g.poll.Every() == fast {
					free -= time.Duration(dev.limits.withPrice(p).cost(&b.span))
				}
			}
		}
	}
	most := int(free / max(p.register, 1))
	if fast == 0 || most < slackLeast || most >= maxRegisters {
		return
	}
	for _, dev := range devices {
		for _, g := range dev.groups {
			if g.poll.Every() != fast {
				g.slack = most
				g.plan()
			}
		}
	}
}

func (l limits) withPrice(p price) limits {
	l.price = p
	return l
}
