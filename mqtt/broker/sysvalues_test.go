package broker

import (
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// sysValues is what is retained under $SYS/broker.
func (s *server) sysValues() map[string]string {
	seen := map[string]string{}
	for _, m := range s.Retained("$SYS/#") {
		seen[strings.TrimPrefix(m.Topic, "$SYS/broker/")] = string(m.Payload)
	}
	return seen
}

// Every number under $SYS is what has really happened.
func TestSysCountsWhatHappens(t *testing.T) {
	t.Parallel()
	every := conf.Duration(time.Second)
	s := start(t, Config{SysInterval: &every, MaxQueued: 3}, nil)
	away := s.connect(mqtt.V5, "away", durable)
	away.subscribe(sub("q", 1))
	c := s.connect(mqtt.V5, "c")
	c.subscribe(sub("a/#", 1), sub("$share/g/s", 0))
	w := s.connect(mqtt.V311, "w")
	away.leave()
	payload := "12345"
	for i := range 10 {
		w.send(pub("a/x", payload, 0, 0))
		w.publish("a/y", payload, 1, uint16(i+1))
	}
	for i := range 4 { // the fourth finds the queue full
		w.publish("q", payload, 2, uint16(i+1))
	}
	w.send(&packet.Publish{Topic: "kept", Payload: []byte(payload), QoS: 1, PacketID: 1, Retain: true})
	expect[*packet.Puback](w)
	for range 20 {
		c.receive()
	}
	c.silent()
	packetsIn := 3 + 2 + 1 + 10 + 10 + 2*4 + 1 + 10 + 1 // CONNECT, SUBSCRIBE, DISCONNECT, PUBLISH of each QoS with PUBREL, PUBACK, PINGREQ
	packetsOut := 3 + 2 + 20 + 10 + 2*4 + 1 + 1         // CONNACK, SUBACK, PUBLISH, PUBACK, PUBREC and PUBCOMP, PUBACK, PINGRESP
	bytesIn := away.wrote.Load() + c.wrote.Load() + w.wrote.Load()
	bytesOut := away.got.Load() + c.got.Load() + w.got.Load()
	n := strconv.Itoa
	want := map[string]string{
		"version":       "fieldgate version test",
		"clients/total": "3", "clients/maximum": "3", "clients/connected": "2", "clients/active": "2", "clients/disconnected": "1", "clients/inactive": "1", "clients/expired": "0",
		"messages/received": n(packetsIn), "messages/sent": n(packetsOut), "bytes/received": n(int(bytesIn)), "bytes/sent": n(int(bytesOut)),
		"publish/messages/received": "25", "publish/messages/sent": "20", "publish/messages/dropped": "1", "publish/bytes/received": n(25 * 5), "publish/bytes/sent": n(20 * 5),
		"subscriptions/count": "3", "shared_subscriptions/count": "1", "retained messages/count": "1", "messages/stored": "4", "store/messages/count": "4",
		"packet/out/count": "0", "packet/out/bytes": "0", "connections/socket/count": "2",
	}
	wrong := func() (list []string) {
		seen := s.sysValues()
		for name, value := range want {
			if seen[name] != value {
				list = append(list, name+" is "+seen[name]+", want "+value)
			}
		}
		return list
	}
	for begin := time.Now(); len(wrong()) > 0; time.Sleep(50 * time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatal(strings.Join(wrong(), "\n"))
		}
	}
	seen := s.sysValues()
	number := func(name string) float64 {
		f, err := strconv.ParseFloat(seen[name], 64)
		if err != nil {
			t.Errorf("%s is %q", name, seen[name])
		}
		return f
	}
	// Three messages of 5 bytes wait, one is retained.
	if b := number("store/messages/bytes"); b < 4*5 || b > 4*300 {
		t.Errorf("store/messages/bytes %v", b)
	}
	if now, most := number("heap/current"), number("heap/maximum"); now < 10_000 || most < now {
		t.Errorf("heap %v of %v", now, most)
	}
	up := func() int {
		n, err := strconv.Atoi(strings.TrimSuffix(s.sysValues()["uptime"], " seconds"))
		if err != nil {
			t.Errorf("uptime: %v", err)
		}
		return n
	}
	began := int(s.uptime() / time.Second)
	waitFor(t, "an uptime that goes on", func() bool { return up() >= began })
	if n, now := up(), int(s.uptime()/time.Second); n > now {
		t.Errorf("uptime %d after %d s", n, now)
	}
	for _, name := range strings.Fields("messages/received messages/sent publish/received publish/sent publish/dropped bytes/received bytes/sent sockets connections") {
		one, five, fifteen := number("load/"+name+"/1min"), number("load/"+name+"/5min"), number("load/"+name+"/15min")
		if !(one > five && five > fifteen && fifteen > 0) {
			t.Errorf("load/%s: %v %v %v", name, one, five, fifteen)
		}
		if text := seen["load/"+name+"/1min"]; len(text)-strings.IndexByte(text, '.') != 3 {
			t.Errorf("load/%s %s has not two decimals", name, text)
		}
	}
	// A session that ends by its time.
	away = s.connect(mqtt.V5, "away", durable)
	away.send(&packet.Disconnect{HasSessionExpiry: true, SessionExpiry: 1})
	away.gone()
	waitFor(t, "an expired session", func() bool { v := s.sysValues(); return v["clients/expired"] == "1" && v["clients/total"] == "2" })
}

// Bytes that a client does not take are told of.
func TestSysTellsWhatWaits(t *testing.T) {
	t.Parallel()
	every := conf.Duration(time.Second)
	s := start(t, Config{SysInterval: &every}, nil)
	deaf := s.connect(mqtt.V5, "deaf")
	deaf.subscribe(sub("t", 0))
	w := s.connect(mqtt.V5, "w")
	for range 400 {
		w.send(pub("t", strings.Repeat("x", 30_000), 0, 0))
	}
	w.silent()
	waitFor(t, "unsent bytes", func() bool {
		v := s.sysValues()
		b, _ := strconv.Atoi(v["packet/out/bytes"])
		d, _ := strconv.Atoi(v["publish/messages/dropped"])
		return v["packet/out/count"] == "1" && b > 30_000 && d > 0
	})
}

// The broker's log is published where that is asked for, and only there.
func TestSysLog(t *testing.T) {
	quiet := start(t, Config{}, nil)
	listen := quiet.connect(mqtt.V5, "listen")
	listen.subscribe(sub("$SYS/broker/log/#", 0))
	loud := start(t, Config{SysLog: true}, nil)
	hear := loud.connect(mqtt.V5, "hear")
	hear.subscribe(sub("$SYS/broker/log/#", 0))
	for _, s := range []*server{quiet, loud} {
		for range takeoverReport + 1 {
			s.connect(mqtt.V5, "same")
		}
		s.Broker.log.Error("trouble", slog.String("with", "x"))
		s.Broker.log.With("client", "y").Info("news")
		s.Broker.log.Debug("never")
	}
	for _, want := range []struct{ letter, text string }{{"W", "two clients fight"}, {"E", "trouble with=x"}, {"I", "news client=y"}} {
		m := hear.receive()
		for strings.HasPrefix(string(m.Payload), "listening ") { // of the start, published only now
			m = hear.receive()
		}
		if m.Topic != "$SYS/broker/log/"+want.letter || !strings.Contains(string(m.Payload), want.text) || m.Retain {
			t.Errorf("got %s %s, want %v", m.Topic, m.Payload, want)
		}
	}
	hear.silent()
	listen.silent()
}
