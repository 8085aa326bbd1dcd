package broker

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"fieldgate/scripts/peertest"
)

// MQTT.js, which browsers and Node-RED use, over TCP and WebSocket, in each version.
func TestMQTTjs(t *testing.T) {
	t.Parallel()
	node, modules := peertest.Need(t, "node"), peertest.NodeModules(t, "mqtt")
	s := start(t, Config{Listener: []Listener{
		{Name: "tcp", Bind: "127.0.0.1:0", AllowAnonymous: true},
		{Name: "ws", Bind: "127.0.0.2:0", AllowAnonymous: true, WebSocket: &WebSocket{}},
	}}, nil)
	for _, url := range []string{"mqtt://" + s.Addr("tcp").String(), "ws://" + s.Addr("ws").String() + "/mqtt"} {
		for _, v := range versions {
			t.Run(fmt.Sprintf("%.4s %d", url, v), func(t *testing.T) {
				got, err := exec.Command(node, "testdata/mqttjs.js", modules, url, fmt.Sprint(v)).CombinedOutput()
				if err != nil || strings.TrimSpace(string(got)) != "ok" {
					t.Errorf("%v\n%.3000s", err, got)
				}
			})
		}
	}
}
