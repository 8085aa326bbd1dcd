package packet

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fieldgate/mqtt"
)

// fuzz feeds bodies of one packet type: whatever decodes must encode, and
// decode to the same again; nothing may panic or change its input.
func fuzz(f *testing.F, t Type) {
	for _, s := range samples {
		if s.p.Type() == t {
			f.Add(s.wire[0]&0x0F, s.body(), byte(s.v))
		}
	}
	f.Fuzz(func(tt *testing.T, flags byte, body []byte, version byte) {
		header, v := byte(t)<<4|flags&0x0F, mqtt.V31+mqtt.Version(version)%3
		before := slices.Clone(body)
		p, err := Decode(header, body, v)
		if !bytes.Equal(before, body) {
			tt.Fatal("Decode changed its input")
		}
		if err != nil {
			if e, ok := err.(*Error); !ok || !e.Reason.Failed() {
				tt.Fatalf("%#v is not a packet error", err)
			}
			return
		}
		if c, ok := p.(*Connect); ok {
			v = c.Version
		}
		roundTrip(tt, p, v)
	})
}

func roundTrip(t *testing.T, p Packet, v mqtt.Version) {
	t.Helper()
	wire, err := p.Append(nil, v)
	if err != nil {
		t.Fatalf("decoded but does not encode: %v\n%#v", err, p)
	}
	header, body, n, err := Split(wire, 0)
	if err != nil || n != len(wire) {
		t.Fatalf("split of %q: %d, %v", wire, n, err)
	}
	again, err := Decode(header, body, v)
	if err != nil {
		t.Fatalf("encoded but does not decode: %v\n%q", err, wire)
	}
	if diff := cmp.Diff(p, again); diff != "" {
		t.Fatalf("round trip (-first +second):\n%s", diff)
	}
}

func FuzzConnect(f *testing.F)     { fuzz(f, TypeConnect) }
func FuzzConnack(f *testing.F)     { fuzz(f, TypeConnack) }
func FuzzPublish(f *testing.F)     { fuzz(f, TypePublish) }
func FuzzPuback(f *testing.F)      { fuzz(f, TypePuback) }
func FuzzPubrec(f *testing.F)      { fuzz(f, TypePubrec) }
func FuzzPubrel(f *testing.F)      { fuzz(f, TypePubrel) }
func FuzzPubcomp(f *testing.F)     { fuzz(f, TypePubcomp) }
func FuzzSubscribe(f *testing.F)   { fuzz(f, TypeSubscribe) }
func FuzzSuback(f *testing.F)      { fuzz(f, TypeSuback) }
func FuzzUnsubscribe(f *testing.F) { fuzz(f, TypeUnsubscribe) }
func FuzzUnsuback(f *testing.F)    { fuzz(f, TypeUnsuback) }
func FuzzPingreq(f *testing.F)     { fuzz(f, TypePingreq) }
func FuzzPingresp(f *testing.F)    { fuzz(f, TypePingresp) }
func FuzzDisconnect(f *testing.F)  { fuzz(f, TypeDisconnect) }
func FuzzAuth(f *testing.F)        { fuzz(f, TypeAuth) }

// The two decoders of a PUBLISH agree, whatever the reused view held.
func FuzzDecodePublish(f *testing.F) {
	for _, s := range samples {
		if s.p.Type() == TypePublish {
			f.Add(s.wire[0]&0x0F, s.body(), byte(s.v))
		}
	}
	f.Fuzz(func(t *testing.T, flags byte, body []byte, version byte) {
		header, v := 0x30|flags&0x0F, mqtt.V31+mqtt.Version(version)%3
		p, err := Decode(header, body, v)
		view := PublishView{Dup: true, QoS: 2, Retain: true, PacketID: 9, Topic: []byte("x"), TopicAlias: 9, Payload: []byte("x"), Props: &mqtt.Properties{}}
		err2 := DecodePublish(header, body, v, &view)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("Decode: %v, DecodePublish: %v", err, err2)
		}
		if err != nil {
			return
		}
		got := &Publish{Dup: view.Dup, QoS: view.QoS, Retain: view.Retain, PacketID: view.PacketID,
			Topic: string(view.Topic), TopicAlias: view.TopicAlias, Payload: view.Payload, Props: view.Props}
		if diff := cmp.Diff(p, Packet(got)); diff != "" {
			t.Fatal(diff)
		}
	})
}
