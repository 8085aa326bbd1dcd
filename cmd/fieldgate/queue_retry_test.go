package main

import (
	"net/http/httptest"
	"testing"

	"fieldgate/bridge"
	"fieldgate/buffer"
	"fieldgate/mqtt"
)

// TestQueueRetry: what an upstream has refused waits for it again, or stays
// where nobody could take it; the quarantine is small whatever max_size is.
func TestQueueRetry(t *testing.T) {
	dir := t.TempDir()
	g := openSmall(t, dir, smallFile(dir, freePort(t), upstreamSection("a")+upstreamSection("b")))
	defer g.close()
	defer g.release()
	q, err := g.buffer.Cursor(bridge.QuarantineName)
	if err != nil {
		t.Fatal(err)
	}
	if limit := q.Stats().LimitBytes; limit != bridge.QuarantineSize {
		t.Errorf("the quarantine may hold %d bytes", limit)
	}
	for _, by := range []string{"a", "b", "a", "gone"} {
		m := mqtt.Message{Topic: "gw/x", Payload: []byte(by), QoS: 1, Props: &mqtt.Properties{User: []mqtt.UserProperty{
			{Name: "own", Value: "stays"}, {Name: "gw-refused-by", Value: by}, {Name: "gw-refused-why", Value: "quota"}}}}
		if err := g.buffer.Append(t.Context(), []buffer.Item{{Message: m, Targets: q.Bit(), Priority: buffer.Bulk, Durable: true}}); err != nil {
			t.Fatal(err)
		}
	}
	c := &control{g: g}
	retry := func(query string, want int) {
		t.Helper()
		n, err := c.queueRetry(httptest.NewRequest("POST", "/queue/retry"+query, nil))
		if err != nil || n != want {
			t.Errorf("retry%s: %v, %v; want %d", query, n, err, want)
		}
	}
	retry("?upstream=a", 2)
	retry("", 1)
	retry("", 0)
	left, err := g.buffer.Peek(t.Context(), bridge.QuarantineName, 0, 10)
	if err != nil || len(left) != 1 || g.queuedDoc(left[0]).Refused != "gone" || g.queuedDoc(left[0]).Why != "quota" {
		t.Errorf("left %+v, %v", left, err)
	}
	again, err := g.buffer.Peek(t.Context(), "a", 0, 10)
	if err != nil || len(again) != 2 {
		t.Fatalf("%d wait for a, %v", len(again), err)
	}
	if p := again[0].Message.Props; len(p.User) != 1 || p.User[0].Name != "own" {
		t.Errorf("properties %+v", p)
	}
}
