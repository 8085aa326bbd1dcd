package siege

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"fieldgate/cmd/fieldgate/internal/proctest"
	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
)

// subscriber has a session that outlives its connections and the gateway's
// processes, with a subscription of QoS 2.
type subscriber struct {
	cfg client.Config

	mu  sync.Mutex
	got []receipt
}

func newSubscriber(t *testing.T, port int, name, filter string) *subscriber {
	t.Helper()
	s := &subscriber{}
	s.cfg = client.Config{
		URL: fmt.Sprintf("mqtt://127.0.0.1:%d", port), ClientID: name, SessionExpiry: 1 << 20, Session: client.NewSession(), OnMessage: s.take,
	}
	conn, err := client.Dial(t.Context(), s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Subscribe(t.Context(), mqtt.Subscription{Filter: filter, QoS: 2}); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	<-conn.Done()
	return s
}

func (s *subscriber) take(m *mqtt.Message, ack func()) {
	s.mu.Lock()
	s.got = append(s.got, receipt{topic: m.Topic, text: string(m.Payload)})
	s.mu.Unlock()
	ack()
}

func (s *subscriber) all() []receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]receipt(nil), s.got...)
}

// run stays connected until ctx ends.
func (s *subscriber) run(ctx context.Context) {
	for ctx.Err() == nil {
		conn, err := client.Dial(ctx, s.cfg)
		if err != nil {
			time.Sleep(10 * time.Millisecond) // it is down; the port refuses at once
			continue
		}
		select {
		case <-conn.Done():
		case <-ctx.Done():
			conn.Close()
			<-conn.Done()
		}
	}
}

// until stays connected until so many messages have come, and a moment longer
// to see whether there are more.
func (s *subscriber) until(t *testing.T, n int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.run(ctx)
	}()
	if !proctest.Within(proctest.Patience, func() bool { return len(s.all()) >= n }) {
		t.Errorf("%s: %d of %d messages came", s.cfg.ClientID, len(s.all()), n)
	}
	time.Sleep(300 * time.Millisecond)
	cancel()
	<-done
}

// inOrder checks that the numbers of one publisher rise.
func inOrder(t *testing.T, who, topic string, list []int) {
	t.Helper()
	for i := 1; i < len(list); i++ {
		if list[i] <= list[i-1] {
			t.Errorf("%s: %s: %d comes after %d", who, topic, list[i], list[i-1])
			return
		}
	}
}
