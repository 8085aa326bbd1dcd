package encode

import "strconv"

// group writes the tags of a device read together:
//
//	{"ts":…,"device":"boiler2","values":{"water_temp":71.4},"errors":{"pressure":"timeout"}}
//
// ts is the time of the first sample; a tag read later has its milliseconds
// after ts in "dt". An uncertain value is in values and in errors, a bad one
// in errors alone. A tag that comes again, or another device, begins a new
// group; a batch of several groups is an array of them.
func (e *Encoder) group(items []Item) ([]byte, error) {
	groups := splitGroups(items)
	if len(groups) == 1 && !e.o.Batch {
		return e.appendGroup(nil, groups[0]), nil
	}
	dst := []byte{'['}
	for i, g := range groups {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = e.appendGroup(dst, g)
	}
	return append(dst, ']'), nil
}

// splitGroups cuts the items where the device changes or a tag repeats.
func splitGroups(items []Item) [][]Item {
	var out [][]Item
	start, seen := 0, map[string]bool{}
	for i, it := range items {
		if i > start && (it.Sample.Device != items[start].Sample.Device || seen[it.Sample.Tag]) {
			out = append(out, items[start:i])
			start = i
			clear(seen)
		}
		seen[it.Sample.Tag] = true
	}
	return append(out, items[start:])
}

func (e *Encoder) appendGroup(dst []byte, items []Item) []byte {
	dst = append(dst, '{')
	if e.many(items) {
		dst = e.appendNumbers(dst, items)
	}
	dst, synced := e.appendTime(appendKey(dst, "ts"), items[0].Sample.Time)
	dst = AppendString(appendKey(dst, "device"), items[0].Sample.Device)

	dst = append(appendKey(dst, "values"), '{')
	for _, it := range items {
		if v := parseScalar(it.Sample.Value); v.kind != isNull {
			dst = append(appendKey(dst, it.Sample.Tag), v.text...)
		}
	}
	dst = append(dst, '}')
	dst = appendFaults(dst, items)
	dst = e.appendOffsets(dst, items)
	return append(appendClock(dst, synced), '}')
}

func appendFaults(dst []byte, items []Item) []byte {
	open := false
	for _, it := range items {
		fault := faultOf(it.Sample)
		if fault == "" {
			continue
		}
		if !open {
			dst, open = append(appendKey(dst, "errors"), '{'), true
		}
		dst = AppendString(appendKey(dst, it.Sample.Tag), fault)
	}
	if open {
		dst = append(dst, '}')
	}
	return dst
}

func (e *Encoder) appendOffsets(dst []byte, items []Item) []byte {
	base, _ := e.millis(items[0].Sample.Time)
	open := false
	for _, it := range items[1:] {
		ms, _ := e.millis(it.Sample.Time)
		if ms == base {
			continue
		}
		if !open {
			dst, open = append(appendKey(dst, "dt"), '{'), true
		}
		dst = strconv.AppendInt(appendKey(dst, it.Sample.Tag), ms-base, 10)
	}
	if open {
		dst = append(dst, '}')
	}
	return dst
}
