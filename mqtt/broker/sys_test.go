package broker

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
)

func TestSys(t *testing.T) {
	every := conf.Duration(time.Second)
	s := start(t, Config{SysInterval: &every}, nil)
	c := s.connect(mqtt.V5, "c")
	c.subscribe(sub("x", 0), sub("$SYS/#", 0))
	seen := map[string]string{}
	names := strings.Fields(`version uptime clients/total clients/maximum clients/connected clients/disconnected clients/expired clients/active clients/inactive
		messages/received messages/sent messages/stored bytes/received bytes/sent publish/messages/received publish/messages/sent publish/messages/dropped
		publish/bytes/received publish/bytes/sent subscriptions/count shared_subscriptions/count store/messages/count store/messages/bytes
		heap/current heap/maximum packet/out/count packet/out/bytes connections/socket/count load/messages/received/1min load/connections/15min load/publish/dropped/5min`)
	names = append(names, "retained messages/count")
	complete := func() bool {
		for _, n := range names {
			if seen[n] == "" {
				return false
			}
		}
		return seen["subscriptions/count"] == "2"
	}
	for !complete() {
		m := c.receive()
		seen[strings.TrimPrefix(m.Topic, "$SYS/broker/")] = string(m.Payload)
	}
	if seen["version"] != "fieldgate version test" || !strings.HasSuffix(seen["uptime"], " seconds") || seen["clients/connected"] != "1" {
		t.Errorf("seen %v", seen)
	}
	if _, err := strconv.ParseFloat(seen["load/messages/received/1min"], 64); err != nil {
		t.Error(err)
	}
	if n := s.Stats().Retained; n != 0 {
		t.Errorf("%d retained messages; $SYS does not count", n)
	}
	if _, kept, _ := s.store.Load(t.Context()); len(kept) != 0 {
		t.Errorf("$SYS is stored: %v", kept)
	}
}

func TestLoadAverage(t *testing.T) {
	l := &loadAverage{}
	total := uint64(0)
	for range 600 { // 60 per minute for 100 minutes
		total += 10
		l.step(total, 1.0/6)
	}
	for k, m := range l.mean {
		if m < 59 || m > 61 {
			t.Errorf("mean %d is %.2f, want 60", k, m)
		}
	}
	l.step(total, 1)
	if l.mean[0] > 30 || l.mean[2] < 50 {
		t.Errorf("after a silent minute: %v", l.mean)
	}
}
