package configs

import "testing"

func TestLoadSmall(t *testing.T) {
	f, r := LoadText("fieldgate.toml", `
[[bus]]
name = "plc"
tcp  = "192.168.10.20:502"

[[device]]
name = "boiler"
bus  = "plc"
tags = [
  { name = "water_temp", reg = "h100:int16", scale = 0.1, unit = "°C" },
]

[[upstream]]
url = "mqtts://mqtt.example.com:8883"
`, Options{SkipFiles: true})
	if !r.OK() {
		t.Fatal(r.Err())
	}
	if f.Device[0].Tags[0].Reg != "h100:int16" || *f.Device[0].Tags[0].Scale != 0.1 || f.Upstream[0].URL != "mqtts://mqtt.example.com:8883" {
		t.Fatalf("%+v", f)
	}
	if f.Web.Address() != "127.0.0.1:8080" || f.Log.Level != "info" || f.Gateway.ID == "" {
		t.Fatalf("defaults: %+v", f)
	}
}
