package conformance

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// shape is a packet that a client may send, in its fullest form. %s stands
// where properties are, one place each.
type shape struct {
	name  string
	text  string   // with %s for the bytes of the properties
	place []string // of each %s
	whole []int    // lengths of a body cut short that is still a packet
	v5    bool
	admit bool // it is a CONNECT: sent on a fresh connection
	ends  bool // it ends the connection where it is right too
}

// The packets of the matrix. What is right leaves the connection open, but for
// DISCONNECT. That of 3.1.1 is not here: nothing comes back in any case.
var shapes = []shape{
	{name: "CONNECT", v5: true, admit: true, place: []string{inConnect, inWill},
		text: `10( 'MQTT' 05 c6 003c ( %s ) '%%' ( %s ) 'w' 'm' 'u' 'p' )`},
	{name: "PUBLISH", v5: true, place: []string{inPublish}, text: `32( 't' 0001 ( %s ) "m" )`, whole: []int{-1}},
	{name: "PUBACK", v5: true, place: []string{inPuback}, text: `40( 0777 00 ( %s ) )`, whole: []int{2, 3}},
	{name: "PUBREC", v5: true, place: []string{inPubrec}, text: `50( 0777 00 ( %s ) )`, whole: []int{2, 3}},
	{name: "PUBREL", v5: true, place: []string{inPubrel}, text: `62( 0777 00 ( %s ) )`, whole: []int{2, 3}},
	{name: "PUBCOMP", v5: true, place: []string{inPubcomp}, text: `70( 0777 00 ( %s ) )`, whole: []int{2, 3}},
	{name: "SUBSCRIBE", v5: true, place: []string{inSubscribe}, text: `82( 0001 ( %s ) 'f' 00 )`},
	{name: "UNSUBSCRIBE", v5: true, place: []string{inUnsubscribe}, text: `a2( 0001 ( %s ) 'f' )`},
	{name: "PINGREQ", v5: true, text: `c0()`},
	{name: "DISCONNECT", v5: true, ends: true, place: []string{inDisconnect}, text: `e0( 04 ( %s ) )`, whole: []int{0, 1}},
	{name: "CONNECT", admit: true, text: `10( 'MQTT' 04 c6 003c '%%' 'w' 'm' 'u' 'p' )`},
	{name: "PUBLISH", text: `32( 't' 0001 "m" )`, whole: []int{5}},
	{name: "PUBACK", text: `40( 0777 )`},
	{name: "PUBREC", text: `50( 0777 )`},
	{name: "PUBREL", text: `62( 0777 )`},
	{name: "PUBCOMP", text: `70( 0777 )`},
	{name: "SUBSCRIBE", text: `82( 0001 'f' 00 'g' 01 )`, whole: []int{6}},
	{name: "UNSUBSCRIBE", text: `a2( 0001 'f' 'g' )`, whole: []int{5}},
	{name: "PINGREQ", text: `c0()`},
}

// malformed is one packet of the matrix.
type malformed struct {
	name  string
	shape *shape
	bytes []byte
	right bool // it is a packet after all
	cut   bool // the socket ends within it
}

// matrix makes all packets of a shape.
func matrix(t *testing.T, s *shape) []malformed {
	var all []malformed
	add := func(what string, b []byte, right bool) {
		all = append(all, malformed{name: what, shape: s, bytes: b, right: right})
	}
	full := s.with(t, s.full)
	add("whole", full, true)
	s.truncations(full, &all)
	for flags := range byte(16) {
		if s.name != "PUBLISH" && flags != full[0]&0x0F {
			add(fmt.Sprintf("flags %x", flags), append([]byte{full[0]&0xF0 | flags}, full[1:]...), false)
		}
	}
	if s.name != "PUBLISH" { // more bytes there are a payload
		_, used := readVarint(full[1:])
		body := append(slices.Clone(full[1+used:]), 0)
		add("a byte too many", append(varint([]byte{full[0]}, len(body)), body...), false)
	}
	for at, place := range s.place {
		for id := range 0x2C {
			p, known := propertyForms[byte(id)]
			one := fmt.Sprintf("%02x %s", id, p.sample())
			alone := func(text string) []byte {
				return s.with(t, func(i int) string {
					if i == at {
						return text
					}
					return ""
				})
			}
			fits := slices.Contains(p.in, place) && p.name != "authentication data" && p.name != "authentication method"
			name := fmt.Sprintf("%02x %s in %s", id, p.name, place)
			switch {
			case !known:
				add(fmt.Sprintf("unknown property %02x in %s", id, place), alone(fmt.Sprintf("%02x 01", id)), false)
				continue
			case p.form == yesOrNo && p.name == "payload format indicator":
				one = fmt.Sprintf("%02x 01", id)
			}
			if place == inDisconnect && id == 0x11 {
				fits = false // CONNECT said 0
			}
			add(name, alone(one), fits)
			if fits {
				add(name+" twice", alone(one+one), p.repeats)
				if zero := p.outOfRange(); zero != "" {
					add(name+" out of range", alone(fmt.Sprintf("%02x %s", id, zero)), false)
				}
			}
		}
	}
	return all
}

// full are all properties that a place may have.
func (s *shape) full(i int) string {
	var b strings.Builder
	for id := range 0x2C {
		p := propertyForms[byte(id)]
		skip := strings.HasPrefix(p.name, "authentication") || s.name == "DISCONNECT" && id == 0x11
		if slices.Contains(p.in, s.place[i]) && !skip {
			fmt.Fprintf(&b, "%02x %s ", id, p.sample())
		}
	}
	return b.String()
}

// with writes the packet with the properties that props says for each place.
func (s *shape) with(t *testing.T, props func(i int) string) []byte {
	args := []any{}
	for i := range s.place {
		args = append(args, props(i))
	}
	e := newRun("", s.v5, true, 0).env
	x, err := e.parse(fmt.Sprintf(s.text, args...))
	if err != nil {
		t.Fatal(err)
	}
	b, err := e.encode(x)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// truncations cuts a packet at every byte: with a length that says so, and
// with the end of the connection there.
func (s *shape) truncations(full []byte, all *[]malformed) {
	_, used := readVarint(full[1:])
	body := full[1+used:]
	for n := range len(body) {
		right := slices.Contains(s.whole, n) || slices.Contains(s.whole, n-len(body))
		*all = append(*all, malformed{fmt.Sprintf("cut to %d of %d bytes", n, len(body)), s,
			append(varint([]byte{full[0]}, n), body[:n]...), right, false})
	}
	for n := 1; n < len(full); n++ {
		*all = append(*all, malformed{fmt.Sprintf("socket ends after %d of %d bytes", n, len(full)), s, full[:n], false, true})
	}
}

// verdict is what a broker does with a packet: true if it takes it for right.
func (m *malformed) verdict(addr string) (taken bool, err error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return false, err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(generous))
	w := &wire{run: newRun(addr, m.shape.v5, true, generous), nc: nc, r: bufio.NewReader(nc)}
	if !m.shape.admit {
		if err := w.connect(`10( 'MQTT' VV 02 0000 {} '%' )`, ""); err != nil {
			return false, err
		}
	}
	send := slices.Clone(m.bytes)
	if !m.cut {
		send = append(send, 0xC0, 0)
	}
	nc.Write(send) // fails where the broker has closed meanwhile; what it said can still be read
	if m.cut {
		nc.(*net.TCPConn).CloseWrite()
	}
	for {
		b, err := w.read()
		if err != nil {
			if isTimeout(err) {
				return false, fmt.Errorf("neither an answer nor the end")
			}
			// A right DISCONNECT ends the connection without an answer.
			return m.shape.ends && !m.cut, nil
		}
		switch b[0] & 0xF0 {
		case 0x20:
			if !slices.Contains([]byte{0, 4, 5, 0x86, 0x87}, b[3]) { // the login is wrong, but the packet right
				io.Copy(io.Discard, nc)
				return false, nil
			}
			if m.shape.admit {
				return true, nil
			}
		case 0xD0:
			return true, nil
		case 0xE0:
			io.Copy(io.Discard, nc)
			return false, nil
		}
	}
}

// TestMalformed sends the whole matrix to our broker.
func TestMalformed(t *testing.T) {
	addr := ourBroker(t, false)
	for i := range shapes {
		s := &shapes[i]
		t.Run(s.title(), func(t *testing.T) {
			t.Parallel()
			for _, m := range matrix(t, s) {
				taken, err := m.verdict(addr)
				if err != nil || taken != m.right {
					t.Errorf("%s: taken: %v, want %v (%v): % x", m.name, taken, m.right, err, m.bytes)
				}
			}
		})
	}
	t.Cleanup(func() { // it has survived
		if err := newRun(addr, true, true, generous).do("a connect\na none"); err != nil {
			t.Error(err)
		}
	})
}

func (s *shape) title() string {
	if s.v5 {
		return "5.0 " + s.name
	}
	return "3.1.1 " + s.name
}

// TestMalformedMosquitto compares with what mosquitto takes.
func TestMalformedMosquitto(t *testing.T) {
	addr := mosquitto(t, false)
	used := make([]atomic.Bool, len(lenience))
	t.Cleanup(func() {
		for i := range used {
			if !used[i].Load() && debian {
				t.Errorf("mosquitto does not differ any more: %s", lenience[i].pattern)
			}
		}
	})
	for i := range shapes {
		s := &shapes[i]
		if s.ends {
			continue
		}
		t.Run(s.title(), func(t *testing.T) {
			t.Parallel()
			for _, m := range matrix(t, s) {
				taken, err := m.verdict(addr)
				if err != nil {
					t.Errorf("%s: %v", m.name, err)
				}
				if taken == m.right {
					continue
				}
				if known := lenient(s.title() + ": " + m.name); known >= 0 {
					used[known].Store(true)
				} else {
					t.Errorf("%s: mosquitto takes it: %v, and lenience does not say so: % x", m.name, taken, m.bytes)
				}
			}
		})
	}
}
