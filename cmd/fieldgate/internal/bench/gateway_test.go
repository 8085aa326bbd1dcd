package bench

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/BurntSushi/toml"

	"fieldgate/configs"
	"fieldgate/configs/conf"
	"fieldgate/drivers/modbus/server"
	"fieldgate/drivers/sim"
)

// TestConfigurations has what the children are given accepted by those who
// read it.
func TestConfigurations(t *testing.T) {
	p := plant{devices: 2, tags: 3, addresses: []string{"127.0.0.1:1", "127.0.0.1:2"}}
	var s sim.Config
	if meta, err := toml.Decode(p.simulation(), &s); err != nil || len(meta.Undecoded()) > 0 {
		t.Fatalf("simulation: %v, unknown %v", err, meta.Undecoded())
	}
	s.Validate(func(p conf.Problem) { t.Errorf("simulation: %s %s", p.Key, p.Text) })
	if len(s.PLC) != 2 || len(s.PLC[0].Points) != 3 {
		t.Errorf("simulation: %+v", s)
	}
	r, err := newRig(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	for name, text := range map[string]string{
		"gateway": gatewayConfig(r.dir, "127.0.0.1:3", "127.0.0.1:4") + p.devicesConfig(),
		"broker":  brokerConfig(r.dir, "127.0.0.1:3", true, 1000),
	} {
		path, err := r.file(name+".toml", text)
		if err != nil {
			t.Fatal(err)
		}
		file, report := configs.Load(path, configs.Options{})
		if file == nil || !report.OK() {
			t.Errorf("%s: %+v", name, report.Err())
		}
	}
}

func TestProbe(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	p, err := startProbe(ctx, &wg, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	other := &probe{}
	if first, all := polledAfter(time.Now(), []*probe{p, other}); first != 0 || all != 0 {
		t.Errorf("nobody asked: %v, %v", first, all)
	}
	began := time.Now()
	n := p.change()
	if changed, told := p.times(n); changed.Before(began) || !told.IsZero() {
		t.Errorf("changed %v, told %v", changed, told)
	}
	values, err := p.ReadRegisters(server.Holdings, 0, 2)
	if err != nil || len(values) != 2 || values[1] != n {
		t.Fatalf("%v, %v; want twice %d", values, err, n)
	}
	changed, told := p.times(n)
	if told.Before(changed) {
		t.Errorf("told %v before it changed %v", told, changed)
	}
	if first, all := polledAfter(began, []*probe{p}); first <= 0 || first != all {
		t.Errorf("asked after %v, %v", first, all)
	}
}
