package configs

import (
	"strconv"
	"strings"

	"fieldgate/bridge"
	"fieldgate/configs/conf"
	"fieldgate/configs/tree"
	"fieldgate/drivers/modbus"
)

// validator is a section that knows what is wrong with itself.
type validator interface{ Validate(bad conf.Bad) }

// bad reports problems under a path of the file: each key is looked up in the
// tree, and a key that is not there is reported at the table it is missing from.
func (l *loader) bad(prefix string) conf.Bad {
	at := conf.Bad(func(p conf.Problem) {
		if l.known(p.Key) || l.opts.SkipFiles && ofThisMachine[p.Code] {
			return
		}
		v, whole := l.root.find(tree.ParsePath(p.Key))
		out := Problem{Code: p.Code, Key: p.Key, Text: p.Text, Help: p.Help}
		switch {
		case v == l.root || v.file == nil:
			l.add(out, nil, tree.Span{})
		case whole && v.kind == tree.Scalar:
			l.add(out, v.file, v.file.narrow(inside(v), p.Part))
		case whole && v.kind == tree.Table && v.node.Header, !whole && v.node.Header:
			l.add(out, v.file, v.node.Key)
		default:
			l.add(out, v.file, v.file.narrow(v.node.Value, p.Part))
		}
	})
	if prefix == "" {
		return at
	}
	return at.Under(prefix)
}

// ofThisMachine are the codes of problems with files that keys name.
var ofThisMachine = map[string]bool{"E0508": true, "E0517": true}

// known reports a key whose value was refused when it was read, so that what
// its section says of it, or of what is below it, is no news.
func (l *loader) known(key string) bool {
	if l.settled[key] {
		return true
	}
	for i := len(key) - 1; i > 0; i-- {
		if (key[i] == '.' || key[i] == '[') && l.wrong[key[:i]] {
			return true
		}
	}
	return false
}

// validate asks a section, if it can tell. section is a pointer.
func (l *loader) validate(section any, path string) {
	if v, ok := section.(validator); ok {
		v.Validate(l.bad(path))
	}
}

// validateAll asks each element of a list of sections.
func validateAll[T any](l *loader, list []T, path string) {
	for i := range list {
		l.validate(&list[i], path+"["+strconv.Itoa(i)+"]")
	}
}

// check runs every section's own checks, then those that need the whole.
func (l *loader) check() {
	f := l.file
	l.validate(&f.Gateway, "gateway")
	l.validate(&f.Log, "log")
	l.validate(&f.Broker, "broker")
	l.validate(&f.Publish, "publish")
	l.validate(&f.Home, "homeassistant")
	validateAll(l, f.Bus, "bus")
	validateAll(l, f.Device, "device")
	validateAll(l, f.Serial, "serial")
	l.validate(&f.Buffer, "buffer")
	validateAll(l, f.Upstream, "upstream")
	bridge.Lint(f.Upstream, l.bad(""))
	l.validate(&f.Web, "web")
	l.validate(&f.Metrics, "metrics")
	if l.root.table != nil {
		l.checkSecretFiles(l.root, "")
		l.checkCertFiles(l.root, "")
	}
	l.checkVersion()
	l.checkNames()
	l.checkBusNames()
	l.checkPorts()
	l.checkDoors()
	l.checkBuses()
	l.checkComputed()
	topics := l.topics()
	l.checkTopics(topics)
	l.checkRoutes(topics)
	l.count()
}

// checkBuses asks the Modbus driver about what lies between its sections, the
// load of the lines among it. What is reported already, with a better help, is
// left out; so are buses that may be in a file that could not be read.
func (l *loader) checkBuses() {
	bad := l.bad("")
	modbus.Check(l.file.Bus, l.file.Device, func(p conf.Problem) {
		missing := p.Code == "E0304" && l.broken
		device := strings.TrimSuffix(p.Key, ".unit")
		twin := p.Code == "W0346" && (l.reported(device+".name") || l.reported(device+".bus"))
		if !missing && !twin && !l.reported(p.Key) {
			bad(p)
		}
	})
}

// count fills the summary.
func (l *loader) count() {
	f, s := l.file, &l.report.Summary
	s.Devices = len(f.Device) + len(f.Serial)
	for _, d := range f.Device {
		s.Tags += len(d.Tags) + len(d.Tag) + len(d.Computed)
	}
	for _, b := range f.Bus {
		s.Requests += len(modbus.Plan(b, f.Device))
	}
	for _, d := range f.Serial {
		s.Tags += len(d.Tags) + len(d.Tag)
	}
}
