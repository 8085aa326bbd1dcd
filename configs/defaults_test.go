package configs

import (
	"fieldgate/buffer"
	"fieldgate/configs/conf"
	"fieldgate/drivers"
	"fieldgate/drivers/serial"
	"fieldgate/mqtt/broker"
	"fieldgate/web"
)

// codeDefaults are the constants that the packages really use, by key.
func codeDefaults() map[string]any {
	d := Default()
	return map[string]any{
		"log.level":                      d.Log.Level,
		"log.format":                     d.Log.Format,
		"log.repeat_window":              d.Log.RepeatWindow,
		"homeassistant.prefix":           d.Home.Prefix,
		"broker.max_clients":             broker.DefaultMaxClients,
		"broker.max_packet":              conf.Size(broker.DefaultMaxPacket),
		"broker.max_queued":              broker.DefaultMaxQueued,
		"broker.max_queued_bytes":        conf.Size(broker.DefaultMaxQueuedBytes),
		"broker.max_inflight":            broker.DefaultMaxInflight,
		"broker.max_out_buffer":          conf.Size(broker.DefaultMaxOutBuffer),
		"broker.max_subscriptions":       broker.DefaultMaxSubscriptions,
		"broker.retain_limit":            broker.DefaultRetainLimit,
		"broker.retain_bytes":            conf.Size(broker.DefaultRetainBytes),
		"broker.connect_timeout":         duration(broker.DefaultConnectTimeout),
		"broker.max_keepalive":           duration(broker.DefaultMaxKeepAlive),
		"broker.sys_interval":            duration(broker.DefaultSysInterval),
		"broker.max_session_expiry":      duration(broker.DefaultMaxSessionExpiry),
		"broker.listener.max_connects":   broker.DefaultMaxConnects,
		"broker.listener.websocket.path": broker.DefaultPath,
		"publish.topic":                  drivers.DefaultTopic,
		"publish.base":                   drivers.DefaultBase,
		"publish.max_age":                duration(drivers.DefaultMaxAge),
		"serial.baud":                    serial.DefaultBaud,
		"serial.mode":                    serial.DefaultMode,
		"serial.init_wait":               duration(serial.DefaultInitWait),
		"serial.request.every":           duration(serial.DefaultEvery),
		"serial.request.timeout":         duration(serial.DefaultTimeout),
		"buffer.dir":                     buffer.DefaultDir,
		"buffer.max_size":                conf.Size(buffer.DefaultMaxSize),
		"buffer.min_free":                conf.Size(buffer.DefaultMinFree),
		"buffer.max_age":                 duration(buffer.DefaultMaxAge),
		"buffer.full":                    buffer.DefaultFull,
		"buffer.commit":                  duration(buffer.DefaultCommit),
		"web.bind":                       web.DefaultBind,
	}
}
