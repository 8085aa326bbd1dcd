package broker

import (
	"strings"
	"sync"
	"sync/atomic"

	"fieldgate/mqtt"
)

// subscription is one filter of a session, as the tree holds it. It is never
// changed once it is in the tree; a new one takes its place.
type subscription struct {
	mqtt.Subscription
	session *session
	share   string // the name of its share, empty for a plain subscription
	filter  string // without "$share/NAME/"
}

// tree holds all subscriptions by the levels of their filters. Connections
// remember what they found in it (see routes); every change raises gen, which
// makes them look again.
type tree struct {
	gen atomic.Uint64

	mu     sync.RWMutex
	root   treeNode
	count  int // subscriptions, shared ones included
	shared int
}

type treeNode struct {
	children map[string]*treeNode // "+" and "#" among them
	subs     []*subscription
	groups   map[string]*shareGroup
}

// shareGroup is the members of one share on one filter.
type shareGroup struct {
	next    atomic.Uint32 // whose turn it is
	members []*subscription
}

func (n *treeNode) empty() bool {
	return len(n.children) == 0 && len(n.subs) == 0 && len(n.groups) == 0
}

// add puts a subscription in, or in the place of the session's former one on
// the same filter; replaced tells which.
func (t *tree) add(sub *subscription) (replaced bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := &t.root
	for level := range strings.SplitSeq(sub.filter, "/") {
		child := n.children[level]
		if child == nil {
			if n.children == nil {
				n.children = map[string]*treeNode{}
			}
			child = &treeNode{}
			n.children[level] = child
		}
		n = child
	}
	list := &n.subs
	if sub.share != "" {
		if n.groups == nil {
			n.groups = map[string]*shareGroup{}
		}
		g := n.groups[sub.share]
		if g == nil {
			g = &shareGroup{}
			n.groups[sub.share] = g
		}
		list = &g.members
	}
	*list, replaced = withSubscription(*list, sub)
	if !replaced {
		t.count++
		if sub.share != "" {
			t.shared++
		}
	}
	t.gen.Add(1)
	return replaced
}

// withSubscription returns the list with sub in it.
func withSubscription(list []*subscription, sub *subscription) (_ []*subscription, replaced bool) {
	for i, s := range list {
		if s.session == sub.session {
			list[i] = sub
			return list, true
		}
	}
	return append(list, sub), false
}

// remove takes a session's subscription out and reports whether it was there.
func (t *tree) remove(sub *subscription) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	path := []*treeNode{&t.root}
	levels := strings.Split(sub.filter, "/")
	for _, level := range levels {
		child := path[len(path)-1].children[level]
		if child == nil {
			return false
		}
		path = append(path, child)
	}
	if !path[len(path)-1].drop(sub) {
		return false
	}
	for i := len(levels); i > 0 && path[i].empty(); i-- {
		delete(path[i-1].children, levels[i-1])
	}
	t.count--
	if sub.share != "" {
		t.shared--
	}
	t.gen.Add(1)
	return true
}

func (n *treeNode) drop(sub *subscription) bool {
	if sub.share == "" {
		var ok bool
		n.subs, ok = withoutSession(n.subs, sub.session)
		return ok
	}
	g := n.groups[sub.share]
	if g == nil {
		return false
	}
	var ok bool
	g.members, ok = withoutSession(g.members, sub.session)
	if len(g.members) == 0 {
		delete(n.groups, sub.share)
	}
	return ok
}

func withoutSession(list []*subscription, s *session) ([]*subscription, bool) {
	for i, sub := range list {
		if sub.session == s {
			last := len(list) - 1
			list[i], list[last] = list[last], nil
			return list[:last], true
		}
	}
	return list, false
}

// match calls plain for every subscription whose filter the topic falls
// under and group for every share, under the reading lock. It does not
// recurse: the depth of a topic is the sender's choice.
func (t *tree) match(topic string, plain func(*subscription), group func(*shareGroup)) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	visit := func(n *treeNode) {
		for _, s := range n.subs {
			plain(s)
		}
		for _, g := range n.groups {
			group(g)
		}
	}
	type place struct {
		node *treeNode
		rest int // where the next level begins; beyond the topic: no level is left
	}
	var space [16]place
	stack := append(space[:0], place{&t.root, 0})
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		wildcards := at.rest > 0 || topic[0] != '$' // [MQTT-4.7.2-1]
		if hash := at.node.children["#"]; hash != nil && wildcards {
			visit(hash) // "a/#" covers "a" and all below it
		}
		if at.rest > len(topic) {
			visit(at.node)
			continue
		}
		level, next := topic[at.rest:], len(topic)+1
		if i := strings.IndexByte(level, '/'); i >= 0 {
			level, next = level[:i], at.rest+i+1
		}
		if plus := at.node.children["+"]; plus != nil && wildcards {
			stack = append(stack, place{plus, next})
		}
		if child := at.node.children[level]; child != nil {
			stack = append(stack, place{child, next})
		}
	}
}

// members returns the members of a share.
func (t *tree) members(share, filter string) (*shareGroup, []*subscription) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	n := &t.root
	for level := range strings.SplitSeq(filter, "/") {
		if n = n.children[level]; n == nil {
			return nil, nil
		}
	}
	g := n.groups[share]
	if g == nil {
		return nil, nil
	}
	return g, append([]*subscription(nil), g.members...)
}

// counts returns the number of subscriptions, and of the shared ones among them.
func (t *tree) counts() (all, shared int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.count, t.shared
}
