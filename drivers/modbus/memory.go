package modbus

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
)

// Memory keeps what was learnt over restarts; *buffer.Buffer satisfies it.
type Memory interface {
	Get(key string) (value []byte, ok bool, err error)
	Put(key string, value []byte) error
}

// learnt is what is remembered of a device: the addresses over which it cannot
// be read in one request. It is forgotten when the device's registers change.
type learnt struct {
	Registers uint32           `json:"registers"` // check sum over the device's registers and unit
	Breaks    map[string][]int `json:"breaks"`    // by area letter
}

// maxBreaks bounds what is remembered per area.
const maxBreaks = 256

func memoryKey(bus, device string) string { return "modbus/" + bus + "/" + device }

// fingerprint changes with everything that makes breaks meaningless.
func fingerprint(d *Device) uint32 {
	h := crc32.NewIEEE()
	fmt.Fprintln(h, d.unit(), d.Order)
	tags, _ := d.all()
	for _, t := range tags {
		fmt.Fprintln(h, t.Reg, t.ScaleTag)
	}
	return h.Sum32()
}

// recall reads what was learnt of a device; nil where there is nothing or it
// no longer applies.
func recall(m Memory, bus string, d *Device) map[Area][]int {
	if m == nil {
		return nil
	}
	raw, ok, err := m.Get(memoryKey(bus, d.Name))
	var l learnt
	if err != nil || !ok || json.Unmarshal(raw, &l) != nil || l.Registers != fingerprint(d) {
		return nil
	}
	out := map[Area][]int{}
	for letter, list := range l.Breaks {
		if len(letter) == 1 && len(list) <= maxBreaks {
			out[Area(letter[0])] = list
		}
	}
	return out
}

// learn adds a break and remembers all of them.
func (dev *device) learn(m Memory, bus string, a Area, addr int) error {
	list := dev.limits.breaks[a]
	if slices.Contains(list, addr) || len(list) >= maxBreaks {
		return nil
	}
	dev.limits.breaks[a] = append(list, addr)
	if m == nil {
		return nil
	}
	l := learnt{Registers: fingerprint(dev.cfg), Breaks: map[string][]int{}}
	for area, list := range dev.limits.breaks {
		l.Breaks[string(area)] = list
	}
	raw, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return m.Put(memoryKey(bus, dev.name), raw)
}
