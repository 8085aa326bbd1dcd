package conformance

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
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

// TestNoStatementIsLeftOut: the specifications number the statements of a
// section from 1 on, so a gap is one that was forgotten.
func TestNoStatementIsLeftOut(t *testing.T) {
	absent := map[string]bool{"5.0 2.2.1-1": true} // the specification begins with 2
	// A number that 3.1.1 misspells, and a section that forbids something and has none.
	odd := map[string]bool{"3-8.3-4": true, "3.14.2.2.2": true}
	for _, v := range versions {
		there, last := map[string]bool{}, map[string]int{}
		each(v, func(s *statement) {
			for _, number := range strings.Fields(s.number(v)) {
				if odd[number] {
					continue
				}
				section, n, _ := strings.Cut(number, "-")
				i, err := strconv.Atoi(n)
				if err != nil {
					t.Errorf("%s is no number", number)
				}
				there[number], last[section] = true, max(last[section], i)
			}
		})
		for section, most := range last {
			for i := range most {
				if n := fmt.Sprintf("%s-%d", section, i+1); !there[n] && !absent[v.name+" "+n] {
					t.Errorf("%s: MQTT-%s is left out", v.name, n)
				}
			}
		}
	}
}

// TestOtherTestsAreThere: a row that names a test elsewhere names one that is there.
func TestOtherTestsAreThere(t *testing.T) {
	defined := map[string]bool{}
	for _, pattern := range []string{"../*/*_test.go", "../*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(text), -1) {
				defined[m[1]] = true
			}
		}
	}
	named := 0
	for _, v := range versions {
		each(v, func(s *statement) {
			for _, name := range regexp.MustCompile(`Test[A-Z]\w+`).FindAllString(s.not, -1) {
				if named++; !defined[name] {
					t.Errorf("%s names %s, which is nowhere", s.name(v), name)
				}
			}
		})
	}
	if named == 0 {
		t.Error("no row names a test")
	}
}
