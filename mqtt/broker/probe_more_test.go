package broker

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// What waits for a session comes in order, few and many, from several
// publishers, each in its own order. 200,000 in the long run.
func TestProbe03OfflineQueueInOrder(t *testing.T) {
	counts := []int{200, 20_000}
	if os.Getenv("FIELDGATE_LONG") != "" {
		counts = append(counts, 200_000)
	}
	for _, n := range counts {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			s := start(t, Config{MaxQueued: n, MaxInflight: 500}, nil)
			r := s.connect(mqtt.V5, "r", durable)
			r.subscribe(sub("t/#", 1))
			r.leave()
			const publishers = 4
			var wg sync.WaitGroup
			for i := range publishers {
				w := s.connect(mqtt.V311, fmt.Sprint("w", i))
				wg.Go(func() {
					var page []packet.Packet
					for k := range n / publishers {
						page = append(page, pub(fmt.Sprint("t/", i), strconv.Itoa(k), 1, uint16(k%500+1)))
						if len(page) == 500 || k == n/publishers-1 {
							w.send(page...)
							for range page {
								if _, err := w.next(); err != nil {
									t.Error(err)
									return
								}
							}
							page = page[:0]
						}
					}
				})
			}
			wg.Wait()
			waitFor(t, "all of them", func() bool { return s.Clients()[0].Queued == n })
			r = s.connect(mqtt.V5, "r", durable)
			var next [publishers]int
			for range n {
				m := r.receive()
				i, _ := strconv.Atoi(m.Topic[2:])
				if k, _ := strconv.Atoi(string(m.Payload)); k != next[i] || m.Dup {
					t.Fatalf("publisher %d: %s, want %d; dup %v", i, m.Payload, next[i], m.Dup)
				}
				next[i]++
			}
			r.silent()
		})
	}
}

// A client that is back at the very moment the delay is over: its will was
// published or not, but not twice, and not later.
func TestProbe06WillBackAtTheDelay(t *testing.T) {
	for range 20 {
		piped(t, Config{}, nil, func(t *testing.T, p *pipes) {
			watch := p.connect(mqtt.V5, "watch")
			watch.subscribe(sub("will", 1))
			w := p.connect(mqtt.V5, "w", withWill(10, 100, mqtt.Message{Topic: "will", Payload: []byte("x")}))
			w.nc.Close()
			time.Sleep(10 * time.Second)
			w = p.connect(mqtt.V5, "w", durable)
			synctest.Wait()
			first := watch.wills()
			w.send(&packet.Disconnect{})
			w.gone()
			time.Sleep(time.Minute)
			synctest.Wait()
			if later := watch.wills(); first > 1 || later != 0 {
				t.Errorf("%d wills, and %d later", first, later)
			}
		})
	}
}

// Before anybody has shown who he is, a connection costs little, whatever it
// promises to send.
func TestProbe11MemoryBeforeConnect(t *testing.T) {
	s := start(t, Config{Listener: []Listener{{Name: "l", Bind: "127.0.0.1:0", AllowAnonymous: true, MaxConnects: 10_000}}, MaxClients: 1000}, nil)
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse + m.StackInuse)
	}
	before := heap()
	const n = 300
	for range n {
		p := s.dial()
		defer p.nc.Close()
		p.raw(append([]byte{0x10, 0xFC, 0xFF, 0x03}, make([]byte, 100)...)) // a CONNECT of nearly 64 KiB
	}
	waitFor(t, "300 connections", func() bool { return s.Stats().Sockets == n })
	if each := (heap() - before) / n; each > 24<<10 {
		t.Errorf("%d bytes for each connection that has only promised something", each)
	}
}

// Drip by drip, a CONNECT has to come within its time all the same; meanwhile others are served.
func TestProbe12DripFedConnect(t *testing.T) {
	s := start(t, Config{ConnectTimeout: conf.Duration(500 * time.Millisecond)}, nil)
	whole, _ := (&packet.Connect{Version: mqtt.V5, ClientID: "slow", CleanStart: true}).Append(nil, mqtt.V5)
	over := make(chan error, 5)
	for range cap(over) {
		p := s.dial()
		go func() {
			for _, b := range whole {
				if _, err := p.nc.Write([]byte{b}); err != nil {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			p.nc.SetReadDeadline(time.Now().Add(patience))
			_, err := p.nc.Read(make([]byte, 1))
			p.nc.Close()
			over <- err
		}()
	}
	good := s.connect(mqtt.V311, "good")
	good.subscribe(sub("t", 1))
	good.send(pub("t", "x", 0, 0))
	good.receive()
	for range cap(over) {
		if err := <-over; err == nil || isTimeout(err) {
			t.Errorf("a CONNECT that takes too long is accepted: %v", err)
		}
	}
	if n := s.Stats().Clients; n != 1 {
		t.Errorf("%d clients", n)
	}
}

// The longest keep-alive that a client of MQTT 5 gets is ours to say, and is kept to.
func TestProbe12HugeKeepAlive(t *testing.T) {
	piped(t, Config{MaxKeepAlive: conf.Duration(20 * time.Second)}, nil, func(t *testing.T, p *pipes) {
		for _, wish := range []uint16{0, 21, 65535} {
			c := p.dial()
			a := c.connect(mqtt.V5, "c", func(c *packet.Connect) { c.KeepAlive = wish })
			if !a.Props.HasKeepAlive || a.Props.ServerKeepAlive != 20 {
				t.Errorf("keep-alive %d: %+v", wish, a.Props)
			}
			time.Sleep(29 * time.Second)
			c.silent()
			begin := time.Now()
			c.nc.SetReadDeadline(time.Time{})
			for {
				if _, _, err := c.r.Next(); err != nil {
					break
				}
			}
			if took := time.Since(begin); took < 25*time.Second || took > 35*time.Second {
				t.Errorf("keep-alive %d: closed after %v of silence", wish, took)
			}
		}
	})
}

// A port that is open to the network with somebody who connects and says
// nothing at all, many times: they are cut off, and there is room again.
func TestProbe12SilentConnections(t *testing.T) {
	s := start(t, Config{MaxClients: 10, ConnectTimeout: conf.Duration(300 * time.Millisecond), Listener: []Listener{{Name: "l", Bind: "127.0.0.1:0", AllowAnonymous: true, MaxConnects: 1000}}}, nil)
	refused := 0
	for range 2*10 + 64 + 20 { // more than may be open
		nc, err := net.Dial("tcp", s.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := nc.Read(make([]byte, 1)); err == io.EOF {
			refused++
		}
	}
	waitFor(t, "room again", func() bool {
		s.Broker.mu.Lock()
		l := s.listeners[0]
		s.Broker.mu.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.open) == 0
	})
	if s.Stats().ConnectsRefused == 0 {
		t.Errorf("none of so many was refused (%d closed at once)", refused)
	}
	s.connect(mqtt.V5, "good").silent()
}
