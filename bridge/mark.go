package bridge

import (
	"strconv"
	"strings"

	"fieldgate/buffer"
	"fieldgate/mqtt"
	"fieldgate/mqtt/encode"
)

// The user properties (MQTT 5) that go with messages up. Every byte of them
// goes with every message over every link, so the mark is one property. A
// message that came from another gateway names it, and how many it has passed;
// without these two it comes from the gateway of the mark.
const (
	propMark   = "gw"        // "GATEWAY/EPOCH/SEQ", of a batch "plant7-gw01/3/17-59,61"
	propOrigin = "gw-origin" // the first gateway
	propHops   = "gw-hops"   // how many gateways
)

// maxHops is how many gateways a message may pass.
const maxHops = 3

// letter is where a sender writes one message after another: what it holds is
// good until the next.
type letter struct {
	props mqtt.Properties
	user  []mqtt.UserProperty
	epoch uint32
	run   string // "GATEWAY/EPOCH/", of epoch; empty: not known yet
}

// mark adds to l the properties that name the message for receivers, after what
// the message has of its own.
func (r *route) mark(l *letter, props *mqtt.Properties, entries []buffer.Entry) {
	if l.run == "" || l.epoch != entries[0].Epoch {
		l.epoch = entries[0].Epoch
		l.run = r.gateway + "/" + strconv.FormatUint(uint64(l.epoch), 10) + "/"
	}
	l.user = append(append(l.user[:0], l.props.User...), mqtt.UserProperty{Name: propMark, Value: l.run + numbers(entries)})
	if props != nil && len(props.User) > 0 {
		if hops := hopsOf(props.User); hops > 0 {
			l.user = append(l.user,
				mqtt.UserProperty{Name: propOrigin, Value: orText(originOf(props.User), r.gateway)},
				mqtt.UserProperty{Name: propHops, Value: strconv.Itoa(hops + 1)})
		}
	}
	l.props.User = l.user
}

// numbers are the seqs of a message or batch.
func numbers(entries []buffer.Entry) string {
	if len(entries) == 1 {
		return strconv.FormatUint(entries[0].Seq, 10)
	}
	items := make([]encode.Item, len(entries))
	for i := range entries {
		items[i].Seq = entries[i].Seq
	}
	return encode.Seqs(items)
}

// foreign are the user properties that are not the bridge's own.
func foreign(user []mqtt.UserProperty) []mqtt.UserProperty {
	var out []mqtt.UserProperty
	for _, u := range user {
		switch u.Name {
		case propMark, propOrigin, propHops, propRefusedBy, propRefusedWhy:
		default:
			out = append(out, u)
		}
	}
	return out
}

func userProperty(user []mqtt.UserProperty, name string) string {
	for _, u := range user {
		if u.Name == name {
			return u.Value
		}
	}
	return ""
}

// originOf is the gateway that the message came from first; empty: none.
func originOf(user []mqtt.UserProperty) string {
	if origin := userProperty(user, propOrigin); origin != "" {
		return origin
	}
	gateway, _, _ := cutMark(userProperty(user, propMark))
	return gateway
}

// cutMark takes a mark apart. A gateway's id may hold any character, the
// numbers after it no slash.
func cutMark(mark string) (gateway, epoch, seq string) {
	i := strings.LastIndexByte(mark, '/')
	j := strings.LastIndexByte(mark[:max(i, 0)], '/')
	if j < 0 {
		return "", "", ""
	}
	return mark[:j], mark[j+1 : i], mark[i+1:]
}

// hopsOf is how many gateways the message has passed.
func hopsOf(user []mqtt.UserProperty) int {
	n, err := strconv.Atoi(userProperty(user, propHops))
	if err == nil && n > 0 {
		return n
	}
	if originOf(user) != "" {
		return 1
	}
	return 0
}
