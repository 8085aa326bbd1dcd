package broker

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// counters are what the broker counts, from its start on.
type counters struct {
	messagesReceived, messagesSent         atomic.Uint64 // packets of any type
	publishReceived, publishSent, dropped  atomic.Uint64
	publishBytesReceived, publishBytesSent atomic.Uint64
	bytesReceived, bytesSent               atomic.Uint64
	sockets, connects, connectsRefused     atomic.Uint64
	disconnects, authFailures, refused     atomic.Uint64
	takeovers, expired, storeErrors        atomic.Uint64
}

// Stats is a snapshot of the broker. Counters rise from its start on.
type Stats struct {
	Clients          int // connected now
	MaxClients       int // the most that were connected at once
	Sessions         int // with the offline ones
	Subscriptions    int
	Shared           int // shared ones among them
	Retained         int
	RetainedBytes    int64
	QueuedBytes      int64 // of all sessions
	PacketsReceived  uint64
	PacketsSent      uint64
	MessagesReceived uint64 // publishes, our own parts' included
	MessagesSent     uint64 // deliveries
	BytesReceived    uint64
	BytesSent        uint64
	Dropped          uint64 // deliveries lost: slow at QoS 0, queue full, expired, too large
	Refused          uint64 // publishes refused: no right, quota
	Sockets          uint64 // connections accepted
	Connects         uint64 // of these, clients accepted
	ConnectsRefused  uint64
	AuthFailures     uint64
	Takeovers        uint64
	Expired          uint64 // sessions
	StoreErrors      uint64
	Listeners        []ListenerInfo
}

// ListenerInfo is one bound listener.
type ListenerInfo struct {
	Name      string
	Address   string
	TLS       bool
	WebSocket bool
	Anonymous bool
	Users     bool // with a password
	Certs     bool // with a certificate, and nobody without
	Local     bool // this machine alone can reach it
	Clients   int
	Expires   time.Time // of the certificate; zero without TLS
}

// Stats returns a snapshot.
func (b *Broker) Stats() Stats {
	c := &b.stats
	s := Stats{
		QueuedBytes:     b.queuedBytes.Load(),
		PacketsReceived: c.messagesReceived.Load(), PacketsSent: c.messagesSent.Load(),
		MessagesReceived: c.publishReceived.Load(), MessagesSent: c.publishSent.Load(),
		BytesReceived: c.bytesReceived.Load(), BytesSent: c.bytesSent.Load(),
		Dropped: c.dropped.Load(), Refused: c.refused.Load(),
		Sockets: c.sockets.Load(), Connects: c.connects.Load(), ConnectsRefused: c.connectsRefused.Load(),
		AuthFailures: c.authFailures.Load(), Takeovers: c.takeovers.Load(), Expired: c.expired.Load(),
		StoreErrors: c.storeErrors.Load(),
	}
	s.Subscriptions, s.Shared = b.tree.counts()
	s.Retained, s.RetainedBytes = b.retained.counts()
	b.mu.Lock()
	defer b.mu.Unlock()
	s.Clients, s.MaxClients, s.Sessions = b.clients, b.maxSeen, len(b.sessions)
	for _, l := range b.listeners {
		info := ListenerInfo{Name: l.name(), Address: l.ln.Addr().String(), WebSocket: l.websocket(), Anonymous: l.anonymous(), Users: b.config.Auth.UsersFile != "", Certs: l.certificates(), Local: l.local, Clients: l.clients}
		if cert := l.cert.Load(); cert != nil {
			info.TLS, info.Expires = true, cert.expires
		}
		s.Listeners = append(s.Listeners, info)
	}
	return s
}

// ClientInfo is one session, connected or not.
type ClientInfo struct {
	ID            string
	User          string
	Connected     bool
	Listener      string // while connected
	Address       string
	Version       mqtt.Version
	KeepAlive     time.Duration
	Since         time.Duration // how long it has been connected, or offline
	Subscriptions int
	Inflight      int // sent and not acknowledged
	Queued        int // not yet sent
	Dropped       uint64
	Received      uint64 // messages from it, on this connection
	Sent          uint64 // messages to it, on this connection
	LastDenied    string // the last topic it was refused
}

// Clients returns all sessions by client id.
func (b *Broker) Clients() []ClientInfo {
	sessions := b.allSessions()
	list := make([]ClientInfo, 0, len(sessions))
	for _, s := range sessions {
		list = append(list, s.info())
	}
	slices.SortFunc(list, func(x, y ClientInfo) int { return cmp.Compare(x.ID, y.ID) })
	return list
}

func (s *session) info() ClientInfo {
	now := clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	i := ClientInfo{
		ID: s.id, User: s.who.user, Version: s.version, Subscriptions: len(s.subs),
		Inflight: s.window.len(), Queued: s.queue.len() + s.disk, Dropped: s.dropped, LastDenied: s.lastDenied,
	}
	c := s.conn
	if c == nil {
		i.Since = now.Sub(s.leftLocked())
		return i
	}
	i.Connected, i.Listener, i.Address = true, c.l.name(), c.addr.String()
	i.KeepAlive, i.Since = c.keep*2/3, now.Sub(c.since)
	i.Received, i.Sent = c.recvMsgs.Load(), c.sentMsgs+c.sent.messages
	return i
}
