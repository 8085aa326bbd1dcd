package modbus

import (
	"fmt"
	"slices"
	"strings"

	"fieldgate/configs/conf"
)

// autoGap is the word for holes that are weighed against requests.
const autoGap = "auto"

// gap reads max_gap: the number, or auto.
func (d *Device) gap() (n int, auto bool, problem string) {
	switch v := d.MaxGap.(type) {
	case nil:
		return autoGapCap, true, ""
	case int:
		n = v
	case int64:
		n = int(max(-1, min(v, maxRegisters+1)))
	case string:
		if v == autoGap {
			return autoGapCap, true, ""
		}
		return autoGapCap, true, fmt.Sprintf("max_gap is a number of registers or %q, not %q", autoGap, v)
	default:
		return autoGapCap, true, fmt.Sprintf("max_gap is a number of registers or %q", autoGap)
	}
	if n < 0 || n > maxRegisters {
		return autoGapCap, true, fmt.Sprintf("max_gap is 0 to %d registers, or %q", maxRegisters, autoGap)
	}
	return n, false, ""
}

// validatePlan checks the keys that say how tags are read together.
func (d *Device) validatePlan(say sayFunc, order Order) {
	if _, _, problem := d.gap(); problem != "" {
		say("max_gap", "E0341", "", "", "%s", problem)
	}
	if d.MaxRegisters < 0 || d.MaxRegisters > maxRegisters {
		say("max_registers", "E0341", "", "", "max_registers is 1 to %d, not %d", maxRegisters, d.MaxRegisters)
	}
	tags, keys := d.all()
	var holes []stretch
	for i, text := range d.NoRead {
		s, err := parseStretch(text)
		if err != nil {
			sayReg(say, index("no_read", i), err)
			continue
		}
		holes = append(holes, s)
		for k, t := range tags {
			r, err := ParseReg(t.Reg, order)
			if err == nil && s.touches(r.Area, int(r.Addr), r.end()) {
				say(keys[k]+".reg", "E0347", t.Reg, "remove the tag, or make the stretch shorter", "tag %s lies within no_read %s", t.Name, text)
			}
			r, err = ParseReg(t.ScaleTag, order) // not where it names a tag
			if err == nil && s.touches(r.Area, int(r.Addr), r.end()) {
				say(keys[k]+".scale_tag", "E0347", t.ScaleTag, "", "scale_tag %s lies within no_read %s", t.ScaleTag, text)
			}
		}
	}
	d.validateCoils(say, order)
	d.validateAtomic(say, order, holes)
}

// validateCoils checks that coils which are read from address 0 on fit into one
// request, and that none between is forbidden.
func (d *Device) validateCoils(say sayFunc, order Order) {
	if !d.CoilsFromZero {
		return
	}
	l := d.limits()
	tags, keys := d.all()
	for i, t := range tags {
		r, err := ParseReg(t.Reg, order)
		if err != nil || r.Area != Coil {
			continue
		}
		if size := l.size(Coil); r.end() > size {
			say(keys[i]+".reg", "E0208", t.Reg, "", "with coils_from_zero one request reads c0 to %s: %d coils, the device gives %d at a time", r.Wire(), r.end(), size)
		}
		if l.forbidden(Coil, 0, r.end()) {
			say(keys[i]+".reg", "E0347", t.Reg, "", "with coils_from_zero one request reads c0 to %s, and no_read lies between", r.Wire())
		}
	}
}

// validateAtomic refuses a group of tags that cannot come from one request.
func (d *Device) validateAtomic(say sayFunc, order Order, holes []stretch) {
	tags, _ := d.all()
	byName := map[string]*Tag{}
	var names []string
	for _, t := range tags {
		byName[t.Name] = t
		names = append(names, t.Name)
	}
	taken := map[string]int{}
	for g, group := range d.Atomic {
		key := index("atomic", g)
		if len(group) < 2 {
			say(key, "E0348", "", "name two tags or more", "an atomic group of %d tags says nothing", len(group))
			continue
		}
		if d.OneRequestPerTag {
			say(key, "E0348", "", "remove one of them", "one_request_per_tag reads each tag alone, atomic reads these together")
		}
		var members []*Tag
		for i, name := range group {
			t := byName[name]
			if t == nil {
				help := "name tags of this device"
				if near := conf.Nearest(name, names); near != "" {
					help = fmt.Sprintf("did you mean %q?", near)
				}
				say(index(key, i), "E0348", name, help, "there is no tag %q", name)
				continue
			}
			if other, twice := taken[name]; twice {
				say(index(key, i), "E0348", name, "make one group of the two", "tag %s is in atomic[%d] already", name, other)
				continue
			}
			taken[name] = g
			members = append(members, t)
		}
		if len(members) == len(group) {
			if problem, help := d.atomicProblem(members, order, holes); problem != "" {
				say(key, "E0348", "", help, "%s cannot be read in one request: %s", strings.Join(group, ", "), problem)
			}
		}
	}
}

func (d *Device) atomicProblem(members []*Tag, order Order, holes []stretch) (problem, help string) {
	var span item
	for i, t := range members {
		r, err := ParseReg(t.Reg, order)
		if err != nil {
			return "", "" // reported at the tag
		}
		one := item{area: r.Area, addr: int(r.Addr), count: r.count()}
		if i == 0 {
			span = one
			continue
		}
		if one.area != span.area {
			return fmt.Sprintf("%s is a %s, %s a %s", members[0].Name, span.area, t.Name, one.area), ""
		}
		if d.pollOf(t) != d.pollOf(members[0]) {
			return fmt.Sprintf("%s and %s have different polls", members[0].Name, t.Name), "give them the same poll"
		}
		span = span.cover(one)
	}
	l := d.limits()
	if size := l.size(span.area); span.count > size {
		return fmt.Sprintf("they reach over %d addresses, the device gives %d at a time", span.count, size), ""
	}
	if l.noRead = holes; l.forbidden(span.area, span.addr, span.end()) {
		return "no_read lies between them", ""
	}
	return "", ""
}

// cover is the item that holds both; they are of one area.
func (i item) cover(o item) item {
	from, to := min(i.addr, o.addr), max(i.end(), o.end())
	return item{area: i.area, addr: from, count: to - from, points: slices.Concat(i.points, o.points)}
}
