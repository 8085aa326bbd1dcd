package broker

import (
	"fmt"
	"strings"

	"fieldgate/mqtt"
)

// identity is who a client is, as far as rights are concerned.
type identity struct {
	user   string // empty: anonymous
	client string
	local  bool // came over loopback or a Unix socket: allowed where no rule speaks
	cert   bool // the user name is a certificate's
}

// access is a right.
type access uint8

const (
	accessRead access = 1 << iota
	accessWrite
)

// rule is one "read FILTER" of an [[broker.acl]] section.
type rule struct {
	deny   bool
	access access
	filter string
	user   bool // the filter holds %u
	client bool // the filter holds %c
}

type ruleSet struct {
	user  string
	rules []rule
}

// acl holds the rules of the file. The first set whose user matches decides;
// inside a set a deny is stronger than an allow, and nothing is allowed that
// is not named. Where no set matches, local clients may do everything and all
// others nothing. The zero acl has no sets.
type acl struct{ sets []ruleSet }

func newACL(sections []ACL) (*acl, error) {
	a := &acl{}
	for i, s := range sections {
		set := ruleSet{user: s.User}
		if s.User == "" {
			return nil, fmt.Errorf(`acl[%d]: no user; name one, or "*" for every user, or "anonymous"`, i)
		}
		for j, text := range s.Allow {
			r, err := parseRule(text)
			if err != nil {
				return nil, fmt.Errorf("acl[%d].allow[%d]: %w", i, j, err)
			}
			set.rules = append(set.rules, r)
		}
		a.sets = append(a.sets, set)
	}
	return a, nil
}

// parseRule reads "read FILTER", "write FILTER", "readwrite FILTER" or "deny
// FILTER". %u and %c stand for the user name and the client id and must fill
// a whole level: as part of one they would let a name reach into others.
func parseRule(text string) (rule, error) {
	word, filter, _ := strings.Cut(strings.TrimSpace(text), " ")
	r := rule{filter: strings.TrimSpace(filter)}
	switch word {
	case "read":
		r.access = accessRead
	case "write":
		r.access = accessWrite
	case "readwrite":
		r.access = accessRead | accessWrite
	case "deny":
		r.deny, r.access = true, accessRead|accessWrite
	default:
		return rule{}, fmt.Errorf(`%q is not a rule; write "read FILTER", "write FILTER", "readwrite FILTER" or "deny FILTER"`, text)
	}
	if err := mqtt.CheckFilter(r.filter); err != nil {
		return rule{}, fmt.Errorf("rule %q: %w", text, err)
	}
	for level := range strings.SplitSeq(r.filter, "/") {
		switch {
		case level == "%u":
			r.user = true
		case level == "%c":
			r.client = true
		case strings.Contains(level, "%u") || strings.Contains(level, "%c"):
			return rule{}, fmt.Errorf("rule %q: %%u and %%c must fill a whole level", text)
		}
	}
	return r, nil
}

// filterFor is the rule's filter with the client's names in it; ok is false
// where a name could not stand as one level of a topic, and then an allowing
// rule does not apply and a denying one applies to everything under it.
func (r *rule) filterFor(who identity) (filter string, ok bool) {
	if !r.user && !r.client {
		return r.filter, true
	}
	if r.user && !plainLevel(who.user) || r.client && !plainLevel(who.client) {
		return "", false
	}
	levels := strings.Split(r.filter, "/")
	for i, l := range levels {
		switch l {
		case "%u":
			levels[i] = who.user
		case "%c":
			levels[i] = who.client
		}
	}
	return strings.Join(levels, "/"), true
}

// plainLevel reports whether a name can be one level of a topic, and nothing more.
func plainLevel(name string) bool { return name != "" && !strings.ContainsAny(name, "+#/\x00") }

// set finds the rules for a client.
func (a *acl) set(who identity) *ruleSet {
	for i := range a.sets {
		switch u := a.sets[i].user; {
		case u == "*" && who.user != "", u == who.user && who.user != "", u == "anonymous" && who.user == "":
			return &a.sets[i]
		}
	}
	return nil
}

// allowed reports whether a client may read or write a topic name.
func (a *acl) allowed(who identity, want access, topic string) bool {
	set := a.set(who)
	if set == nil {
		return who.local
	}
	ok := false
	for i := range set.rules {
		r := &set.rules[i]
		if r.access&want == 0 {
			continue
		}
		filter, plain := r.filterFor(who)
		switch {
		case r.deny && (!plain || mqtt.Match(filter, topic)):
			return false
		case plain && mqtt.Match(filter, topic):
			ok = true
		}
	}
	return ok
}

// subscribable reports whether a client may subscribe to a filter: some topic
// that it may read lies under it, and no deny covers it whole. What it may
// not read of the rest is held back at delivery.
func (a *acl) subscribable(who identity, filter string) bool {
	set := a.set(who)
	if set == nil {
		return who.local
	}
	ok := false
	for i := range set.rules {
		r := &set.rules[i]
		if r.access&accessRead == 0 {
			continue
		}
		f, plain := r.filterFor(who)
		switch {
		case r.deny && (!plain || mqtt.Covers(f, filter)):
			return false
		case !r.deny && plain && mqtt.Overlap(f, filter):
			ok = true
		}
	}
	return ok
}

// publisher is who a retained message remembers.
func (who identity) publisher() *mqtt.Publisher {
	return &mqtt.Publisher{User: who.user, Local: who.local, Cert: who.cert}
}

// stands reports whether a retained message may still be given to somebody:
// its publisher's user is there and has the right to write its topic
// (CVE-2018-12546 is a broker that does not ask).
func (b *Broker) stands(m *mqtt.Message) bool {
	from := m.From
	if from == nil {
		return true
	}
	if from.User != "" && !from.Cert && !b.users.Load().has(from.User) {
		return false
	}
	return b.acl.Load().allowed(identity{user: from.User, client: m.Origin, local: from.Local}, accessWrite, m.Topic)
}
