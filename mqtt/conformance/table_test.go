package conformance

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write mqtt/CONFORMANCE.md")

const tablePath = "../CONFORMANCE.md"

const tableHead = `# Conformance to MQTT

Generated from the names of the tests in mqtt/conformance; to write it anew:
` + "`go test ./mqtt/conformance -run TestTable -update`" + `.

Every normative statement is in our words. *broker* is a script of raw packets against our broker's real listener, run as
well against Debian's mosquitto; *client* a scripted broker for our client; other rows say what else shows it, or why
nothing can. The last column is what mosquitto 2.0.11 does differently, and who is right.
`

// TestTable checks that CONFORMANCE.md says what the tests do.
func TestTable(t *testing.T) {
	var b strings.Builder
	b.WriteString(tableHead)
	for _, v := range versions {
		broker, client, other := 0, 0, 0
		var rows strings.Builder
		each(v, func(s *statement) {
			how := s.not
			switch {
			case s.script != "":
				how = "broker"
				broker++
			case s.client != "":
				how = "client"
				client++
			default:
				other++
			}
			differs := ""
			if s.script != "" {
				differs = differences[v.name+" "+s.number(v)]
			}
			fmt.Fprintf(&rows, "| MQTT-%s | %s | %s | %s |\n", s.number(v), s.says, how, differs)
		})
		fmt.Fprintf(&b, "\n## MQTT %s\n\n%d rows: %d hold the broker, %d the client, %d are shown otherwise or not at all.\n\n", v.name, broker+client+other, broker, client, other)
		b.WriteString("| statement | says | held by | mosquitto differs |\n|---|---|---|---|\n" + rows.String())
	}
	if *update {
		if err := os.WriteFile(tablePath, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	is, err := os.ReadFile(tablePath)
	if err != nil {
		t.Fatal(err)
	}
	if string(is) != b.String() {
		t.Error("mqtt/CONFORMANCE.md is not what the tests say; run go test ./mqtt/conformance -run TestTable -update")
	}
}
