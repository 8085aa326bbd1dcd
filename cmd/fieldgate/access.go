package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"

	"fieldgate/configs"
	"fieldgate/drivers"
	"fieldgate/drivers/modbus"
	"fieldgate/drivers/modbus/wire"
)

// access is one read or write of a command. The running gateway does it where
// it owns the line; else the command opens the line itself. Both run the same
// code below.
type access struct {
	Target target   `json:"target"`
	Regs   []string `json:"regs"`
	Value  string   `json:"value,omitempty"` // of a write, for its one register or tag
	All    bool     `json:"all,omitempty"`   // every type and order
}

// reading is the answer to a read: the document of `read --json`.
type reading struct {
	Schema   string       `json:"schema"`
	Target   string       `json:"target"`
	Via      string       `json:"via"` // "gateway" or "direct"
	Values   []valueDoc   `json:"values"`
	Requests int          `json:"requests"`
	Ms       float64      `json:"ms"`
	Decoded  []decodedDoc `json:"decoded,omitempty"`
}

type valueDoc struct {
	Reg     string          `json:"reg"`
	Address int             `json:"address"`
	Hex     string          `json:"hex"`
	Modicon string          `json:"modicon"`
	Value   json.RawMessage `json:"value"`
	Raw     string          `json:"raw,omitempty"`
	Unit    string          `json:"unit,omitempty"`
	Quality string          `json:"quality,omitempty"`
	Error   string          `json:"error,omitempty"`
}

type decodedDoc struct {
	Type  string          `json:"type"`
	Order string          `json:"order,omitempty"`
	Value json.RawMessage `json:"value"`
}

// written is the answer to a write.
type written struct {
	Schema   string          `json:"schema"`
	Target   string          `json:"target"`
	Via      string          `json:"via"`
	Reg      string          `json:"reg"`
	Value    json.RawMessage `json:"value"`
	ReadBack json.RawMessage `json:"readback"`
	Ms       float64         `json:"ms"`
}

// registers reads the register texts; the order defaults to the device's.
func (x *access) registers(order string) ([]modbus.Register, error) {
	def, err := modbus.ParseOrder(order)
	if err != nil {
		return nil, err
	}
	regs := make([]modbus.Register, 0, len(x.Regs))
	for _, text := range x.Regs {
		r, err := modbus.ParseReg(text, def)
		if err != nil {
			return nil, usageError{fmt.Errorf("%s: %w", text, err)}
		}
		regs = append(regs, r)
	}
	return regs, nil
}

// readOn reads over a line.
func (x *access) readOn(ctx context.Context, line modbus.Doer, unit byte, order string) (*reading, error) {
	regs, err := x.registers(order)
	if err != nil {
		return nil, err
	}
	got, err := modbus.ReadOnce(ctx, line, unit, regs...)
	if err != nil {
		return nil, err
	}
	doc := &reading{Schema: "fieldgate.read/1", Target: x.Target.name(), Requests: got.Requests, Ms: millis(got.Took)}
	for _, v := range got.Values {
		doc.Values = append(doc.Values, registerDoc(v))
	}
	if x.All {
		for _, d := range modbus.DecodeAll(decodable(ctx, line, unit, got.Values)) {
			doc.Decoded = append(doc.Decoded, decodedDoc{d.Type, d.Order, d.Value.AppendJSON(nil)})
		}
	}
	// One register that was refused is the whole answer: say it by the exit code.
	if len(got.Values) == 1 && got.Values[0].Err != nil {
		return nil, got.Values[0].Err
	}
	return doc, nil
}

// decodable is what `--decode all` looks at: the registers that were read, and
// where that is a single one also those behind it, as far as the device has
// them, since most values take two or four.
func decodable(ctx context.Context, line modbus.Doer, unit byte, values []modbus.RegisterValue) []byte {
	var raw []byte
	for _, v := range values {
		raw = append(raw, v.Raw...)
	}
	if len(values) != 1 || values[0].Register.Area.Bits() {
		return raw
	}
	for n := 8; n > len(raw); n /= 2 {
		r, err := modbus.ParseReg(fmt.Sprintf("%s:bytes%d", values[0].Register.Wire(), n), modbus.Order{})
		if err != nil {
			continue // beyond the last address
		}
		more, err := modbus.ReadOnce(ctx, line, unit, r)
		if err == nil && more.Values[0].Err == nil {
			return more.Values[0].Raw
		}
	}
	return raw
}

func registerDoc(v modbus.RegisterValue) valueDoc {
	doc := placeDoc(v.Register)
	doc.Value, doc.Raw = v.Value.AppendJSON(nil), hex.EncodeToString(v.Raw)
	if v.Err != nil {
		doc.Error = v.Err.Error()
	}
	return doc
}

func placeDoc(r modbus.Register) valueDoc {
	return valueDoc{Reg: r.String(), Address: int(r.Addr), Hex: r.Hex(), Modicon: r.Modicon()}
}

// writeOn writes a raw value over a line and reads it back.
func (x *access) writeOn(ctx context.Context, line modbus.Doer, unit byte, order string) (*written, error) {
	regs, err := x.registers(order)
	if err != nil {
		return nil, err
	}
	result, err := modbus.WriteOnce(ctx, line, unit, regs[0], drivers.ParseValue(x.Value))
	if err != nil {
		return nil, err
	}
	return x.writtenDoc(regs[0].String(), result), nil
}

func (x *access) writtenDoc(reg string, r drivers.WriteResult) *written {
	return &written{
		Schema: "fieldgate.write/1", Target: x.Target.name(), Reg: reg,
		Value: r.Value.AppendJSON(nil), ReadBack: r.ReadBack.AppendJSON(nil), Ms: millis(r.Took),
	}
}

// direct runs f on a line of the command's own.
func (x *access) direct(f func(line modbus.Doer, unit byte) error) error {
	line := wire.New(x.Target.Bus.Line(nil))
	defer line.Close()
	err := f(line, x.Target.Unit)
	if dns := (*net.DNSError)(nil); errors.As(err, &dns) {
		return fmt.Errorf("%w; check the name, or write the address", err)
	}
	return err
}

// fromFile fills in bus and unit of a device that the configuration knows, for
// a gateway that does not run.
func (t *target) fromFile(file *configs.File) (order string, err error) {
	for i := range file.Device {
		d := &file.Device[i]
		if d.Name != t.Device {
			continue
		}
		for j := range file.Bus {
			if file.Bus[j].Name == d.Bus {
				t.Bus, t.Unit = &file.Bus[j], byte(max(d.Unit, 1))
				return d.Order, nil
			}
		}
	}
	return "", usageError{fmt.Errorf("there is no device %q in the configuration", t.Device)}
}

// deviceExitCode is the exit code for an error of a device or its line.
func deviceExitCode(err error) int {
	var exception *wire.Exception
	switch {
	case errors.As(err, &exception):
		return exitException
	case errors.Is(err, wire.ErrTimeout), errors.Is(err, wire.ErrCRC), errors.Is(err, wire.ErrGone), errors.Is(err, context.DeadlineExceeded):
		return exitNoAnswer
	}
	return exitProblems
}

// ownerOf finds the driver of the running gateway that has the line.
func (g *gateway) ownerOf(b *modbus.Bus) (*modbus.Driver, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, s := range g.buses {
		if s.bus != nil && sameLine(s.bus, b) {
			return g.modbusDriver(name)
		}
	}
	return nil, false
}

// sameLine compares ports behind their links and addresses with their port.
func sameLine(a, b *modbus.Bus) bool {
	if a.Port != "" && b.Port != "" {
		return realPath(a.Port) == realPath(b.Port)
	}
	return address(a) != "" && address(a) == address(b)
}

func address(b *modbus.Bus) string {
	port := wire.DefaultPort
	text := b.TCP
	switch {
	case b.UDP != "":
		return "udp " + b.UDP
	case b.TLS != "":
		text, port = b.TLS, wire.DefaultTLSPort
	case b.RTUOverTCP != "":
		text = b.RTUOverTCP
	}
	if text == "" {
		return ""
	}
	if _, _, err := net.SplitHostPort(text); err != nil {
		return net.JoinHostPort(strings.Trim(text, "[]"), port)
	}
	return text
}

func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

func (g *gateway) modbusDriver(bus string) (*modbus.Driver, bool) {
	d, ok := g.super.Driver(bus)
	if !ok {
		return nil, false
	}
	m, ok := d.(*modbus.Driver)
	return m, ok
}

// find is the driver, unit and default order behind a target.
func (g *gateway) find(t target) (d *modbus.Driver, unit byte, order string, err error) {
	if t.Bus != nil {
		d, ok := g.ownerOf(t.Bus)
		if !ok {
			return nil, 0, "", withCode(exitProblems, "the gateway does not have this line")
		}
		return d, t.Unit, "", nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, s := range g.buses {
		for _, dev := range s.devices {
			if dev.Name != t.Device {
				continue
			}
			d, ok := g.modbusDriver(name)
			if !ok {
				return nil, 0, "", withCode(exitNoAnswer, "bus %s has just stopped for a new configuration; try again", name)
			}
			unit, _ := d.Unit(dev.Name)
			return d, unit, dev.Order, nil
		}
	}
	return nil, 0, "", usageError{fmt.Errorf("the gateway has no Modbus device %q; fieldgate status lists them", t.Device)}
}

func decodeAccess(r *http.Request) (*access, error) {
	var x access
	if err := json.NewDecoder(r.Body).Decode(&x); err != nil {
		return nil, usageError{fmt.Errorf("request: %w", err)}
	}
	return &x, nil
}

// owner says whether the gateway has the line of a target.
func (c *control) owner(r *http.Request) (any, error) {
	x, err := decodeAccess(r)
	if err != nil || x.Target.Bus == nil {
		return x != nil, err
	}
	_, has := c.g.ownerOf(x.Target.Bus)
	return has, nil
}

// read serves `fieldgate read`: registers between two polls, or a tag as the
// pipeline makes it.
func (c *control) read(r *http.Request) (any, error) {
	x, err := decodeAccess(r)
	if err != nil {
		return nil, err
	}
	if x.Target.Tag != "" || len(x.Regs) == 0 {
		return c.readTags(r.Context(), x)
	}
	d, unit, order, err := c.g.find(x.Target)
	if err != nil {
		return nil, err
	}
	return x.readOn(r.Context(), d, unit, order)
}

func (c *control) readTags(ctx context.Context, x *access) (any, error) {
	if x.Target.Device == "" {
		return nil, usageError{errors.New("name the registers to read, as h100:int16")}
	}
	var names []string
	if x.Target.Tag != "" {
		names = []string{x.Target.Tag}
	}
	samples, err := c.g.super.Read(ctx, x.Target.Device, names...)
	if err != nil {
		return nil, err
	}
	doc := &reading{Schema: "fieldgate.read/1", Target: x.Target.name(), Requests: 1}
	for _, s := range samples {
		doc.Values = append(doc.Values, c.g.tagDoc(s))
	}
	return doc, nil
}

// tagDoc is a tag's sample as the pipeline made it.
func (g *gateway) tagDoc(s drivers.Sample) valueDoc {
	state, _ := g.super.Tag(s.Device, s.Tag)
	v := valueDoc{Reg: s.Tag, Value: s.Value.AppendJSON(nil), Unit: state.Tag.Unit, Quality: s.Quality.String(), Error: s.Reason}
	if reg, err := modbus.ParseReg(state.Tag.Address, modbus.Order{}); err == nil {
		place := placeDoc(reg)
		v.Address, v.Hex, v.Modicon = place.Address, place.Hex, place.Modicon
	}
	return v
}

// write serves `fieldgate write`: a tag by its rules, or raw registers.
func (c *control) write(r *http.Request) (any, error) {
	x, err := decodeAccess(r)
	if err != nil {
		return nil, err
	}
	if x.Target.Tag != "" {
		result, err := c.g.super.Write(r.Context(), x.Target.Device, x.Target.Tag, drivers.ParseValue(x.Value))
		if err != nil {
			return nil, err
		}
		return x.writtenDoc(x.Target.Tag, result), nil
	}
	d, unit, order, err := c.g.find(x.Target)
	if err != nil {
		return nil, err
	}
	var doc *written
	err = d.Exclusive(r.Context(), func(ctx context.Context, line modbus.Doer) (err error) {
		doc, err = x.writeOn(ctx, line, unit, order)
		return err
	})
	return doc, err
}
