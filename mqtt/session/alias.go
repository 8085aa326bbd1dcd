package session

import (
	"fmt"

	"fieldgate/mqtt"
)

// AliasIn resolves the topic aliases of a peer (MQTT 5.0 §3.3.2.3.4), for one
// connection. Aliases above the announced maximum are refused.
type AliasIn struct {
	max    uint16
	topics []string // by alias - 1; grows with use
}

// NewAliasIn returns a resolver for a peer that may use aliases up to max.
func NewAliasIn(max uint16) *AliasIn { return &AliasIn{max: max} }

// Check reports whether the peer may use an alias.
func (a *AliasIn) Check(alias uint16) error {
	if alias == 0 || alias > a.max {
		return fmt.Errorf("topic alias %d, the most is %d: %w", alias, a.max, mqtt.TopicAliasInvalid)
	}
	return nil
}

// Resolve returns the topic of a PUBLISH that carries an alias: an empty topic
// is looked up, another one is what the alias means from now on.
func (a *AliasIn) Resolve(alias uint16, topic string) (string, error) {
	if err := a.Check(alias); err != nil {
		return "", err
	}
	if topic != "" {
		for len(a.topics) < int(alias) {
			a.topics = append(a.topics, "")
		}
		a.topics[alias-1] = topic
		return topic, nil
	}
	if int(alias) > len(a.topics) || a.topics[alias-1] == "" {
		return "", fmt.Errorf("topic alias %d has no topic yet: %w", alias, mqtt.ProtocolError)
	}
	return a.topics[alias-1], nil
}

// AliasOut gives topics their aliases, for one connection.
//
// Topics get an alias as they come. When all are taken, a new topic gets the
// alias that has rested longest, but only if it has rested for long: where
// more topics go round than there are aliases, changing them with each message
// would cost bytes and save none.
type AliasOut struct {
	max    int
	byName map[string]*alias
	list   []*alias
	clock  uint64 // counts messages
}

type alias struct {
	topic string
	n     uint16
	used  uint64
}

// restFactor times the number of aliases is how many messages an alias must
// have rested before another topic gets it.
const restFactor = 4

// NewAliasOut returns an AliasOut that uses at most max aliases.
func NewAliasOut(max uint16) *AliasOut {
	return &AliasOut{max: int(max), byName: map[string]*alias{}}
}

// Alias returns the alias to send with a topic, 0 for none, and whether the
// peer knows it already, so that the topic itself is left out. The PUBLISH
// must then be written before that of the next call.
func (a *AliasOut) Alias(topic string) (n uint16, known bool) {
	if a.max == 0 {
		return 0, false
	}
	a.clock++
	x := a.byName[topic]
	if x != nil {
		x.used = a.clock
		return x.n, true
	}
	if len(a.list) < a.max {
		x = &alias{n: uint16(len(a.list) + 1)}
		a.list = append(a.list, x)
	} else if x = a.rested(); x == nil {
		return 0, false
	}
	delete(a.byName, x.topic)
	x.topic, x.used = topic, a.clock
	a.byName[topic] = x
	return x.n, false
}

// rested looks through all aliases, which are few, for one to give away.
func (a *AliasOut) rested() *alias {
	oldest := a.list[0]
	for _, x := range a.list {
		if x.used < oldest.used {
			oldest = x
		}
	}
	if a.clock-oldest.used <= uint64(restFactor*a.max) {
		return nil
	}
	return oldest
}

// Forget takes a topic's alias back, after a PUBLISH that was not written.
func (a *AliasOut) Forget(topic string) {
	if x := a.byName[topic]; x != nil {
		delete(a.byName, topic)
		x.topic, x.used = "", 0
	}
}
