package modbus

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/drivers"
	"fieldgate/drivers/modbus/wire"
	"fieldgate/drivers/port"
)

func index(key string, i int) string { return key + "[" + strconv.Itoa(i) + "]" }

// report makes a function that reports one problem.
func report(bad conf.Bad) func(key, code, part, help, format string, args ...any) {
	return func(key, code, part, help, format string, args ...any) {
		bad(conf.Problem{Key: key, Code: code, Part: part, Help: help, Text: fmt.Sprintf(format, args...)})
	}
}

// Validate reports every problem of a [[bus]] section.
func (b Bus) Validate(bad conf.Bad) {
	say := report(bad)
	if text := drivers.CheckName(b.Name); text != "" {
		say("name", "E0301", b.Name, "", "bus: %s", text)
	}
	b.validateWire(say)
	if b.Baud < 0 || b.Baud > 0 && b.Baud < 50 || b.Baud > 4_000_000 {
		say("baud", "E0332", "", "common speeds are 9600, 19200, 38400, 57600, 115200", "baud %d is not a speed", b.Baud)
	}
	if _, err := port.ParseMode(b.Mode); err != nil {
		say("mode", "E0332", b.Mode, "", "%v", err)
	}
	if p := strings.ToLower(b.Protocol); p != "" && p != "rtu" && p != "ascii" && (p != "tcp" || b.Listen == "") {
		say("protocol", "E0333", b.Protocol, `use "rtu" or "ascii"; Modbus TCP is chosen by the key tcp`, "unknown protocol %q", b.Protocol)
	}
	if _, err := wire.ParseEcho(b.Echo); err != nil {
		say("echo", "E0333", b.Echo, "", "%v", err)
	}
	b.validateRS485(say)
	if b.Retries != nil && (*b.Retries < 0 || *b.Retries > 10) {
		say("retries", "E0334", "", "", "retries is 0 to 10, not %d", *b.Retries)
	}
	if b.MaxInFlight < 0 || b.MaxInFlight > 8 {
		say("max_in_flight", "E0334", "", "", "max_in_flight is 1 to 8, not %d", b.MaxInFlight)
	} else if b.MaxInFlight > 1 && !b.transactions() {
		say("max_in_flight", "W0334", "", "remove it", "max_in_flight has no effect: only Modbus TCP tells which request an answer belongs to")
	} else if b.MaxInFlight > 1 && b.IgnoreTID {
		say("max_in_flight", "W0334", "", "remove one of them", "max_in_flight has no effect with ignore_tid: nothing tells which request an answer belongs to")
	}
	for _, d := range []struct {
		key   string
		value conf.Duration
		max   time.Duration
	}{
		{"timeout", b.Timeout, time.Minute}, {"gap", b.Gap, maxGapTime}, {"frame_gap", b.FrameGap, time.Second},
		{"unit_switch_pause", b.UnitSwitchPause, 10 * time.Second}, {"late_guard", b.LateGuard, 5 * time.Second}, {"connect_delay", b.ConnectDelay, time.Minute},
	} {
		if d.value.Std() > d.max {
			say(d.key, "E0335", "", "", "%s = %s is longer than %s", d.key, d.value, conf.Duration(d.max))
		}
	}
	if t := b.Timeout.Std(); t > 0 && t < 5*time.Millisecond {
		say("timeout", "E0335", "", "a unit needs some time to answer: try 300ms", "timeout %s is too short", b.Timeout)
	}
}

func (b Bus) validateRS485(say sayFunc) {
	r := b.RS485
	if r.RTS != "" && r.RTS != "driver" && r.RTS != "ioctl" {
		say("rs485.rts", "E0333", r.RTS, `use "driver" (the adapter turns the line) or "ioctl" (the kernel does)`, "unknown rts %q", r.RTS)
	}
	for _, d := range []struct {
		key   string
		value conf.Duration
	}{{"rs485.delay_before", r.DelayBefore}, {"rs485.delay_after", r.DelayAfter}} {
		if d.value.Std() > port.RS485MaxDelay || d.value.Std()%time.Millisecond != 0 {
			say(d.key, "E0335", d.value.String(), "", "%s is 0 to 100 whole milliseconds, not %s", d.key, d.value)
		}
	}
	switch {
	case b.Port == "" && r != (RS485{}):
		say("rs485", "W0333", "", "remove it", "rs485 is for a bus with port: there is no line to turn")
	case r.RTS != "ioctl" && (r.ActiveLow || r.DelayBefore > 0 || r.DelayAfter > 0):
		say("rs485", "W0333", "", `write rts = "ioctl", if the kernel is to turn the line`, "active_low and the delays have no effect: the adapter turns the line")
	}
}

// maxGapTime is the longest silence between requests.
const maxGapTime = 10 * time.Second

type sayFunc func(key, code, part, help, format string, args ...any)

// validateWire checks that the bus has exactly one wire.
func (b Bus) validateWire(say sayFunc) {
	var set []string
	for _, w := range []struct{ key, value string }{{"port", b.Port}, {"tcp", b.TCP}, {"tls", b.TLS}, {"rtu_tcp", b.RTUOverTCP}, {"udp", b.UDP}, {"listen", b.Listen}} {
		if w.value != "" {
			set = append(set, w.key)
		}
	}
	switch {
	case len(set) == 0:
		say("", "E0330", "", `write port = "/dev/serial/by-id/…" (see: fieldgate ports) or tcp = "192.168.10.20:502"`, "bus %q has no wire", b.Name)
	case len(set) > 1:
		say(set[1], "E0330", "", "keep one of them", "bus %q has %s at once", b.Name, strings.Join(set, " and "))
	}
	if b.Port != "" && !strings.HasPrefix(b.Port, "/") {
		say("port", "E0331", b.Port, "see: fieldgate ports", "port %q is not a path", b.Port)
	}
	b.validateAddress(say, "tcp", b.TCP, false)
	b.validateAddress(say, "tls", b.TLS, false)
	b.validateAddress(say, "rtu_tcp", b.RTUOverTCP, true)
	b.validateAddress(say, "udp", b.UDP, true)
	b.validateTLS(say)
	b.validateListen(say)
	if key := b.modbusTCP(); key != "" {
		if b.Protocol != "" {
			say("protocol", "E0333", b.Protocol, "remove it", "protocol is for serial lines; %s speaks Modbus TCP", key)
		}
		if b.Baud != 0 || b.Mode != "" {
			say(key, "W0332", "", "remove them", "baud and mode mean nothing on Modbus TCP")
		}
	}
}

// modbusTCP is the key of a bus that speaks Modbus TCP, "" for the others.
func (b Bus) modbusTCP() string {
	switch {
	case b.Port != "":
	case b.TCP != "":
		return "tcp"
	case b.TLS != "":
		return "tls"
	}
	return ""
}

// transactions reports a bus whose frames carry a transaction number.
func (b Bus) transactions() bool { return b.Line(nil).Kind == wire.TCP }

// validateListen checks the keys of a device that dials in.
func (b Bus) validateListen(say sayFunc) {
	for _, k := range []struct{ key, value string }{{"registration", b.Registration}, {"heartbeat", b.Heartbeat}} {
		if k.value != "" && b.Listen == "" {
			say(k.key, "E0337", k.value, `write the port as listen = ":5020"`, "%s is for a bus with listen", k.key)
		}
	}
	if b.Listen == "" {
		return
	}
	kind := b.Line(nil).Kind
	if _, port, err := net.SplitHostPort(b.Listen); err != nil {
		say("listen", "E0331", b.Listen, `write for example ":5020"`, "%q is not host:port or :port", b.Listen)
	} else if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		say("listen", "E0331", b.Listen, `write for example ":5020"`, "%q is not a port", port)
	}
	if strings.EqualFold(b.Protocol, "ascii") {
		say("protocol", "E0333", b.Protocol, `use "rtu" or "tcp"`, "a device that dials in speaks rtu or tcp")
	}
	if _, err := wire.ParsePattern(b.Registration); err != nil {
		say("registration", "E0337", b.Registration, `write text, "hex:01 02" or "regex:…"`, "registration %v", err)
	}
	if _, err := wire.ParseHeartbeat(b.Heartbeat, kind); err != nil {
		say("heartbeat", "E0337", b.Heartbeat, `write text or "hex:01 02"`, "heartbeat %v", err)
	}
}

// validateTLS checks that the keys of tls stand beside it and belong together.
func (b Bus) validateTLS(say sayFunc) {
	for _, k := range []struct{ key, value string }{
		{"ca_file", b.CAFile}, {"cert_file", b.CertFile}, {"key_file", b.KeyFile}, {"server_name", b.ServerName}} {
		if k.value != "" && b.TLS == "" {
			say(k.key, "E0336", k.value, `write the address as tls = "192.168.10.20:802"`, "%s is for a bus with tls", k.key)
		}
	}
	if (b.CertFile == "") != (b.KeyFile == "") {
		say("cert_file", "E0336", "", "", "cert_file and key_file are given together")
	}
}

func (b Bus) validateAddress(say sayFunc, key, address string, needPort bool) {
	if address == "" {
		return
	}
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		if needPort || strings.Contains(address, "://") || strings.ContainsAny(address, " /[]") {
			say(key, "E0331", address, `write for example "192.168.10.20:502"`, "%q is not host:port", address)
		}
		return
	}
	if n, err := strconv.Atoi(portText); host == "" || err != nil || n < 1 || n > 65535 {
		say(key, "E0331", address, `write for example "192.168.10.20:502"`, "%q is not host:port", address)
	}
}

// Validate reports every problem of a [[device]] section with its tags.
func (d Device) Validate(bad conf.Bad) {
	say := report(bad)
	if text := drivers.CheckName(d.Name); text != "" {
		say("name", "E0301", d.Name, "", "device: %s", text)
	}
	if d.Bus == "" {
		say("bus", "E0304", "", "name the [[bus]] it is connected to", "device %q has no bus", d.Name)
	}
	if d.Unit < 0 || d.Unit > 255 {
		say("unit", "E0340", strconv.Itoa(d.Unit), "", "unit %d: units are 1 to 247 (255 is used on TCP)", d.Unit)
	} else if d.Unit > 247 && d.Unit != 255 {
		say("unit", "W0340", strconv.Itoa(d.Unit), "", "unit %d is reserved by the standard; units are 1 to 247", d.Unit)
	}
	checkPoll(say, "poll", d.Poll)
	order, err := ParseOrder(d.Order)
	if err != nil {
		sayReg(say, "order", err)
	}
	d.validatePlan(say, order)
	if d.Offline.After < 0 || d.Offline.After > 100 {
		say("offline.after", "E0342", "", "", "offline.after is 1 to 100 failures, not %d", d.Offline.After)
	}
	if b := d.Offline.BackoffMax.Std(); b > time.Hour || b > 0 && b < time.Second {
		say("offline.backoff_max", "E0342", "", "", "offline.backoff_max is 1s to 1h, not %s", d.Offline.BackoffMax)
	}
	if g := d.Gap.Std(); g > maxGapTime {
		say("gap", "E0335", "", "", "gap = %s is longer than %s", d.Gap, conf.Duration(maxGapTime))
	}
	tags, keys := d.all()
	if len(tags) == 0 {
		say("", "W0343", "", `add tags = [ { name = "…", reg = "h100:int16" } ]`, "device %q has no tags", d.Name)
	}
	names := map[string]bool{}
	for _, t := range tags {
		names[t.Name] = true
	}
	seen := map[string]string{}
	for i, t := range tags {
		if first, twice := seen[t.Name]; twice && t.Name != "" {
			say(keys[i]+".name", "E0302", t.Name, "", "tag %q exists already at %s", t.Name, first)
		}
		seen[t.Name] = keys[i]
		t.validate(bad.Under(keys[i]), order, d.limits(), names)
	}
	d.validateWrites(say, tags, keys, order)
	for i := range d.Computed {
		key := index("computed", i)
		if first, twice := seen[d.Computed[i].Name]; twice {
			say(key+".name", "E0302", d.Computed[i].Name, "", "tag %q exists already at %s", d.Computed[i].Name, first)
		}
		seen[d.Computed[i].Name] = key
		d.Computed[i].validate(bad.Under(key), d.Name)
	}
}

func checkPoll(say sayFunc, key string, poll Poll) {
	if p := poll.Every(); p != 0 && (p < MinPoll || p > MaxPoll) {
		say(key, "E0344", poll.String(), "", `poll is 50ms to 24h, "once" or "on_demand", not %s`, poll)
	}
}

// sayReg reports an error of the grammar under a key.
func sayReg(say sayFunc, key string, err error) {
	var re *RegError
	if errors.As(err, &re) {
		say(key, re.Code, re.Part, re.Help, "%s", re.Text)
	}
}

func (t *Tag) validate(bad conf.Bad, order Order, l limits, names map[string]bool) {
	say := report(bad)
	if text := drivers.CheckName(t.Name); text != "" {
		say("name", "E0301", t.Name, "", "tag: %s", text)
	}
	checkPoll(say, "poll", t.Poll)
	if _, _, err := drivers.ParseDeadband(t.Deadband); err != nil {
		say("deadband", "E0217", "", "", "%v", err)
	}
	if !slices.Contains([]string{"", "change", "poll"}, t.Report) {
		say("report", "E0219", t.Report, `use "change" or "poll"`, "unknown report %q", t.Report)
	}
	if t.Reg == "" {
		say("reg", "E0201", "", `write for example reg = "h100:int16" or "40101:int16"`, "tag %q has no register", t.Name)
		return
	}
	r, err := ParseReg(t.Reg, order)
	if err != nil {
		sayReg(say, "reg", err)
		return
	}
	if !r.Area.Bits() && r.count() > l.maxRegisters {
		say("reg", "E0208", r.Type.name, "", "%s takes %d registers, the device gives %d at a time", r.Type, r.count(), l.maxRegisters)
	}
	if r.Bit >= 0 && t.Bits != "" {
		say("bits", "E0218", t.Bits, "keep one of them", "reg %s takes a bit already", t.Reg)
	}
	t.rules(r).Validate(r.Type.rawType(), bad)
	t.validateScaleTag(say, order, names)
	t.validateWrite(say, r)
}

func (t *Tag) validateScaleTag(say sayFunc, order Order, names map[string]bool) {
	if t.ScaleTag == "" || names[t.ScaleTag] && t.ScaleTag != t.Name {
		return
	}
	if r, err := ParseReg(t.ScaleTag, order); err == nil && !r.Area.Bits() {
		return
	}
	known := make([]string, 0, len(names))
	for n := range names {
		known = append(known, n)
	}
	slices.Sort(known)
	help := "name a tag of this device or a register as h113:int16"
	if near := conf.Nearest(t.ScaleTag, known); near != "" && near != t.Name {
		help = fmt.Sprintf("did you mean %q?", near)
	}
	say("scale_tag", "E0220", t.ScaleTag, help, "scale_tag %q is neither another tag of this device nor a register", t.ScaleTag)
}

func (t *Tag) validateWrite(say sayFunc, r Register) {
	w := t.Write
	if w == nil {
		return
	}
	if !r.Area.Writable() {
		say("write", "E0221", "", "use a holding register (h) or a coil (c)", "%s is an %s, which cannot be written", r.Wire(), r.Area)
	}
	if r.Type.form == formBit && !r.Area.Bits() {
		say("write", "E0221", "", fmt.Sprintf("name the bit, as in %s.0, or a number type", r.Wire()), "a register read as bool cannot be written")
	}
	if w.Min != nil && w.Max != nil && *w.Min > *w.Max {
		say("write.min", "E0221", "", "", "min %v is above max %v", *w.Min, *w.Max)
	}
	if w.Step != nil && !(*w.Step > 0) {
		say("write.step", "E0221", "", "", "step must be more than 0")
	}
	if _, err := drivers.ParseRate(w.Rate); err != nil {
		say("write.rate", "E0222", w.Rate, "", "%v", err)
	}
}

// validateWrites finds two writable tags that change the same bits.
func (d *Device) validateWrites(say sayFunc, tags []*Tag, keys []string, order Order) {
	type target struct {
		key, name string
		reg       Register
		mask      uint64 // bits of the value it sets
	}
	var targets []target
	for i, t := range tags {
		r, err := ParseReg(t.Reg, order)
		if t.Write == nil || err != nil {
			continue
		}
		one := target{keys[i], t.Name, r, t.writeMask(r)}
		for _, o := range targets {
			overlap := o.reg.Area == r.Area && o.reg.end() > int(r.Addr) && r.end() > int(o.reg.Addr)
			sameWord := o.reg.Addr == r.Addr && o.reg.count() == 1 && r.count() == 1
			if overlap && !(sameWord && o.mask&one.mask == 0) {
				say(keys[i]+".reg", "W0345", "", "", "%s and %s write to the same place, %s", o.name, t.Name, r.Wire())
			}
		}
		targets = append(targets, one)
	}
}

// writeMask is which bits of a single register a write sets.
func (t *Tag) writeMask(r Register) uint64 {
	switch {
	case r.Bit >= 0:
		return 1 << r.Bit
	case r.Type.form == formHigh || r.Type.form == formHighInt:
		return 0xFF00
	case r.Type.isByte():
		return 0x00FF
	case t.Bits != "":
		return bitsMask(t.Bits)
	}
	return ^uint64(0)
}

// bitsMask is the mask of "4..7"; all ones where the text is wrong.
func bitsMask(bits string) uint64 {
	loText, hiText, two := strings.Cut(bits, "..")
	if !two {
		hiText = loText
	}
	lo, err1 := strconv.Atoi(strings.TrimSpace(loText))
	hi, err2 := strconv.Atoi(strings.TrimSpace(hiText))
	if err1 != nil || err2 != nil || lo < 0 || hi < lo || hi > 63 {
		return ^uint64(0)
	}
	return (uint64(1)<<(hi-lo+1) - 1) << lo
}

// rules are the tag's keys for the value pipeline.
func (t *Tag) rules(r Register) drivers.Rules {
	bits := t.Bits
	if r.Bit >= 0 {
		bits = strconv.Itoa(r.Bit)
	}
	return drivers.Rules{
		Scale: t.Scale, Offset: t.Offset, Bits: bits, Enum: t.Enum, Invalid: t.Invalid, OnInvalid: t.OnInvalid,
		Range: t.Range, Kind: t.Kind, MaxRate: t.MaxRate, Round: t.Round,
	}
}
