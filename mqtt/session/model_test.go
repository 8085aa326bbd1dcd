package session

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"fieldgate/mqtt"
)

// wire is a packet of the model: what session has to do with of a packet.
type wire struct {
	kind   string // publish, puback, pubrec, pubrel, pubcomp
	id     uint16
	qos    mqtt.QoS
	value  int
	dup    bool
	reason mqtt.ReasonCode
}

// model is a sender and a receiver with a link between them that keeps order
// and can be cut: what was on it is then lost.
type model struct {
	t           *testing.T
	rnd         *rand.Rand
	w           *Window[int]
	r           *Receiver
	max         int
	there, back []wire

	next      int // value of the next message
	qos       map[int]mqtt.QoS
	sent      map[int]int // how often the PUBLISH of a value was sent
	delivered []int
	unacked   []*Incoming
	finished  map[int]bool
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{
		t: t, rnd: rand.New(rand.NewPCG(seed, 0)), w: NewWindow[int](&IDs{}), r: NewReceiver(),
		qos: map[int]mqtt.QoS{}, sent: map[int]int{}, finished: map[int]bool{},
	}
	m.connect()
	return m
}

func (m *model) connect() {
	m.there, m.back = nil, nil
	m.max = 1 + m.rnd.IntN(5)
	m.w.Begin(m.max)
	m.r.Begin(m.max)
	m.resend()
}

func (m *model) resend() {
	for x := m.w.Resend(); x != nil; x = m.w.Resend() {
		if x.Released() {
			m.there = append(m.there, wire{kind: "pubrel", id: x.ID})
		} else {
			m.publish(x, true)
		}
	}
}

func (m *model) publish(x *Exchange[int], dup bool) {
	m.sent[x.Value]++
	if (m.sent[x.Value] > 1) != dup {
		m.t.Errorf("message %d: sending %d, DUP %v", x.Value, m.sent[x.Value], dup)
	}
	m.there = append(m.there, wire{kind: "publish", id: x.ID, qos: x.QoS, value: x.Value, dup: dup})
}

func (m *model) send() {
	if !m.w.Room() {
		return
	}
	qos := mqtt.QoS(1 + m.rnd.IntN(2))
	x := m.w.Add(qos, m.next)
	m.qos[m.next] = qos
	m.next++
	m.publish(x, false)
}

// receive is the receiver's end of one packet.
func (m *model) receive() {
	if len(m.there) == 0 {
		return
	}
	p := m.there[0]
	m.there = m.there[1:]
	switch p.kind {
	case "publish":
		in, fresh, err := m.r.Publish(p.id, p.qos)
		if err != nil {
			m.t.Fatalf("the sender broke the window of %d: %v", m.max, err)
		}
		if fresh {
			m.delivered = append(m.delivered, p.value)
			m.unacked = append(m.unacked, in)
		}
	case "pubrel":
		reason := mqtt.Success
		if !m.r.Pubrel(p.id) {
			reason = mqtt.PacketIDNotFound
		}
		m.back = append(m.back, wire{kind: "pubcomp", id: p.id, reason: reason})
	}
	m.answer()
}

func (m *model) answer() {
	for in := m.r.Ready(); in != nil; in = m.r.Ready() {
		kind := "puback"
		if in.QoS == 2 {
			kind = "pubrec"
		}
		m.back = append(m.back, wire{kind: kind, id: in.ID})
	}
}

// ack is the application, which acknowledges in any order and at any time.
func (m *model) ack() {
	if len(m.unacked) == 0 {
		return
	}
	i := m.rnd.IntN(len(m.unacked))
	m.r.Ack(m.unacked[i])
	m.unacked = append(m.unacked[:i], m.unacked[i+1:]...)
	m.answer()
}

// hear is the sender's end of one packet.
func (m *model) hear() {
	if len(m.back) == 0 {
		return
	}
	p := m.back[0]
	m.back = m.back[1:]
	var x *Exchange[int]
	var err error
	switch p.kind {
	case "puback":
		x, err = m.w.Puback(p.id)
	case "pubrec":
		if x, err = m.w.Pubrec(p.id, p.reason); x != nil {
			m.there = append(m.there, wire{kind: "pubrel", id: p.id})
		}
	case "pubcomp":
		x, err = m.w.Pubcomp(p.id)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	if x != nil && x.Ended() {
		if m.finished[x.Value] {
			m.t.Errorf("message %d ended twice", x.Value)
		}
		m.finished[x.Value] = true
	}
	m.resend()
}

func (m *model) check() {
	counts, firsts := map[int]int{}, []int{}
	for _, v := range m.delivered {
		if counts[v]++; counts[v] == 1 {
			firsts = append(firsts, v)
		} else if m.qos[v] == 2 {
			m.t.Errorf("message %d of QoS 2 came twice", v)
		}
	}
	if len(firsts) != m.next || len(m.finished) != m.next {
		m.t.Fatalf("%d sent, %d delivered, %d finished", m.next, len(firsts), len(m.finished))
	}
	for i, v := range firsts {
		if i != v {
			m.t.Fatalf("message %d came where %d was due", v, i)
		}
	}
	if m.w.Len() != 0 || m.r.Unfinished() != 0 || m.r.Open() != 0 {
		m.t.Errorf("left: %d sending, %d receiving, %d open", m.w.Len(), m.r.Unfinished(), m.r.Open())
	}
}

// Whatever is cut, delayed and acknowledged in whatever order: QoS 1 arrives at
// least once, QoS 2 exactly once, first deliveries in order, DUP only on what
// was sent before, and no window is ever exceeded.
func TestModel(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newModel(t, seed)
			steps := []func(){m.send, m.send, m.receive, m.receive, m.ack, m.hear, m.hear}
			for range 1500 {
				if m.rnd.IntN(40) == 0 {
					m.connect()
				}
				steps[m.rnd.IntN(len(steps))]()
			}
			for range 10_000 { // let it come to rest
				m.receive()
				m.ack()
				m.hear()
			}
			m.check()
		})
	}
}
