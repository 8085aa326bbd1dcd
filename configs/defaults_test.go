package configs

import (
	"fieldgate/buffer"
	"fieldgate/configs/conf"
	"fieldgate/drivers"
	"fieldgate/drivers/serial"
	"fieldgate/web"
)

// codeDefaults are the constants that the packages really use, by key.
func codeDefaults() map[string]any {
	d := Default()
	return map[string]any{
		"log.level":              d.Log.Level,
		"log.format":             d.Log.Format,
		"log.repeat_window":      d.Log.RepeatWindow,
		"homeassistant.prefix":   d.Home.Prefix,
		"publish.topic":          drivers.DefaultTopic,
		"publish.base":           drivers.DefaultBase,
		"publish.max_age":        duration(drivers.DefaultMaxAge),
		"serial.baud":            serial.DefaultBaud,
		"serial.mode":            serial.DefaultMode,
		"serial.init_wait":       duration(serial.DefaultInitWait),
		"serial.request.every":   duration(serial.DefaultEvery),
		"serial.request.timeout": duration(serial.DefaultTimeout),
		"buffer.dir":             buffer.DefaultDir,
		"buffer.max_size":        conf.Size(buffer.DefaultMaxSize),
		"buffer.min_free":        conf.Size(buffer.DefaultMinFree),
		"buffer.max_age":         duration(buffer.DefaultMaxAge),
		"buffer.full":            buffer.DefaultFull,
		"buffer.commit":          duration(buffer.DefaultCommit),
		"web.bind":               web.DefaultBind,
	}
}
