package broker

import "net"

// leaving are the listeners that a new configuration does not have any more.
type leaving struct {
	all    []*listener
	closed []*listener // their sockets made room for others
}

// leavingLocked finds them, with Broker.mu held.
func (b *Broker) leavingLocked(cfg Config) *leaving {
	stay := map[string]bool{}
	for _, section := range listeners(cfg) {
		stay[section.Bind] = true
	}
	v := &leaving{}
	for _, l := range b.listeners {
		if !stay[l.bind] && l.ln != nil {
			v.all = append(v.all, l)
		}
	}
	return v
}

// freePort closes the socket of a leaving listener whose port a new one wants:
// one on every address cannot be bound beside one on loopback. Its connections
// stay for now.
func (v *leaving) freePort(bind string) {
	_, port, err := net.SplitHostPort(bind)
	if err != nil || port == "0" {
		return
	}
	for _, l := range v.all {
		if _, has, err := net.SplitHostPort(l.bind); err == nil && has == port {
			l.ln.Close()
			v.closed = append(v.closed, l)
		}
	}
}

// reopenLocked undoes freePort where the new configuration cannot be used.
func (v *leaving) reopenLocked(b *Broker) {
	for _, l := range v.closed {
		if err := l.listen(); err != nil {
			b.log.Error("a listener could not be bound again after a reload that failed", "listener", l.name(), "error", err)
			continue
		}
		if !b.running {
			continue
		}
		ln := l.ln
		b.wg.Add(1)
		go func() {
			defer b.wg.Done()
			l.accept(ln)
		}()
	}
}
