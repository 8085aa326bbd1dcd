package configs

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"fieldgate/configs/conf"
)

// later are keys that the product has and this version does not read yet, with
// what they would do. They are an error of their own, so that nobody waits for
// something that cannot happen. A key that a struct has meanwhile is never
// looked up here.
var later = map[string]string{
	"template":               "device templates",
	"device.template":        "device templates",
	"device.include_tags":    "device templates",
	"device.params":          "device templates",
	"device.units":           "several units from one section",
	"device.tags.expr":       "computed tags",
	"device.tag.expr":        "computed tags",
	"device.tags.words":      "values of words that lie apart",
	"device.tag.words":       "values of words that lie apart",
	"bus.udp":                "Modbus over UDP",
	"bus.tls":                "Modbus over TLS",
	"bus.listen":             "devices that dial in",
	"serial.decoder":         "native decoders",
	"serial.message":         "several kinds of message on one line",
	"serial.poll":            "several requests on one line",
	"upstream.platform":      "cloud platforms",
	"upstream.region":        "cloud platforms",
	"upstream.product_key":   "cloud platforms",
	"upstream.device_name":   "cloud platforms",
	"upstream.device_secret": "cloud platforms",
	"upstream.sparkplug":     "Sparkplug",
	"web.mdns":               "names by multicast DNS",
	"web.tls":                "a page over TLS",
	"web.history":            "trends on the page",
}

// called are names that other programs and manuals have for a key of ours.
var called = map[string]string{
	"bus.request_pause":    "gap",
	"bus.tid_check":        "ignore_tid",
	"bus.rtu_over_tcp":     "rtu_tcp",
	"device.request_pause": "gap",
	"device.pause":         "gap",
	"device.interval":      "poll",
	"device.max_read":      "max_registers",
	"device.tags.interval": "poll",
	"device.tag.interval":  "poll",
}

// instead says what a later key would stand for: that it is missing then is no
// news. A template holds the tags of its device, a platform knows the address.
var instead = map[string]string{"device.template": "", "upstream.platform": ".url"}

// unknown reports a key that no field takes: one that will come, one that
// belongs elsewhere, a misspelt one, or one nobody knows.
func (l *loader) unknown(v *value, name, path string, section reflect.Type) {
	key := bare(path)
	if key == "upstream.platform" && v.data == "mqtt" { // what every upstream is
		return
	}
	if text, _ := v.data.(string); looksLikeSecret(name) && !isReference(text) {
		v.file.secrets = append(v.file.secrets, inside(v))
	}
	p := Problem{Code: "E0103", Key: path, Text: fmt.Sprintf("unknown key %q", name)}
	known := fieldNames(section)
	near, home := conf.Nearest(name, append(known, laterIn(key)...)), homes(name)
	if near != "" && home != "" && conf.Distance(name, near) > 1 {
		near = "" // it is a key, though not of this section
	}
	switch what := later[key]; {
	case what != "":
		p.Code = "E0106"
		p.Text = fmt.Sprintf("%s is known but not supported in this version (%s)", name, what)
		p.Help = "remove it until a version that has it"
		if rest, ok := instead[key]; ok {
			l.settled[strings.TrimSuffix(path, "."+name)+rest] = true
		}
	case called[key] != "":
		near = called[key]
		p.Help = fmt.Sprintf("here it is called %s", near)
		l.settled[strings.TrimSuffix(path, name)+near] = true
	case near != "":
		p.Help = fmt.Sprintf("did you mean %q?", near)
		l.settled[strings.TrimSuffix(path, name)+near] = true
	case home != "":
		p.Help = fmt.Sprintf("%s belongs in %s", name, home)
	default:
		p.Help = "known here: " + strings.Join(known, " ")
	}
	l.add(p, v.file, v.node.Key)
}

// laterIn lists the names of later keys beside a key.
func laterIn(key string) []string {
	var names []string
	prefix := key[:strings.LastIndexByte(key, '.')+1]
	for k := range later {
		if rest, ok := strings.CutPrefix(k, prefix); ok && !strings.Contains(rest, ".") {
			names = append(names, rest)
		}
	}
	slices.Sort(names)
	return names
}

// homes names the sections that have a key, at most three of them.
func homes(name string) string {
	var list []string
	for _, k := range Keys() {
		section, ok := strings.CutSuffix(k.Path, "."+name)
		if !ok || slices.Contains(list, header(section)) {
			continue
		}
		list = append(list, header(section))
	}
	if len(list) > 3 {
		list = list[:3]
	}
	return strings.Join(list, " or ")
}

// header writes a section as the file does: [gateway], [[bus]].
func header(section string) string {
	for _, k := range Keys() {
		if k.Path == section && strings.HasPrefix(k.Type, "list") {
			return "[[" + section + "]]"
		}
	}
	return "[" + section + "]"
}
