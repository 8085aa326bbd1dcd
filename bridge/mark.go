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

// mark are the properties that name the message for receivers, after what the
// message has of its own.
func (r *route) mark(own []mqtt.UserProperty, props *mqtt.Properties, entries []buffer.Entry) []mqtt.UserProperty {
	all := make([]mqtt.UserProperty, len(own), len(own)+3)
	copy(all, own)
	name := r.gateway + "/" + strconv.FormatUint(uint64(entries[0].Epoch), 10) + "/" + numbers(entries)
	all = append(all, mqtt.UserProperty{Name: propMark, Value: name})
	if props == nil || len(props.User) == 0 {
		return all
	}
	if hops := hopsOf(props.User); hops > 0 {
		all = append(all,
			mqtt.UserProperty{Name: propOrigin, Value: orText(originOf(props.User), r.gateway)},
			mqtt.UserProperty{Name: propHops, Value: strconv.Itoa(hops + 1)})
	}
	return all
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
