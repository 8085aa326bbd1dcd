package session

import (
	"errors"
	"testing"

	"fieldgate/mqtt"
)

func newReceiver(max int) *Receiver {
	r := NewReceiver()
	r.Begin(max)
	return r
}

func take(t *testing.T, r *Receiver, id uint16, qos mqtt.QoS, fresh bool) *Incoming {
	t.Helper()
	in, f, err := r.Publish(id, qos)
	if err != nil || f != fresh {
		t.Fatalf("message %d of QoS %d: fresh %v, %v", id, qos, f, err)
	}
	return in
}

func ready(t *testing.T, r *Receiver, want ...uint16) {
	t.Helper()
	for _, id := range want {
		if in := r.Ready(); in == nil || in.ID != id {
			t.Fatalf("ready: %+v, want %d", in, id)
		}
	}
	if in := r.Ready(); in != nil {
		t.Fatalf("ready: %+v, want nothing", in)
	}
}

func TestReceiverOrder(t *testing.T) {
	r := newReceiver(10)
	a, b, c := take(t, r, 1, 1, true), take(t, r, 2, 2, true), take(t, r, 3, 1, true)
	r.Ack(c)
	r.Ack(b)
	ready(t, r)
	if r.Waiting() != 3 {
		t.Errorf("%d waiting", r.Waiting())
	}
	r.Ack(a)
	ready(t, r, 1, 2, 3)
	if r.Waiting() != 0 {
		t.Errorf("%d waiting", r.Waiting())
	}
	if r.Open() != 1 || !r.Pubrel(2) || r.Open() != 0 || r.Pubrel(2) {
		t.Errorf("%d open", r.Open())
	}
}

func TestReceiverWindow(t *testing.T) {
	r := newReceiver(2)
	a := take(t, r, 1, 1, true)
	take(t, r, 2, 2, true)
	if _, _, err := r.Publish(3, 1); !errors.Is(err, mqtt.ReceiveMaximumExceeded) {
		t.Errorf("a third message in a window of two: %v", err)
	}
	take(t, r, 2, 2, false) // the same again is not another
	r.Ack(a)
	ready(t, r, 1)
	take(t, r, 3, 1, true)
}

// QoS 2: a message that comes again is answered again and not delivered again.
func TestReceiverDuplicate(t *testing.T) {
	r := newReceiver(5)
	in := take(t, r, 7, 2, true)
	if again := take(t, r, 7, 2, false); again != in {
		t.Error("another exchange")
	}
	if r.Pubrel(7) {
		t.Error("PUBREL before the PUBREC was accepted")
	}
	r.Ack(in)
	ready(t, r, 7) // once
	take(t, r, 7, 2, false)
	ready(t, r, 7)
	if !r.Pubrel(7) {
		t.Error("PUBREL not known")
	}
	take(t, r, 7, 2, true) // the id is free
}

// The application acknowledges while there is no connection: the message that
// comes again is answered and not delivered.
func TestReceiverAckAfterCut(t *testing.T) {
	r := newReceiver(1)
	in := take(t, r, 7, 2, true)
	r.Begin(1)
	r.Ack(in)
	ready(t, r)
	if r.Open() != 0 || r.Unfinished() != 1 {
		t.Errorf("%d open, %d unfinished", r.Open(), r.Unfinished())
	}
	take(t, r, 7, 2, false)
	ready(t, r, 7)
	r.Begin(1)
	if !r.Pubrel(7) || r.Open() != 0 { // the PUBREL of an old exchange does not count on a new connection
		t.Errorf("%d open", r.Open())
	}
}

// The message comes again while the application still works on it.
func TestReceiverAgainBeforeAck(t *testing.T) {
	r := newReceiver(5)
	old, one := take(t, r, 7, 2, true), take(t, r, 8, 1, true)
	r.Begin(5)
	take(t, r, 7, 2, false)
	take(t, r, 8, 1, true) // QoS 1 comes twice: at least once
	r.Ack(one)             // belongs to the old connection
	ready(t, r)
	r.Ack(old)
	ready(t, r, 7)
}

func TestReceiverClear(t *testing.T) {
	r := newReceiver(5)
	in := take(t, r, 7, 2, true)
	r.Clear()
	r.Ack(in)
	ready(t, r)
	if r.Unfinished() != 0 || r.Pubrel(7) {
		t.Error("not forgotten")
	}
	take(t, r, 7, 2, true)
}
