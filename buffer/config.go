package buffer

import "fieldgate/configs/conf"

// Config is the [buffer] section.
type Config struct {
	Dir     string        `toml:"dir"`      // default /var/lib/fieldgate
	MaxSize conf.Size     `toml:"max_size"` // per upstream; default 512MiB
	MinFree conf.Size     `toml:"min_free"` // always left on the disk; default 256MiB
	MaxAge  conf.Duration `toml:"max_age"`  // default 14d
	Full    string        `toml:"full"`     // drop-oldest|drop-newest|thin|block
	Commit  conf.Duration `toml:"commit"`   // default 1s
}
