package session

import (
	"errors"
	"testing"

	"fieldgate/mqtt"
)

func newWindow(quota int) *Window[string] {
	w := NewWindow[string](&IDs{})
	w.Begin(quota)
	return w
}

func add(t *testing.T, w *Window[string], qos mqtt.QoS, value string) uint16 {
	t.Helper()
	x := w.Add(qos, value)
	if x == nil {
		t.Fatalf("no room for %q", value)
	}
	return x.ID
}

func TestIDs(t *testing.T) {
	var ids IDs
	seen := map[uint16]bool{}
	for range 0xFFFF {
		id, ok := ids.Take()
		if !ok || id == 0 || seen[id] {
			t.Fatalf("id %d, %v", id, ok)
		}
		seen[id] = true
	}
	if _, ok := ids.Take(); ok {
		t.Fatal("a 65536th id")
	}
	ids.Free(77)
	if id, ok := ids.Take(); !ok || id != 77 {
		t.Fatalf("%d, %v", id, ok)
	}
	ids.Free(1)
	ids.Free(0xFFFF)
	if id, _ := ids.Take(); id != 0xFFFF {
		t.Errorf("%d: an id that has just been freed must rest", id)
	}
	if id, _ := ids.Take(); id != 1 {
		t.Errorf("%d, want 1, never 0", id)
	}
}

func TestWindowQuota(t *testing.T) {
	w := NewWindow[string](&IDs{})
	if w.Room() || w.Add(1, "x") != nil {
		t.Error("room before Begin")
	}
	w.Begin(2)
	a, b := add(t, w, 1, "a"), add(t, w, 2, "b")
	if w.Room() || w.Add(1, "c") != nil {
		t.Error("a third message in a window of two")
	}
	if x, err := w.Puback(a); x == nil || x.Value != "a" || !x.Ended() || err != nil {
		t.Errorf("%+v, %v", x, err)
	}
	if x, err := w.Puback(a); x != nil || err != nil {
		t.Errorf("PUBACK twice: %+v, %v", x, err)
	}
	if x, err := w.Pubrec(b, mqtt.Success); x == nil || !x.Released() || x.Ended() || err != nil {
		t.Errorf("%+v, %v", x, err)
	}
	add(t, w, 1, "c")
	if w.Room() {
		t.Error("a released message is open until its PUBCOMP (MQTT 5.0 §4.9)")
	}
	if x, err := w.Pubcomp(b); x == nil || x.Value != "b" || !x.Ended() || err != nil {
		t.Errorf("%+v, %v", x, err)
	}
	if !w.Room() || w.Len() != 1 {
		t.Errorf("room %v, %d left", w.Room(), w.Len())
	}
}

func TestWindowRefused(t *testing.T) {
	w := newWindow(1)
	id := add(t, w, 2, "a")
	if x, _ := w.Pubrec(id, mqtt.QuotaExceeded); x == nil || !x.Ended() || w.Len() != 0 || !w.Room() {
		t.Error("a failed PUBREC must end the exchange")
	}
}

func TestWindowWrongAnswers(t *testing.T) {
	w := newWindow(5)
	one, two := add(t, w, 1, "1"), add(t, w, 2, "2")
	for name, f := range map[string]func() (*Exchange[string], error){
		"PUBACK for QoS 2":      func() (*Exchange[string], error) { return w.Puback(two) },
		"PUBREC for QoS 1":      func() (*Exchange[string], error) { return w.Pubrec(one, 0) },
		"PUBCOMP before PUBREC": func() (*Exchange[string], error) { return w.Pubcomp(two) },
		"PUBCOMP for QoS 1":     func() (*Exchange[string], error) { return w.Pubcomp(one) },
	} {
		if x, err := f(); x != nil || !errors.Is(err, mqtt.ProtocolError) {
			t.Errorf("%s: %+v, %v", name, x, err)
		}
	}
	for name, f := range map[string]func(uint16) (*Exchange[string], error){
		"PUBACK": w.Puback, "PUBCOMP": w.Pubcomp,
		"PUBREC": func(id uint16) (*Exchange[string], error) { return w.Pubrec(id, 0) },
	} {
		if x, err := f(999); x != nil || err != nil {
			t.Errorf("%s of an unknown id: %+v, %v", name, x, err)
		}
	}
	if w.Len() != 2 {
		t.Errorf("%d left", w.Len())
	}
}

// After a cut everything goes again in the order of the first sending, within
// the new peer's window, before anything new.
func TestWindowResend(t *testing.T) {
	w := newWindow(10)
	var ids []uint16
	for i, qos := range []mqtt.QoS{1, 2, 1, 2, 1} {
		ids = append(ids, add(t, w, qos, string(rune('a'+i))))
	}
	_, _ = w.Pubrec(ids[1], 0)
	_, _ = w.Puback(ids[0])

	w.Begin(2)
	if w.Room() {
		t.Error("new messages before the old ones")
	}
	resend := func(want string, released bool) {
		t.Helper()
		x := w.Resend()
		if want == "" {
			if x != nil {
				t.Errorf("sent %q again beyond the window", x.Value)
			}
			return
		}
		if x == nil || x.Value != want || x.Released() != released {
			t.Fatalf("%+v, want %q", x, want)
		}
	}
	resend("b", true)
	resend("c", false)
	resend("", false)
	_, _ = w.Pubcomp(ids[1])
	resend("d", false)
	resend("", false)
	_, _ = w.Pubrec(ids[3], 0)
	resend("", false)
	_, _ = w.Puback(ids[2])
	resend("e", false)
	if w.Room() {
		t.Error("two are open")
	}
	_, _ = w.Puback(ids[4])
	if !w.Room() {
		t.Error("one is open")
	}
}

// Answers to what an earlier connection sent count, and it is not sent again.
func TestWindowLateAnswers(t *testing.T) {
	w := newWindow(10)
	a, b, c := add(t, w, 1, "a"), add(t, w, 2, "b"), add(t, w, 1, "c")
	w.Begin(1)
	_, _ = w.Puback(a)
	_, _ = w.Pubrec(b, 0)
	if x := w.Resend(); x != nil {
		t.Errorf("%q is due although the window is full", x.Value)
	}
	_, _ = w.Pubcomp(b)
	if x := w.Resend(); x == nil || x.ID != c {
		t.Errorf("%+v, want c", x)
	}
	_, _ = w.Puback(c)
	if w.open != 0 || w.Len() != 0 || !w.Room() {
		t.Errorf("%d open, %d left", w.open, w.Len())
	}
}

func TestWindowClear(t *testing.T) {
	w := newWindow(10)
	for _, v := range []string{"a", "b", "c"} {
		add(t, w, 1, v)
	}
	got := ""
	for x := range w.All() {
		got += x.Value
	}
	for _, x := range w.Clear() {
		got += x.Value
		if !x.Ended() {
			t.Error("not ended")
		}
	}
	if got != "abcabc" || w.Len() != 0 || w.first != nil || w.last != nil {
		t.Errorf("%q, %d left", got, w.Len())
	}
}

func TestWindowDrop(t *testing.T) {
	w := newWindow(2)
	add(t, w, 1, "a")
	b := add(t, w, 1, "b")
	w.Begin(1)
	x := w.Resend()
	w.Drop(x)
	w.Drop(x)
	if y := w.Resend(); y == nil || y.ID != b || w.Len() != 1 || w.open != 1 {
		t.Errorf("%+v, %d left, %d open", y, w.Len(), w.open)
	}
}
