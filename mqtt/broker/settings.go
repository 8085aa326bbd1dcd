package broker

import (
	"time"

	"fieldgate/mqtt"
)

// Defaults of the [broker] section.
const (
	DefaultBind             = "127.0.0.1:1883"
	DefaultMaxClients       = 100
	DefaultMaxPacket        = 256 << 10
	DefaultMaxQueued        = 1000
	DefaultMaxQueuedBytes   = 256 << 20
	DefaultMaxInflight      = 100
	DefaultMaxOutBuffer     = 1 << 20
	DefaultMaxSubscriptions = 1000
	DefaultRetainLimit      = 10_000
	DefaultRetainBytes      = 64 << 20
	DefaultConnectTimeout   = 5 * time.Second
	DefaultMaxKeepAlive     = time.Hour
	DefaultSysInterval      = 10 * time.Second
	DefaultMaxSessionExpiry = 7 * 24 * time.Hour
	DefaultMaxConnects      = 100
	DefaultPath             = "/mqtt"
)

// What is not worth a key.
const (
	maxConnectPacket  = 64 << 10         // before a client has shown who it is
	maxReceive        = 1024             // publishes of one client that may wait for our PUBACK or its PUBREL
	maxTopicAliasIn   = 32               // topic aliases we accept per client
	maxTopicAliasOut  = 64               // and the most we use, whatever a client allows
	maxRoutes         = 1024             // topics a connection remembers the way for
	maxClientID       = 1024             // bytes of a client id
	stallTimeout      = 60 * time.Second // a subscriber that takes nothing for so long while others wait for it is cut off
	writeTimeout      = 60 * time.Second // for one piece of at most writePiece bytes
	writePiece        = 64 << 10
	lingerTimeout     = time.Second // how long a DISCONNECT may take to go out
	queuePage         = 64          // messages of an online session held in RAM beyond its window; the rest is in the store
	sampleSaveEvery   = time.Minute // retained samples go to the store so often
	takeoverWindow    = time.Minute // this many take-overs in so long are reported
	takeoverReport    = 3
	reportEvery       = time.Minute // refused logins and rights are logged once in so long per client
	maxClaims         = 64          // connections that may wait for one client id
	defaultMaxSession = 10          // sessions per client allowed
)

// settings are the limits of a Config with the defaults put in.
type settings struct {
	maxOpen                                                    int // connections of one listener, those without a session included
	maxClients, maxSessions, maxPacket, maxQueued, maxInflight int
	maxOut, maxSubscriptions, maxLevels                        int
	maxQueuedBytes                                             int64
	refuseWhenFull                                             bool
	connectTimeout, maxKeepAlive, sysInterval                  time.Duration
	maxSessionExpiry                                           uint32
	maxQoS                                                     mqtt.QoS
	retain, wildcards, shared, subscriptionIDs, sysLog         bool
}

func newSettings(c Config) *settings {
	s := &settings{
		maxClients:       orInt(c.MaxClients, DefaultMaxClients),
		maxPacket:        int(c.MaxPacket.Or(DefaultMaxPacket)),
		maxQueued:        orInt(c.MaxQueued, DefaultMaxQueued),
		maxInflight:      min(orInt(c.MaxInflight, DefaultMaxInflight), 65535),
		maxOut:           int(c.MaxOutBuffer.Or(DefaultMaxOutBuffer)),
		maxSubscriptions: orInt(c.MaxSubscriptions, DefaultMaxSubscriptions),
		maxLevels:        min(orInt(c.MaxLevels, mqtt.MaxTopicLevels), mqtt.MaxTopicLevels),
		maxQueuedBytes:   c.MaxQueuedBytes.Or(DefaultMaxQueuedBytes),
		refuseWhenFull:   c.WhenFull == "refuse",
		connectTimeout:   c.ConnectTimeout.Or(DefaultConnectTimeout),
		maxKeepAlive:     c.MaxKeepAlive.Or(DefaultMaxKeepAlive),
		sysInterval:      DefaultSysInterval,
		maxQoS:           2,
		retain:           c.Retain == nil || *c.Retain,
		wildcards:        c.Wildcards == nil || *c.Wildcards,
		shared:           c.Shared == nil || *c.Shared,
		subscriptionIDs:  c.SubscriptionIDs == nil || *c.SubscriptionIDs,
		sysLog:           c.SysLog,
	}
	s.maxSessions = orInt(c.MaxSessions, defaultMaxSession*s.maxClients)
	if c.SysInterval != nil {
		s.sysInterval = c.SysInterval.Std()
	}
	if c.MaxQoS != nil {
		s.maxQoS = mqtt.QoS(*c.MaxQoS)
	}
	expiry := c.MaxSessionExpiry.Or(DefaultMaxSessionExpiry) / time.Second
	s.maxSessionExpiry = uint32(min(expiry, 0xFFFFFFFE))
	return s
}

func orInt(n, def int) int {
	if n == 0 {
		return def
	}
	return n
}

// listeners are the sections of the file, or the one that stands for none.
func listeners(c Config) []Listener {
	if len(c.Listener) == 0 {
		return []Listener{{Name: "local", Bind: DefaultBind, AllowAnonymous: true}}
	}
	return c.Listener
}

// persistent reports whether sessions outlive the process.
func (c Config) persistent() bool { return c.Persist == nil || *c.Persist }
