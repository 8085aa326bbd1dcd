package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"fieldgate/drivers/sim"
)

func TestParseUnits(t *testing.T) {
	got, err := parseUnits("1-3,100")
	if err != nil || !bytes.Equal(got, []byte{1, 2, 3, 100}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "0", "3-1", "256", "a", "1-"} {
		if _, err := parseUnits(bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

// TestScan finds the simulated devices over a socket and a pseudo-terminal,
// and only them.
func TestScan(t *testing.T) {
	plant, err := sim.New(sim.Config{PLC: []sim.PLCConfig{{Unit: 7}}, Meter: []sim.MeterConfig{{Unit: 3}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- plant.Run(ctx, func() { close(ready) }) }()
	defer func() { stop(); <-ended }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	plc, meter := plant.Devices()[0].(*sim.PLC), plant.Devices()[1].(*sim.Meter)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"tcp", plc.Addr(), "--units", "6-8"}, `"unit":7,`},
		{[]string{"rtu", meter.Path(), "--units", "2-4", "--baud", "9600", "--mode", "8N1"}, `"unit":3,"baud":9600,"mode":"8N1"`},
	} {
		var out, errOut bytes.Buffer
		args := append([]string{"scan", "--json", "--timeout", "2s", "--socket", t.TempDir() + "/none"}, c.args...)
		code := Main(args, strings.NewReader(""), &out, &errOut)
		if code != 0 || !strings.Contains(out.String(), c.want) || strings.Count(out.String(), `"unit":`) != 1 {
			t.Errorf("%v: exit code %d\n%s%s", c.args, code, out.String(), errOut.String())
		}
	}
}
