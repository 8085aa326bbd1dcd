package drivers

import (
	"encoding/json"
	"maps"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// The states of a device as in `device/<dev>/status`.
const (
	DeviceUnknown  = "unknown" // not tried yet; never published
	DeviceOnline   = "online"
	DeviceOffline  = "offline"
	DeviceDisabled = "disabled"
)

// deviceState is a device's state; Supervisor.mu guards it.
//
//	unknown ── any answer ──▶ online ◀─ any answer ─┐
//	   └── offline, port, or every tag stale ─▶ offline ┘
//
// A single time-out moves nothing: the driver decides when a device counts as
// offline and then reports its tags with that reason.
type deviceState struct {
	info      DeviceInfo
	tags      []*tagState
	state     string
	published string // what the status topic says
	reason    string // of the last bad sample
	since     clock.Stamp
	lastOK    clock.Stamp
	errors    map[string]uint64 // bad samples by reason, bounded by maxReasons
	touched   bool              // it is in Supervisor.touched
	gone      bool              // its driver was removed
}

// maxReasons bounds the reasons counted per device: exceptions carry a code.
const maxReasons = 24

func newDeviceState(info DeviceInfo) *deviceState {
	d := &deviceState{info: info, state: DeviceUnknown, errors: map[string]uint64{}}
	if info.Disabled {
		d.state = DeviceDisabled
	}
	return d
}

// saw updates the state by a sample.
func (d *deviceState) saw(s Sample) {
	if d.info.Disabled {
		return
	}
	if s.Quality == Bad {
		d.reason = s.Reason
		if _, known := d.errors[s.Reason]; known || len(d.errors) < maxReasons {
			d.errors[s.Reason]++
		}
	}
	switch {
	case s.Quality == Good:
		d.lastOK = s.Time
		d.enter(DeviceOnline)
	case s.Quality == Uncertain:
		d.enter(DeviceOnline)
	case s.Reason == ReasonOffline, s.Reason == ReasonPort:
		d.enter(DeviceOffline)
	case s.Reason == ReasonStale, s.Reason == ReasonNotRead:
		if d.allSilent() {
			d.enter(DeviceOffline)
		}
	case s.Reason == ReasonTimeout, s.Reason == ReasonCRC, s.Reason == ReasonConfig, s.Reason == ReasonDisabled:
	default: // an exception, a value out of range: it talks
		d.enter(DeviceOnline)
	}
}

// touchLocked has publishChangedDevices look at a device.
func (s *Supervisor) touchLocked(d *deviceState) {
	if !d.touched {
		d.touched = true
		s.touched = append(s.touched, d)
	}
}

func (d *deviceState) enter(state string) {
	if d.state != state {
		d.state, d.since = state, clock.Now()
	}
}

// allSilent reports that no tag has anything fresh.
func (d *deviceState) allSilent() bool {
	for _, t := range d.tags {
		if !t.stale && t.sample.Reason != ReasonNotRead {
			return false
		}
	}
	return true
}

func (s *Supervisor) deviceTopic(device, leaf string) string {
	return s.mapping.Base() + "/device/" + device + "/" + leaf
}

// publishStates publishes what is known at the start.
func (s *Supervisor) publishStates() {
	s.order.Lock()
	defer s.order.Unlock()
	s.publishChangedDevices()
	s.publishInfos()
}

// publishChangedDevices publishes status and info of devices whose state
// changed, and an event where one went or came back. Only those that saw
// something since the last call are looked at.
func (s *Supervisor) publishChangedDevices() {
	s.mu.Lock()
	var msgs []mqtt.Message
	var events []Event
	for _, d := range s.touched {
		d.touched = false
		if d.state == d.published || d.state == DeviceUnknown || d.gone {
			continue
		}
		name := d.info.Name
		switch {
		case d.state == DeviceOffline:
			events = append(events, Event{Code: CodeDeviceOffline, Level: "warn", Device: name, Text: name + " is offline: " + d.reason})
		case d.published == DeviceOffline:
			events = append(events, Event{Code: CodeDeviceOnline, Level: "info", Device: name, Text: name + " is back"})
		}
		d.published = d.state
		msgs = append(msgs, s.statusMessage(s.deviceTopic(name, "status"), []byte(d.state)), s.infoLocked(d))
	}
	s.touched = s.touched[:0]
	s.mu.Unlock()
	if len(msgs) > 0 {
		s.send(msgs...)
	}
	for _, e := range events {
		s.log.Warn(e.Text, "device", e.Device, "code", e.Code)
		s.Event(e)
	}
}

// publishInfos publishes every device's info.
func (s *Supervisor) publishInfos() {
	s.mu.Lock()
	var msgs []mqtt.Message
	for _, d := range s.devices {
		msgs = append(msgs, s.infoLocked(d))
	}
	s.mu.Unlock()
	if len(msgs) > 0 {
		s.send(msgs...)
	}
}

// infoLocked is the message for device/<dev>/info.
func (s *Supervisor) infoLocked(d *deviceState) mqtt.Message {
	doc := struct {
		Device string            `json:"device"`
		Label  string            `json:"label,omitempty"`
		Bus    string            `json:"bus"`
		Unit   int               `json:"unit,omitempty"`
		Poll   string            `json:"poll,omitempty"`
		State  string            `json:"state"`
		Since  int64             `json:"since,omitempty"`   // Unix milliseconds
		LastOK int64             `json:"last_ok,omitempty"` // Unix milliseconds
		Tags   int               `json:"tags"`
		Reason string            `json:"reason,omitempty"`
		Errors map[string]uint64 `json:"errors"`
	}{
		Device: d.info.Name, Label: d.info.Label, Bus: d.info.Bus, Unit: d.info.Unit, Poll: d.info.Poll, State: d.state,
		Since: wallMillis(d.since), LastOK: wallMillis(d.lastOK), Tags: len(d.tags), Errors: maps.Clone(d.errors),
	}
	if d.state == DeviceOffline {
		doc.Reason = d.reason
	}
	payload, _ := json.Marshal(doc) // strings and numbers always marshal
	return s.statusMessage(s.deviceTopic(d.info.Name, "info"), payload)
}

func wallMillis(at clock.Stamp) int64 {
	if at.IsZero() {
		return 0
	}
	return clock.Wall(at).UnixMilli()
}

func (s *Supervisor) statusMessage(topic string, payload []byte) mqtt.Message {
	return mqtt.Message{
		Topic: topic, Payload: payload, QoS: mqtt.QoS(s.opt.Publish.QoS), Retain: true,
		Kind: mqtt.KindStatus, Origin: "gateway", Props: statusProps,
	}
}

var statusProps = &mqtt.Properties{PayloadFormat: 1}

// Event is something worth telling, published once under {base}/event.
type Event struct {
	Code   string // E07xx
	Level  string // info | warn | error
	Device string // may be empty
	Text   string
}

// Event publishes an event. It may be called by any goroutine.
func (s *Supervisor) Event(e Event) {
	payload, _ := json.Marshal(struct {
		TS     int64  `json:"ts"`
		Code   string `json:"code"`
		Level  string `json:"level"`
		Device string `json:"device,omitempty"`
		Text   string `json:"text"`
	}{time.Now().UnixMilli(), e.Code, e.Level, e.Device, e.Text})
	s.send(mqtt.Message{
		Topic: s.mapping.Base() + "/event", Payload: payload, QoS: mqtt.QoS(s.opt.Publish.QoS),
		Kind: mqtt.KindEvent, Origin: "gateway", Props: statusProps,
	})
}
