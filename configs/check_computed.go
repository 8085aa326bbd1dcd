package configs

import (
	"fmt"
	"slices"
	"strings"

	"fieldgate/configs/conf"
	"fieldgate/drivers"
)

// checkComputed compiles every expression with the tags that there are, and
// finds computed tags that follow from themselves.
func (l *loader) checkComputed() {
	known := map[drivers.TagRef]bool{}
	var all []string
	add := func(device, tag string) {
		if ref := (drivers.TagRef{Device: device, Tag: tag}); !known[ref] {
			known[ref] = true
			all = append(all, device+"/"+tag)
		}
	}
	for _, d := range l.file.Device {
		for _, t := range slices.Concat(d.Tags, d.Tag) {
			add(d.Name, t.Name)
		}
		for _, c := range d.Computed {
			add(d.Name, c.Name)
		}
	}
	for _, s := range l.file.Serial {
		for _, t := range slices.Concat(s.Tags, s.Tag) {
			add(s.Name, t.Name)
		}
	}
	follows := map[drivers.TagRef][]drivers.TagRef{}
	for i, d := range l.file.Device {
		for j, c := range d.Computed {
			path := at(at("device", i)+".computed", j)
			if c.Expr == "" || l.reported(path+".expr") {
				continue
			}
			compiled, err := drivers.NewComputed(d.Name, c.Expr, c.Round, func(r drivers.TagRef) bool { return known[r] })
			if err != nil {
				p := conf.Problem{Key: "expr", Code: "E0349", Text: "expr: " + err.Error(), Help: "tags of this device by their name, others as device.tag"}
				if _, missing, ok := strings.Cut(err.Error(), "there is no tag "); ok {
					if near := conf.Nearest(missing, all); near != "" {
						p.Help = fmt.Sprintf("did you mean %q?", strings.TrimPrefix(near, d.Name+"/"))
					}
				}
				l.bad(path)(p)
				continue
			}
			follows[drivers.TagRef{Device: d.Name, Tag: c.Name}] = compiled.Inputs()
		}
	}
	l.checkComputedCircles(follows)
}

func (l *loader) checkComputedCircles(follows map[drivers.TagRef][]drivers.TagRef) {
	for i, d := range l.file.Device {
		for j, c := range d.Computed {
			if l.reported(at(at("device", i)+".computed", j) + ".name") {
				continue // two of the name
			}
			self := drivers.TagRef{Device: d.Name, Tag: c.Name}
			if reaches(follows, self, self, map[drivers.TagRef]bool{}) {
				l.bad(at(at("device", i)+".computed", j))(conf.Problem{Key: "expr", Code: "E0349",
					Text: fmt.Sprintf("%s/%s follows from itself", d.Name, c.Name), Help: "an expression may use other computed tags, but not in a circle"})
			}
		}
	}
}

// reaches reports whether to is among what from follows from.
func reaches(follows map[drivers.TagRef][]drivers.TagRef, from, to drivers.TagRef, seen map[drivers.TagRef]bool) bool {
	for _, r := range follows[from] {
		if r == to {
			return true
		}
		if !seen[r] {
			seen[r] = true
			if reaches(follows, r, to, seen) {
				return true
			}
		}
	}
	return false
}
