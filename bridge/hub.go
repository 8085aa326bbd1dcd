package bridge

import (
	"context"
	"sync"
	"sync/atomic"

	"fieldgate/buffer"
	"fieldgate/mqtt"
)

// Broker is what a bridge needs of the local broker.
type Broker interface {
	Publish(ctx context.Context, msgs ...mqtt.Message) error
	Handle(filter string, h func(ctx context.Context, msgs []mqtt.Message) error) error
}

// Appender takes messages into the queue; *buffer.Buffer is one.
type Appender interface {
	Append(ctx context.Context, items []buffer.Item) error // keeps nothing of the slice itself
}

// Hub stands between the local broker and all bridges: it asks each bridge
// which messages it wants and queues every message once for all of them.
type Hub struct {
	broker  Broker
	queue   Appender
	bridges atomic.Pointer[[]*Bridge]

	mu       sync.Mutex
	handling bool // take sees every message of the broker
}

// NewHub belongs to the time before anything publishes: from then on every
// message is offered to the bridges.
func NewHub(broker Broker, queue Appender, bridges []*Bridge) (*Hub, error) {
	h := &Hub{broker: broker, queue: queue}
	return h, h.Set(bridges)
}

// Set replaces the bridges, as after a reload. The hub subscribes to the broker
// with the first bridge: a gateway without upstreams does not pay for one.
func (h *Hub) Set(bridges []*Bridge) error {
	list := append([]*Bridge(nil), bridges...)
	h.bridges.Store(&list)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.handling || len(list) == 0 {
		return nil
	}
	h.handling = true
	return h.broker.Handle("#", h.take)
}

// take queues what some bridge wants. It runs in the publisher's goroutine and
// returns once what has a QoS above 0 is on the disk or acknowledged by every
// upstream that must have it.
func (h *Hub) take(ctx context.Context, msgs []mqtt.Message) error {
	bridges := *h.bridges.Load()
	if len(bridges) == 0 {
		return nil
	}
	list := itemLists.Get().(*itemList)
	for i := range msgs {
		list.items = appendItems(list.items, &msgs[i], bridges)
	}
	var err error
	if len(list.items) > 0 {
		err = h.queue.Append(ctx, list.items)
	}
	list.free()
	return err
}

// itemList is used again: the queue keeps none of it.
type itemList struct{ items []buffer.Item }

var itemLists = sync.Pool{New: func() any { return &itemList{} }}

// itemsPooled is how many items a list may have that is kept.
const itemsPooled = 1024

func (l *itemList) free() {
	if cap(l.items) > itemsPooled {
		return
	}
	clear(l.items)
	l.items = l.items[:0]
	itemLists.Put(l)
}

// appendItems appends the message, for all bridges that want it as it is, and
// the forms of it that are for one bridge alone.
func appendItems(items []buffer.Item, m *mqtt.Message, bridges []*Bridge) []buffer.Item {
	if m.Sample != nil && len(m.Sample.Group) > 0 {
		return appendGroup(items, m, bridges)
	}
	before := len(items)
	shared := buffer.Item{Message: *m, Priority: buffer.Bulk, Durable: m.QoS > 0}
	for _, b := range bridges {
		w := b.wants(m)
		switch {
		case !w.yes:
		case w.own != nil:
			items = append(items, buffer.Item{Message: *w.own, Targets: b.queue.Bit(), Priority: w.priority, Durable: m.QoS > 0})
		default:
			shared.Targets |= b.queue.Bit()
			shared.Priority = higher(shared.Priority, w.priority)
		}
	}
	if shared.Targets != 0 {
		items = append(items, shared)
	}
	if n := len(items) - before; n > 1 { // one commit need not carry them all
		for i := before; i < len(items); i++ {
			items[i].Message.Exchange = nil
		}
	}
	return items
}

// higher is the priority that goes first.
func higher(a, b buffer.Priority) buffer.Priority {
	if rank(a) <= rank(b) {
		return a
	}
	return b
}

// rank sorts priorities: what goes first has the lowest.
func rank(p buffer.Priority) int {
	switch p {
	case buffer.Alarm:
		return 0
	case buffer.Bulk:
		return 2
	}
	return 1
}

// wish is what a bridge says of a message.
type wish struct {
	yes      bool
	priority buffer.Priority
	own      *mqtt.Message // the form that this bridge wants, where it differs
}
