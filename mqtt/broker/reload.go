package broker

import (
	"errors"
	"fmt"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// accessFiles are the rights and users of a configuration.
type accessFiles struct {
	acl   *acl
	users *users
}

func loadAccess(cfg Config) (*accessFiles, error) {
	rights, err := newACL(cfg.ACL)
	if err != nil {
		return nil, err
	}
	a := &accessFiles{acl: rights}
	if path := cfg.Auth.UsersFile; path != "" {
		if a.users, err = readUsers(path); err != nil {
			return nil, fmt.Errorf("users file: %w", err)
		}
	}
	return a, nil
}

// Reload puts another configuration in force: users, rights, certificates and
// limits at once, for running connections too; listeners whose bind is still
// there keep running, new ones are bound, and the clients of those that are
// gone are sent away. A client whose user is gone is sent away as well. If
// anything cannot be read or bound, nothing changes and the error says what.
// Whether sessions persist is decided by New.
func (b *Broker) Reload(cfg Config) error {
	access, err := loadAccess(cfg)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopping {
		return errors.New("the broker is stopping")
	}
	old := map[string]*listener{}
	for _, l := range b.listeners {
		old[l.bind] = l
	}
	var next, fresh []*listener
	certs := map[*listener]*certificate{}
	sections := map[*listener]*Listener{}
	leaving := b.leavingLocked(cfg)
	undo := func(name string, err error) error {
		for _, l := range fresh {
			l.close()
		}
		leaving.reopenLocked(b)
		b.knocks.refreshLocked()
		return fmt.Errorf("listener %q: %w", name, err)
	}
	for _, section := range listeners(cfg) {
		cert, err := b.loadCertificate(section)
		if err != nil {
			return undo(listenerName(section), err)
		}
		l := old[section.Bind]
		if delete(old, section.Bind); l == nil {
			leaving.freePort(section.Bind)
			b.knocks.closeLocked(section.Bind)
			l = newListener(b, section, cert)
			if err := l.listen(); err != nil {
				return undo(listenerName(section), err)
			}
			fresh = append(fresh, l)
		}
		certs[l], sections[l] = cert, &section
		next = append(next, l)
	}
	// From here on nothing fails.
	for _, l := range next {
		l.cfg.Store(sections[l])
		l.cert.Store(certs[l])
	}
	b.config, b.listeners = cfg, next
	b.use(cfg, access)
	for _, l := range fresh {
		if b.running {
			b.startLocked(l)
		}
	}
	for _, l := range old {
		l.close()
		b.log.Info("listener closed", "listener", l.name())
	}
	b.knocks.refreshLocked()
	go b.sendAway(old)
	return nil
}

// sendAway ends the connections that a new configuration has no place for.
func (b *Broker) sendAway(gone map[string]*listener) {
	sessions := b.allSessions()
	known := b.users.Load()
	for _, s := range sessions {
		s.mu.Lock()
		c, user := s.conn, s.who.user
		s.mu.Unlock()
		switch {
		case c == nil:
		case gone[c.l.bind] == c.l:
			b.log.Info("client sent away: its listener is gone", "client", s.id, "from", c.addr)
			c.kick(mqtt.AdministrativeAction, "the listener is gone")
		case user != "" && c.cert == "" && !known.has(user), user == "" && !c.l.anonymous():
			b.log.Info("client sent away: its user is gone", "client", s.id, "user", user, "from", c.addr)
			c.kick(mqtt.NotAuthorized, "the user is gone")
		}
	}
}

// uptime is how long the broker has been there.
func (b *Broker) uptime() time.Duration { return clock.Now().Sub(b.started) }
