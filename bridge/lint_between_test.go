package bridge

import (
	"slices"
	"testing"

	"fieldgate/configs/conf"
)

func TestLintBetween(t *testing.T) {
	for name, c := range map[string]struct {
		all  []Config
		want []string
	}{
		"one id on one broker": {[]Config{{URL: "mqtt://h"}, {Name: "b", URLs: []string{"mqtt://x", "mqtt://h:1883"}}}, []string{"W0808 upstream[1].client_id"}},
		"an id each":           {[]Config{{URL: "mqtt://h"}, {Name: "b", URL: "mqtt://h", ClientID: "{gateway}-b"}}, nil},
		"two brokers":          {[]Config{{URL: "mqtt://h"}, {URL: "mqtt://i"}}, nil},
		"one name":             {[]Config{{URL: "mqtt://h"}, {URL: "mqtt://h"}}, nil}, // E0302 says so
		"another port":         {[]Config{{URL: "mqtt://h"}, {Name: "b", URL: "mqtt://h:1884"}}, nil},
		"one is off":           {[]Config{{URL: "mqtt://h"}, {Name: "b", URL: "mqtt://h", Disabled: true}}, nil},
	} {
		var got []string
		Lint(c.all, func(p conf.Problem) { got = append(got, p.Code+" "+p.Key) })
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
