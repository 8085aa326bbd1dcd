package bridge

import (
	"fmt"

	"fieldgate/configs/conf"
)

// Lint finds upstreams that throw each other out. Keys are paths from the top.
func Lint(all []Config, bad conf.Bad) {
	for i, a := range all {
		for j, b := range all {
			if i == j || a.Disabled || b.Disabled {
				continue
			}
			broker := sharedBroker(a, b)
			if broker == "" {
				continue
			}
			at := bad.Under(fmt.Sprintf("upstream[%d]", i))
			if j < i && a.ID() != b.ID() && fill(orText(a.ClientID, DefaultClientID), "gateway") == fill(orText(b.ClientID, DefaultClientID), "gateway") {
				at(conf.Problem{Key: "client_id", Code: "W0808",
					Text: fmt.Sprintf("%s logs in to %s with the same client id as %s: they throw each other out", a.ID(), broker, b.ID()),
					Help: fmt.Sprintf("write client_id = %q", "{gateway}-"+a.ID()), Part: a.ClientID})
			}
		}
	}
}

// sharedBroker is an address that both upstreams know, or empty.
func sharedBroker(a, b Config) string {
	for _, x := range a.urls() {
		for _, y := range b.urls() {
			u, err := parseURL(x)
			v, err2 := parseURL(y)
			if err == nil && err2 == nil && u.Host == v.Host {
				return u.Host
			}
		}
	}
	return ""
}
