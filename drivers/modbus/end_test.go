package modbus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/configs/conf"
	"fieldgate/drivers"
	"fieldgate/drivers/modbus"
	"fieldgate/drivers/modbus/server"
	"fieldgate/drivers/port/porttest"
	"fieldgate/mqtt"
)

// These tests run supervisor, driver and wire over real sockets and a
// pseudo-terminal. They wait for what must happen and never measure time.

const patience = 30 * time.Second

// retained is a broker that keeps the last message of each topic.
type retained struct {
	mu       sync.Mutex
	last     map[string]mqtt.Message
	handlers map[string]func(context.Context, []mqtt.Message) error
}

func (b *retained) Handle(filter string, h func(context.Context, []mqtt.Message) error) error {
	b.handlers[filter] = h
	return nil
}

func (b *retained) Publish(ctx context.Context, msgs ...mqtt.Message) error {
	b.mu.Lock()
	for _, m := range msgs {
		b.last[m.Topic] = m
	}
	b.mu.Unlock()
	for _, m := range msgs {
		for filter, h := range b.handlers {
			if mqtt.Match(filter, m.Topic) {
				if err := h(ctx, []mqtt.Message{m}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (b *retained) payload(topic string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.last[topic].Payload)
}

// value is a topic's value as JSON text, or its reason where it is bad.
func (b *retained) value(topic string) string {
	var doc struct {
		Value  json.RawMessage
		Reason string
	}
	if json.Unmarshal([]byte(b.payload(topic)), &doc) != nil {
		return ""
	}
	if doc.Reason != "" {
		return doc.Reason
	}
	return string(doc.Value)
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("waited %s for %s", patience, what)
		}
	}
}

// run supervises the buses until the test ends.
func run(t *testing.T, buses []modbus.Bus, devices []modbus.Device) (*retained, *drivers.Supervisor) {
	t.Helper()
	b := &retained{last: map[string]mqtt.Message{}, handlers: map[string]func(context.Context, []mqtt.Message) error{}}
	s, err := drivers.NewSupervisor(drivers.Options{Broker: b, Gateway: drivers.Gateway{ID: "gw"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, bus := range buses {
		d, err := modbus.New(bus, devices, modbus.Options{Event: s.Event})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Add(d, d.Devices()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b, s
}

// serve runs a Modbus TCP device until stop.
func serve(t *testing.T, srv *server.Server, address string) (addr string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.ServeTCP(ctx, ln) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return ln.Addr().String(), stop
}

func plc() *server.Memory {
	m := &server.Memory{}
	m.Set(server.Holdings, 100, 714, 725, 0x4369, 0x2E14)
	m.Set(server.Coils, 4, 1)
	return m
}

func ptr[T any](v T) *T { return &v }

func boiler(bus string) modbus.Device {
	return modbus.Device{
		Name: "boiler", Bus: bus, Unit: 1, Poll: modbus.Poll(50 * time.Millisecond), Offline: modbus.Offline{BackoffMax: conf.Duration(time.Second)},
		Tags: []modbus.Tag{
			{Name: "temp", Reg: "h100:int16", Scale: ptr(0.1), Unit: "°C"},
			{Name: "setpoint", Reg: "40102:int16", Scale: ptr(0.1), Write: &modbus.Write{Min: ptr(40.0), Max: ptr(95.0), Step: ptr(0.5)}},
			{Name: "volts", Reg: "h102:float32"},
			{Name: "burner", Reg: "c4", Write: &modbus.Write{}},
		},
	}
}

func TestRegisterToMessageAndBack(t *testing.T) {
	memory := plc()
	srv := &server.Server{Units: map[byte]server.Bank{1: memory}}
	addr, stop := serve(t, srv, "127.0.0.1:0")
	device := boiler("plc")
	device.Computed = []modbus.Computed{{Name: "hot", Expr: "temp > 75 and burner"}}
	b, s := run(t, []modbus.Bus{{Name: "plc", TCP: addr, Timeout: conf.Duration(2 * time.Second)}}, []modbus.Device{device})
	for topic, want := range map[string]string{"temp": "71.4", "setpoint": "72.5", "volts": "233.18", "burner": "true", "hot": "false"} {
		waitFor(t, topic, func() bool { return b.value("gw/boiler/"+topic) == want })
	}
	memory.Set(server.Holdings, 100, 801)
	waitFor(t, "the change", func() bool { return b.value("gw/boiler/temp") == "80.1" && b.value("gw/boiler/hot") == "true" })

	publish := func(topic, payload string) {
		if err := b.Publish(t.Context(), mqtt.Message{Topic: topic, Payload: []byte(payload), Stamp: clock.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	publish("gw/boiler/setpoint/set", `{"value":80.5,"id":"a1"}`)
	waitFor(t, "the result", func() bool { return b.payload("gw/boiler/setpoint/set/result") != "" })
	var result struct {
		ID, Status      string
		Value, ReadBack float64
	}
	if err := json.Unmarshal([]byte(b.payload("gw/boiler/setpoint/set/result")), &result); err != nil || result.ID != "a1" || result.Status != "ok" || result.ReadBack != 80.5 {
		t.Errorf("%s (%v)", b.payload("gw/boiler/setpoint/set/result"), err)
	}
	if got := memory.Get(server.Holdings, 101); got != 805 {
		t.Errorf("the register holds %d", got)
	}
	waitFor(t, "the new setpoint", func() bool { return b.value("gw/boiler/setpoint") == "80.5" })
	publish("gw/boiler/burner/set", "OFF")
	waitFor(t, "the coil", func() bool { return memory.Get(server.Coils, 4) == 0 && b.value("gw/boiler/burner") == "false" })

	stop() // the device goes away, and comes back at the same address
	waitFor(t, "bad values", func() bool { return b.payload("fieldgate/gw/device/boiler/status") == "offline" })
	if got := b.value("gw/boiler/temp"); got != "port" && got != "timeout" {
		t.Errorf("temp is %s", got)
	}
	serve(t, srv, addr)
	waitFor(t, "the device to be back", func() bool {
		return b.value("gw/boiler/temp") == "80.1" && b.payload("fieldgate/gw/device/boiler/status") == "online"
	})
	if st := s.Stats(); len(st) != 1 || st[0].Reconnects == 0 || !st[0].Open || st[0].Devices[0].State != "online" || st[0].Devices[0].Writes != 2 {
		t.Errorf("%+v", st)
	}
}

func TestSerialLineWithADeadUnit(t *testing.T) {
	line := porttest.New(t)
	units := map[byte]server.Bank{}
	for unit := range byte(3) {
		m := &server.Memory{}
		m.Set(server.Inputs, 0, 0x4369, 0x2E14, uint16(unit))
		units[unit+1] = m
	}
	delete(units, 2)
	srv := &server.Server{Units: units}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.ServeRTU(ctx, line) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	var devices []modbus.Device
	for unit := 1; unit <= 3; unit++ {
		devices = append(devices, modbus.Device{
			Name: fmt.Sprint("meter", unit), Bus: "rs485", Unit: unit, Poll: modbus.Poll(100 * time.Millisecond),
			Tags: []modbus.Tag{{Name: "volts", Reg: "i0:float32", Round: ptr(1)}, {Name: "id", Reg: "i2"}},
		})
	}
	b, s := run(t, []modbus.Bus{{Name: "rs485", Port: line.Path(), Baud: 115200, Timeout: conf.Duration(500 * time.Millisecond)}}, devices)
	waitFor(t, "the living", func() bool {
		return b.value("gw/meter1/volts") == "233.2" && b.value("gw/meter3/volts") == "233.2" && b.value("gw/meter3/id") == "2"
	})
	waitFor(t, "the dead", func() bool {
		return b.payload("fieldgate/gw/device/meter2/status") == "offline" && b.value("gw/meter2/volts") == "timeout"
	})
	polls := func() uint64 { return s.Stats()[0].Devices[0].Polls }
	before := polls()
	waitFor(t, "more polls", func() bool { return polls() > before+5 })

	// A command looks at a register without stopping the service.
	driver, ok := s.Driver("rs485")
	if !ok {
		t.Fatal("no driver")
	}
	r, err := modbus.ParseReg("i0:float32", modbus.Order{})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "an undisturbed read", func() bool {
		got, err := modbus.ReadOnce(t.Context(), driver.(*modbus.Driver), 1, r)
		return err == nil && got.Values[0].Value.String() == "233.18" && got.Requests == 1
	})
}

// TestSeveralRequestsUnderWay polls a device over a real connection with four
// requests at a time, while it is written to.
func TestSeveralRequestsUnderWay(t *testing.T) {
	memory := &server.Memory{}
	device := modbus.Device{Name: "plc", Bus: "plc", Unit: 1, Poll: modbus.Poll(50 * time.Millisecond), MaxGap: 0}
	for i := range 8 {
		memory.Set(server.Holdings, 100*i, uint16(1000+i))
		device.Tags = append(device.Tags, modbus.Tag{Name: fmt.Sprint("t", i), Reg: fmt.Sprint("h", 100*i), Write: &modbus.Write{}})
	}
	addr, _ := serve(t, &server.Server{Units: map[byte]server.Bank{1: memory}}, "127.0.0.1:0")
	b, s := run(t, []modbus.Bus{{Name: "plc", TCP: addr, Timeout: conf.Duration(5 * time.Second), MaxInFlight: 4}}, []modbus.Device{device})
	for i := range 8 {
		waitFor(t, fmt.Sprint("t", i), func() bool { return b.value(fmt.Sprint("gw/plc/t", i)) == fmt.Sprint(1000+i) })
	}
	for n := range 20 {
		tag := fmt.Sprint("t", n%8)
		want := fmt.Sprint(2000 + n)
		if err := b.Publish(t.Context(), mqtt.Message{Topic: "gw/plc/" + tag + "/set", Payload: []byte(want), Stamp: clock.Now()}); err != nil {
			t.Fatal(err)
		}
		waitFor(t, tag+" = "+want, func() bool { return b.value("gw/plc/"+tag) == want })
	}
	if st := s.Stats(); len(st) != 1 || st[0].Devices[0].Writes != 20 || st[0].Devices[0].State != "online" || len(st[0].Errors) != 0 {
		t.Errorf("%+v", st)
	}
}
