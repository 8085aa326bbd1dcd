package web

import "time"

// Schema names the Status document and its version.
const Schema = "fieldgate.status/1"

// Status is the health of the gateway on one screen.
type Status struct {
	Schema   string    `json:"schema"`
	Gateway  Gateway   `json:"gateway"`
	State    string    `json:"state"` // ok, degraded, failed
	Problems []Problem `json:"problems"`
	Devices  []Device  `json:"devices"`
	Buses    []Bus     `json:"buses"`
	Tags     TagCount  `json:"tags"`
	Broker   Broker    `json:"broker"`
	Upstream []Link    `json:"upstreams"`
	Store    Store     `json:"store"`
	Clock    Clock     `json:"clock"`
}

// Gateway is who this is.
type Gateway struct {
	ID       string    `json:"id"`
	Name     string    `json:"name,omitempty"`
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	UptimeS  int64     `json:"uptime_s"`
	ConfigID string    `json:"config"` // hash of the configuration
}

// Problem is something a person should look at, with the next step.
type Problem struct {
	Code string `json:"code"`
	Part string `json:"part"` // "device boiler2", "upstream cloud-a"
	Text string `json:"text"`
	Next string `json:"next,omitempty"`
}

// Device is one device or serial sensor.
type Device struct {
	Name     string     `json:"name"`
	Bus      string     `json:"bus"`
	Unit     int        `json:"unit,omitempty"`
	State    string     `json:"state"` // unknown, online, degraded, offline, disabled
	Reason   string     `json:"reason,omitempty"`
	Since    *time.Time `json:"since,omitempty"`
	LastOK   *time.Time `json:"last_ok,omitempty"`
	NextTry  *time.Time `json:"next_try,omitempty"`
	Polls    uint64     `json:"polls"`
	Failures uint64     `json:"failures"`
	Overruns uint64     `json:"overruns"`
	Writes   uint64     `json:"writes"`
	P50ms    float64    `json:"p50_ms"`
	P95ms    float64    `json:"p95_ms"`
	MaxMs    float64    `json:"max_ms"`

	DelayP50ms float64 `json:"delay_p50_ms"` // of polls, behind their slots
	DelayP99ms float64 `json:"delay_p99_ms"`
}

// Bus is one wire.
type Bus struct {
	Name       string            `json:"name"`
	Kind       string            `json:"kind"`
	Target     string            `json:"target"`
	Open       bool              `json:"open"`
	Error      string            `json:"error,omitempty"`
	Requests   uint64            `json:"requests"`
	Errors     map[string]uint64 `json:"errors"`
	Retries    uint64            `json:"retries"`
	Late       uint64            `json:"late"`
	BytesIn    uint64            `json:"bytes_in"`
	BytesOut   uint64            `json:"bytes_out"`
	Reconnects uint64            `json:"reconnects"`
	BusyS      float64           `json:"busy_s"`
	Hints      []string          `json:"hints,omitempty"`
}

// TagCount counts tags by quality.
type TagCount struct {
	Good      int `json:"good"`
	Uncertain int `json:"uncertain"`
	Bad       int `json:"bad"`
	Stale     int `json:"stale"` // among the bad
}

// Broker is our own MQTT server.
type Broker struct {
	Listeners     []string `json:"listeners"`
	Enter         []string `json:"enter"` // who may, by each of the listeners
	Clients       int      `json:"clients"`
	Sessions      int      `json:"sessions"`
	Retained      int      `json:"retained"`
	Subscriptions int      `json:"subscriptions"`
	MessagesIn    uint64   `json:"messages_in"`
	MessagesOut   uint64   `json:"messages_out"`
	BytesIn       uint64   `json:"bytes_in"`
	BytesOut      uint64   `json:"bytes_out"`
	Dropped       uint64   `json:"dropped"`
	Connects      uint64   `json:"connects"`
	AuthFailures  uint64   `json:"auth_failures"`
}

// Link is one upstream with its queue.
type Link struct {
	Name     string     `json:"name"`
	URL      string     `json:"url"`
	State    string     `json:"state"` // online, connecting, offline, disabled
	Reason   string     `json:"reason,omitempty"`
	Hint     string     `json:"hint,omitempty"` // what to do about it
	Since    *time.Time `json:"since,omitempty"`
	NextTry  *time.Time `json:"next_try,omitempty"`
	Connects uint64     `json:"connects"`
	Sent     uint64     `json:"sent"`
	Acked    uint64     `json:"acked"`
	BytesOut uint64     `json:"bytes_out"`
	AckP50ms float64    `json:"ack_p50_ms"`
	AckP99ms float64    `json:"ack_p99_ms"`
	Carried  uint64     `json:"carried_bytes"` // on the wire, both ways, with headers
	Budget   *Budget    `json:"budget,omitempty"`
	Queue    Queue      `json:"queue"`
}

// Budget is what the link may carry in a month.
type Budget struct {
	Month     uint64     `json:"month_bytes"`
	Used      uint64     `json:"used_bytes"`
	Projected uint64     `json:"projected_bytes"` // at its end, if it goes on like this
	Ends      *time.Time `json:"ends,omitempty"`
	Saving    string     `json:"saving"` // none, bulk, thin
	KeepOneOf int        `json:"keep_one_of"`
	Thinned   uint64     `json:"thinned"` // values given up since the start
}

// Queue is what waits for an upstream.
type Queue struct {
	Messages   int64             `json:"messages"`
	Bytes      int64             `json:"bytes"`
	Limit      int64             `json:"limit_bytes"`
	OldestAgeS float64           `json:"oldest_age_s"`
	FullInS    float64           `json:"full_in_s"` // 0: not filling
	Enqueued   uint64            `json:"enqueued"`
	Dropped    map[string]uint64 `json:"dropped"` // by reason
}

// Store is the disk.
type Store struct {
	Dir          string `json:"dir"`
	State        string `json:"state"` // ok, degraded: with the reason
	WrittenBytes uint64 `json:"written_bytes"`
	WrittenToday uint64 `json:"written_today_bytes"`
	FreeBytes    uint64 `json:"free_bytes"`
	SizeBytes    uint64 `json:"size_bytes"`
}

// Clock says how far wall times can be trusted.
type Clock struct {
	Synced  bool    `json:"synced"`
	ErrorMs float64 `json:"error_ms,omitempty"`
}

// Tag is one tag as the page and the tags command show it.
type Tag struct {
	Device  string     `json:"device"`
	Tag     string     `json:"tag"`
	Label   string     `json:"label,omitempty"`
	Value   any        `json:"value"`
	Unit    string     `json:"unit,omitempty"`
	Quality string     `json:"quality"`
	Reason  string     `json:"reason,omitempty"`
	Time    *time.Time `json:"time,omitempty"`
	AgeS    float64    `json:"age_s"`
	Address string     `json:"address,omitempty"`
	Topic   string     `json:"topic,omitempty"`
}
