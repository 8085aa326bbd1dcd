package outages

import (
	"testing"

	"fieldgate/bridge"
	"fieldgate/bridge/clusters/rabbitmq"
	"fieldgate/mqtt"
)

// rabbit is a RabbitMQ node as an upstream: MQTT 3.1.1, and what it has
// acknowledged for the consumer's queue is on its disk.
type rabbit struct{ *rabbitmq.Node }

func newRabbit(t *testing.T, s *site) rabbit {
	t.Helper()
	r := rabbit{rabbitmq.New(t, rabbitmq.Place{Command: s.space.Command, Address: s.aside.Far()}, "far").Nodes[0]}
	r.start()
	return r
}

func (r rabbit) start() {
	r.Start()
	r.Ready()
}
func (r rabbit) kill()                 { r.Kill() }
func (r rabbit) port() int             { return r.Port() }
func (r rabbit) aside() int            { return r.Port() }
func (r rabbit) version() mqtt.Version { return mqtt.V311 }
func (r rabbit) lasting() bool         { return true }

// TestFaultsRabbit: the same with RabbitMQ in the role of the upstream. Starting
// it takes the longest, so in the short form it only loses its link.
func TestFaultsRabbit(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	up := newRabbit(t, s)
	w := newWorld(t, s, up, bridge.Config{Drain: strict})
	w.gateway.run()
	for _, f := range faults() {
		if !long() && f.name != "reset" && f.name != "short silence" {
			continue
		}
		f.happen(t, w)
	}
	w.settle(t)
}
