package configs

import (
	"fmt"
	"slices"
	"strings"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
)

// tagTopic is a topic that a tag publishes to.
type tagTopic struct {
	topic  string
	path   string // of the tag
	device string
	tag    string
	write  bool
}

// topics computes where every tag will be published. Names that cannot be a
// level of a topic are left out; their sections report them.
func (l *loader) topics() []tagTopic {
	f := l.file
	var list []tagTopic
	add := func(path, device, tag string, write bool) {
		topic, err := f.Publish.TagTopic(f.Gateway, device, tag)
		if device != "" && tag != "" && err == nil && mqtt.CheckTopic(topic) == nil {
			list = append(list, tagTopic{topic, path, device, tag, write})
		}
	}
	for i, d := range f.Device {
		for j, t := range d.Tags {
			add(at(at("device", i)+".tags", j), d.Name, t.Name, t.Write != nil)
		}
		for j, t := range d.Tag {
			add(at(at("device", i)+".tag", j), d.Name, t.Name, t.Write != nil)
		}
		for j, c := range d.Computed {
			add(at(at("device", i)+".computed", j), d.Name, c.Name, false)
		}
	}
	for i, s := range f.Serial {
		for j, t := range s.Tags {
			add(at(at("serial", i)+".tags", j), s.Name, t.Name, false)
		}
		for j, t := range s.Tag {
			add(at(at("serial", i)+".tag", j), s.Name, t.Name, false)
		}
	}
	return list
}

// checkTopics finds two tags with one topic, and a tag whose topic is one of
// the gateway's own.
func (l *loader) checkTopics(list []tagTopic) {
	first := map[string]tagTopic{}
	base, err := l.file.Publish.BaseTopic(l.file.Gateway)
	for _, t := range list {
		other, taken := first[t.topic]
		switch {
		case taken && (other.device != t.device || other.tag != t.tag): // equal names are reported as such
			l.bad(t.path)(conf.Problem{Key: "name", Code: "E0124", Part: t.tag,
				Text: fmt.Sprintf("%s and %s share the topic %s", other.device+"/"+other.tag, t.device+"/"+t.tag, t.topic),
				Help: "rename one of them, or use {device} and {tag} as levels of their own in publish.topic; the other is at " + l.whereIs(other.path+".name")})
		case !taken:
			first[t.topic] = t
		}
		if err == nil && reserved(base, t.topic) {
			l.bad(t.path)(conf.Problem{Key: "name", Code: "E0125", Part: t.tag,
				Text: fmt.Sprintf("the topic %s is one of the gateway's own", t.topic),
				Help: "change publish.topic or publish.base, so that values and status do not mix"})
		}
	}
	for _, t := range list { // "…/boiler/mode/set" must not be a value
		for _, suffix := range []string{"/set", "/set/result"} {
			if other, taken := first[t.topic+suffix]; taken && t.write {
				l.bad(other.path)(conf.Problem{Key: "name", Code: "E0124", Part: other.tag,
					Text: fmt.Sprintf("the topic %s is where %s takes its commands", other.topic, t.device+"/"+t.tag), Help: "rename one of them"})
			}
		}
	}
}

// reserved reports topics under the base that the gateway uses itself.
func reserved(base, topic string) bool {
	rest, ok := strings.CutPrefix(topic, base+"/")
	if !ok {
		return false
	}
	level, _, _ := strings.Cut(rest, "/")
	return slices.Contains([]string{"status", "info", "health", "device", "upstream", "event", "cmd"}, level)
}
