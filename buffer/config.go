package buffer

import (
	"fmt"
	"time"

	"fieldgate/configs/conf"
)

// Config is the [buffer] section.
type Config struct {
	Dir     string        `toml:"dir"`      // default /var/lib/fieldgate
	MaxSize conf.Size     `toml:"max_size"` // per upstream; default 512MiB
	MinFree conf.Size     `toml:"min_free"` // always left on the disk; default 256MiB
	MaxAge  conf.Duration `toml:"max_age"`  // default 14d
	Full    string        `toml:"full"`     // drop-oldest|drop-newest|thin|block
	Commit  conf.Duration `toml:"commit"`   // default 1s
}

// The defaults of [buffer].
const (
	DefaultDir     = "/var/lib/fieldgate"
	DefaultMaxSize = 512 << 20
	DefaultMinFree = 256 << 20
	DefaultMaxAge  = 14 * 24 * time.Hour
	DefaultFull    = FullDropOldest
	DefaultCommit  = time.Second

	// MinMaxSize is the smallest max_size that leaves room to work in.
	MinMaxSize = 256 << 10
	// MaxCommit bounds what a power cut may take.
	MaxCommit = time.Minute
)

// What happens when an upstream's queue is at max_size.
const (
	FullDropOldest = "drop-oldest" // give up the oldest, bulk first, alarms last
	FullDropNewest = "drop-newest" // refuse what comes
	FullThin       = "thin"        // keep every second value of the oldest, then every fourth, …
	FullBlock      = "block"       // let publishers wait; values that nobody can hold back are refused
)

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	if c.Dir == "" {
		c.Dir = DefaultDir
	}
	c.MaxSize = conf.Size(c.MaxSize.Or(DefaultMaxSize))
	c.MinFree = conf.Size(c.MinFree.Or(DefaultMinFree))
	c.MaxAge = conf.Duration(c.MaxAge.Or(DefaultMaxAge))
	c.Commit = conf.Duration(c.Commit.Or(DefaultCommit))
	if c.Full == "" {
		c.Full = DefaultFull
	}
	return c
}

// Directory is where everything on disk lives.
func (c Config) Directory() string { return c.withDefaults().Dir }

// Validate reports every problem of the section.
func (c Config) Validate(bad conf.Bad) {
	switch c.Full {
	case "", FullDropOldest, FullDropNewest, FullThin, FullBlock:
	default:
		bad(conf.Problem{Key: "full", Code: "E0230", Part: c.Full,
			Text: fmt.Sprintf("unknown way to handle a full queue %q", c.Full),
			Help: "write drop-oldest, drop-newest, thin or block"})
	}
	if c.MaxSize != 0 && c.MaxSize < MinMaxSize {
		bad(conf.Problem{Key: "max_size", Code: "E0231", Part: c.MaxSize.String(),
			Text: fmt.Sprintf("max_size %v is too small to work with", c.MaxSize),
			Help: "write at least 256KiB; the default is 512MiB"})
	}
	if d := c.Commit.Std(); d > MaxCommit {
		bad(conf.Problem{Key: "commit", Code: "E0232", Part: c.Commit.String(),
			Text: fmt.Sprintf("commit %v would lose more than a minute of values on a power cut", c.Commit),
			Help: "write at most 1m; the default is 1s"})
	} else if d != 0 && d < 10*time.Millisecond {
		bad(conf.Problem{Key: "commit", Code: "E0232", Part: c.Commit.String(),
			Text: fmt.Sprintf("commit %v would wear out the disk", c.Commit),
			Help: "write at least 10ms; the default is 1s"})
	}
	if d := c.MaxAge.Std(); d != 0 && d < time.Minute {
		bad(conf.Problem{Key: "max_age", Code: "E0233", Part: c.MaxAge.String(),
			Text: fmt.Sprintf("max_age %v gives up values before an upstream can reconnect", c.MaxAge),
			Help: "write at least 1m; the default is 14d"})
	}
}
