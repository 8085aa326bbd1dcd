package conformance

import (
	"fmt"
	"testing"
	"time"
)

// statement is a normative statement, or several that say the same thing in
// the two specifications.
type statement struct {
	v311, v5 string // the numbers, without "MQTT-"; several with spaces between
	says     string // what it asks for, in our words
	script   string // for a broker; see run
	limited  bool   // the broker is one that offers less: QoS 1, nothing retained
	client   string // a script for our client; see clientRun
	not      string // why packets cannot show it, or which test elsewhere does
}

// chapters are all statements in order.
var chapters = [][]statement{
	chapter1, chapter2, connectStatements, connackStatements, publishStatements, ackStatements, subscribeStatements,
	unsubscribeStatements, pingStatements, disconnectStatements, authStatements, chapter4, topicStatements, chapter6,
}

// version is a specification that a statement stands in.
type version struct {
	name string
	v5   bool
}

var versions = []version{{"3.1.1", false}, {"5.0", true}}

func (s *statement) number(v version) string {
	if v.v5 {
		return s.v5
	}
	return s.v311
}

func (s *statement) name(v version) string {
	return fmt.Sprintf("[MQTT-%s] %s", s.number(v), s.says)
}

// each calls do for every statement of a version.
func each(v version, do func(s *statement)) {
	for _, c := range chapters {
		for i := range c {
			if c[i].number(v) != "" {
				do(&c[i])
			}
		}
	}
}

// generous is how long what must come may take on a loaded machine.
const generous = 30 * time.Second

// TestBroker holds our broker to every statement.
func TestBroker(t *testing.T) {
	full, limited := ourBroker(t, false), ourBroker(t, true)
	for _, v := range versions {
		each(v, func(s *statement) {
			if s.script == "" {
				return
			}
			t.Run(v.name+"/"+s.name(v), func(t *testing.T) {
				t.Parallel()
				addr := full
				if s.limited {
					addr = limited
				}
				if err := newRun(addr, v.v5, true, generous).do(s.script); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestMosquitto runs the same packets against mosquitto, for a second opinion.
// Where it is of another, that must be known, and still be so.
func TestMosquitto(t *testing.T) {
	full, limited := mosquitto(t, false), mosquitto(t, true)
	for _, v := range versions {
		each(v, func(s *statement) {
			if s.script == "" {
				return
			}
			t.Run(v.name+"/"+s.name(v), func(t *testing.T) {
				t.Parallel()
				addr, patience := full, generous
				if s.limited {
					addr = limited
				}
				why, known := differences[v.name+" "+s.number(v)]
				if known {
					patience = 3 * time.Second
				}
				err := newRun(addr, v.v5, false, patience).do(s.script)
				switch {
				case err != nil && !known:
					t.Errorf("mosquitto differs, and differences does not say so: %v", err)
				case err == nil && known && debian:
					t.Errorf("mosquitto does not differ any more, but differences says: %s", why)
				}
			})
		})
	}
}

// TestNumbers checks that every statement has one row, and what it asks of it.
func TestNumbers(t *testing.T) {
	for _, v := range versions {
		seen := map[string]bool{}
		each(v, func(s *statement) {
			// A statement for both ends has a row for each.
			if end := s.number(v) + map[bool]string{true: " client"}[s.client != ""]; seen[end] {
				t.Errorf("%s %s stands twice", v.name, s.number(v))
			} else {
				seen[end] = true
			}
			ways := 0
			for _, w := range []string{s.script, s.client, s.not} {
				if w != "" {
					ways++
				}
			}
			if ways != 1 {
				t.Errorf("%s: %d of script, client and not are set, want 1", s.name(v), ways)
			}
		})
		for key := range differences {
			if n := key[len(v.name)+1:]; key[:len(v.name)+1] == v.name+" " && !seen[n] {
				t.Errorf("differences has %s, which is no statement", key)
			}
		}
	}
}
