package conformance

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A script is a list of lines. The first word is the name of a connection, the
// second what it does:
//
//	a open               opens a connection
//	a> BYTES             sends (see expr)
//	a< BYTES             expects that the next packet is this one
//	a connect            open, CONNECT with Clean Start as client %a, CONNACK of success
//	a session [STATE]    the same without Clean Start, for a session that stays; STATE "new" or "present" is what CONNACK must say
//	a sub FILTER OPTIONS SUBSCRIBE, and SUBACK that grants the QoS
//	a pub TOPIC QOS TEXT PUBLISH with its whole exchange; "-" is no text, a QoS like 1r asks to retain
//	a get TOPIC QOS TEXT expects that PUBLISH and acknowledges it; 1r with RETAIN, 1d with DUP
//	a none               nothing has come before the answer to a PINGREQ
//	a sync               waits for the answer to a PINGREQ; what comes before is kept for later
//	a leave              DISCONNECT, and the broker closes
//	a cut                closes the socket without a word
//	a end [CODES]        the broker closes, in MQTT 5.0 after a DISCONNECT with one of the codes
//	a closes or BYTES    the broker closes, or answers so
//	a announces 24 01    the last packet has this property, with this value; -24: has it not
//	a fits 20            the next packet, if any, has at most so many bytes
//	a refused [CODES]    the broker closes after a CONNACK with one of the codes
//	wait 1s              lets time pass
//	different $1 $2      the packet ids are not the same
//
// Whether a closing broker says why, and with which of several codes, the
// standard mostly leaves open: only our own broker is held to it.
type run struct {
	env
	addr     string
	patience time.Duration
	strict   bool // hold the broker to reason codes
	peers    map[string]*wire
}

var runs atomic.Uint64

func newRun(addr string, v5, strict bool, patience time.Duration) *run {
	return &run{
		env:  env{v5: v5, unique: fmt.Sprintf("k%d", runs.Add(1)), vars: map[string]uint16{}},
		addr: addr, patience: patience, strict: strict, peers: map[string]*wire{},
	}
}

// do runs a script; the error names the line.
func (r *run) do(script string) error {
	defer func() {
		for _, w := range r.peers {
			w.nc.Close()
		}
	}()
	for i, line := range strings.Split(strings.TrimSpace(script), "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if err := r.step(line); err != nil {
			return fmt.Errorf("line %d: %s: %w", i+1, line, err)
		}
	}
	return nil
}

func (r *run) step(line string) error {
	name, rest, _ := strings.Cut(line, " ")
	if name == "wait" {
		d, err := time.ParseDuration(rest)
		time.Sleep(d)
		return err
	}
	if name == "different" {
		return r.different(strings.Fields(rest))
	}
	verb, rest, _ := strings.Cut(rest, " ")
	if n := len(name) - 1; name[n] == '>' || name[n] == '<' {
		_, rest, _ = strings.Cut(line, " ")
		name, verb = name[:n], name[n:]
	}
	if verb == "open" || verb == "connect" || verb == "session" {
		if err := r.open(name); err != nil {
			return err
		}
	}
	w := r.peers[name]
	if w == nil {
		return errors.New("this connection is not open")
	}
	words := strings.Fields(r.word(rest))
	switch verb {
	case "open":
		return nil
	case ">":
		return w.sendText(rest)
	case "<":
		return w.expectText(rest)
	case "connect":
		return w.connect(fmt.Sprintf("10( 'MQTT' VV 02 003c {} '%%%s' )", name), "")
	case "session":
		return w.connect(fmt.Sprintf("10( 'MQTT' VV 00 003c { 11 00000e10 } '%%%s' )", name), rest)
	case "sub":
		return w.subscribe(words)
	case "pub":
		return w.publish(words)
	case "get":
		return w.get(words)
	case "none":
		return w.none()
	case "sync":
		return w.sync()
	case "leave":
		if err := w.sendText("e0()"); err != nil {
			return err
		}
		return w.end(0xE0, nil)
	case "cut":
		return w.nc.Close()
	case "end":
		return w.end(0xE0, words)
	case "closes":
		return w.closesOr(strings.TrimPrefix(rest, "or "))
	case "announces":
		return w.announces(words)
	case "fits":
		return w.fits(words[0])
	case "refused":
		return w.end(0x20, words)
	}
	return fmt.Errorf("unknown verb %q", verb)
}

func (r *run) different(names []string) error {
	seen := map[uint16]bool{}
	for _, n := range names {
		if id := r.vars[n]; seen[id] || id == 0 {
			return fmt.Errorf("%s is %d", n, id)
		}
		seen[r.vars[n]] = true
	}
	return nil
}

func (r *run) open(name string) error {
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		return err
	}
	if old := r.peers[name]; old != nil {
		old.nc.Close()
	}
	r.peers[name] = &wire{run: r, nc: nc, r: bufio.NewReader(nc)}
	return nil
}

// wire is one connection of a script.
type wire struct {
	*run
	nc    net.Conn
	r     *bufio.Reader
	early [][]byte // came while something else was waited for
	ids   uint16
	last  []byte // read by next
}

func (w *wire) sendText(text string) error {
	x, err := w.parse(text)
	if err != nil {
		return err
	}
	b, err := w.encode(x)
	if err != nil {
		return err
	}
	w.nc.SetWriteDeadline(time.Now().Add(w.patience))
	_, err = w.nc.Write(b)
	if err != nil && !isTimeout(err) {
		return nil // the broker has closed; whether it may is for what follows to say
	}
	return err
}

func (w *wire) expectText(text string) error {
	b, err := w.next()
	if err != nil {
		return err
	}
	return w.is(b, text)
}

func (w *wire) is(b []byte, text string) error {
	x, err := w.parse(text)
	if err != nil {
		return err
	}
	if !w.match(x, b) {
		return fmt.Errorf("got % x %q", b[:min(len(b), 200)], b[:min(len(b), 200)])
	}
	return nil
}

func (w *wire) next() (b []byte, err error) {
	if len(w.early) > 0 {
		b, w.early = w.early[0], w.early[1:]
	} else {
		b, err = w.read()
	}
	w.last = b
	return b, err
}

// read reads a packet, fixed header and all.
func (w *wire) read() ([]byte, error) {
	w.nc.SetReadDeadline(time.Now().Add(w.patience))
	first, err := w.r.ReadByte()
	if err != nil {
		return nil, err
	}
	head := []byte{first}
	for {
		c, err := w.r.ReadByte()
		if err != nil {
			return nil, err
		}
		head = append(head, c)
		if c < 0x80 {
			break
		}
		if len(head) == 5 {
			return nil, errors.New("a length of more than four bytes")
		}
	}
	n, _ := readVarint(head[1:])
	b := append(head, make([]byte, n)...)
	_, err = io.ReadFull(w.r, b[len(head):])
	return b, err
}

// await reads up to a packet of a type and puts others aside.
func (w *wire) await(first byte) ([]byte, error) {
	for {
		b, err := w.read()
		if err != nil {
			return nil, err
		}
		if b[0]&0xF0 == first&0xF0 {
			return b, nil
		}
		w.early = append(w.early, b)
	}
}

func (w *wire) connect(packet, state string) error {
	if err := w.sendText(packet); err != nil {
		return err
	}
	return w.expectText(map[string]string{
		"": "20( [00 01] 00 * )", "new": "20( 00 00 * )", "present": "20( 01 00 * )",
	}[state])
}

func (w *wire) exchange(send, first, expect string) error {
	if err := w.sendText(send); err != nil {
		return err
	}
	n, err := strconv.ParseUint(first, 16, 8)
	if err != nil {
		return err
	}
	b, err := w.await(byte(n))
	if err != nil {
		return err
	}
	return w.is(b, expect)
}

func (w *wire) subscribe(words []string) error {
	options, err := strconv.ParseUint(words[1], 16, 8)
	if err != nil {
		return err
	}
	w.ids++
	return w.exchange(fmt.Sprintf("82( %04x {} '%s' %02x )", w.ids, words[0], options),
		"90", fmt.Sprintf("90( %04x {} %02x )", w.ids, options&3))
}

// quality reads a QoS with its flags.
func quality(word string) (qos, first byte) {
	qos = word[0] - '0'
	first = 0x30 | qos<<1
	if strings.Contains(word, "r") {
		first |= 1
	}
	if strings.Contains(word, "d") {
		first |= 8
	}
	return qos, first
}

func text(word string) string {
	if word == "-" {
		return ""
	}
	return word
}

func (w *wire) publish(words []string) error {
	qos, first := quality(words[1])
	w.ids++
	id := ""
	if qos > 0 {
		id = fmt.Sprintf("%04x", w.ids)
	}
	send := fmt.Sprintf(`%02x( '%s' %s {} "%s" )`, first, words[0], id, text(words[2]))
	switch qos {
	case 1:
		return w.exchange(send, "40", "40( "+id+" * )")
	case 2:
		if err := w.exchange(send, "50", "50( "+id+" * )"); err != nil {
			return err
		}
		return w.exchange("62( "+id+" )", "70", "70( "+id+" * )")
	}
	if err := w.sendText(send); err != nil {
		return err
	}
	return w.sync()
}

func (w *wire) get(words []string) error {
	qos, first := quality(words[1])
	w.ids++
	id := ""
	if qos > 0 {
		id = fmt.Sprintf("$get%p-%d", w, w.ids)
	}
	if err := w.expectText(fmt.Sprintf(`%02x( '%s' %s {} "%s" )`, first, words[0], id, text(words[2]))); err != nil {
		return err
	}
	switch qos {
	case 1:
		return w.sendText("40( " + id + " )")
	case 2:
		if err := w.exchange("50( "+id+" )", "60", "62( "+id+" * )"); err != nil {
			return err
		}
		return w.sendText("70( " + id + " )")
	}
	return nil
}

func (w *wire) none() error {
	if err := w.sync(); err != nil {
		return err
	}
	if len(w.early) > 0 {
		return fmt.Errorf("got % x %q", w.early[0], w.early[0])
	}
	return nil
}

func (w *wire) sync() error {
	if err := w.sendText("c0()"); err != nil {
		return err
	}
	_, err := w.await(0xD0)
	return err
}

// end expects the connection to be closed, perhaps after one packet of the
// type first, with one of the codes.
func (w *wire) end(first byte, codes []string) error {
	said := "-"
	for {
		b, err := w.next()
		if err != nil {
			if isTimeout(err) {
				return errors.New("the connection stays open")
			}
			break
		}
		if b[0] != first || said != "-" {
			return fmt.Errorf("got % x, want the end", b)
		}
		said = "00"
		switch {
		case first == 0x20 && len(b) > 3:
			said = fmt.Sprintf("%02x", b[3])
		case first == 0xE0 && len(b) > 2:
			said = fmt.Sprintf("%02x", b[2])
		}
		old := first == 0x20 && len(b) == 4 // a CONNACK as of 3.1.1, to a client of nobody knows which version
		if said == "00" || said < "80" && w.v5 && !old {
			return fmt.Errorf("got % x, which means no failure", b)
		}
		if first == 0x20 && b[2] != 0 {
			return errors.New("session present in a CONNACK that refuses")
		}
	}
	apply := false
	for _, c := range codes {
		if c == said {
			return nil
		}
		apply = apply || (c >= "80") == w.v5
	}
	if !w.strict || !apply || first == 0xE0 && !w.v5 {
		return nil
	}
	return fmt.Errorf("closed with code %q, want one of %v", said, codes)
}

func (w *wire) closesOr(text string) error {
	b, err := w.next()
	switch {
	case err != nil && isTimeout(err):
		return errors.New("no answer, and the connection stays open")
	case err != nil || b[0] == 0xE0:
		return nil
	}
	return w.is(b, text)
}

func (w *wire) fits(word string) error {
	most, err := strconv.Atoi(word)
	if err != nil {
		return err
	}
	b, err := w.next()
	if err != nil {
		return nil // closed without a word; end sees to that
	}
	if len(b) > most {
		return fmt.Errorf("got %d bytes: %q", len(b), b)
	}
	w.early = append([][]byte{b}, w.early...)
	return nil
}

// announces looks for a property in the last packet, a CONNACK or DISCONNECT.
func (w *wire) announces(words []string) error {
	_, used := readVarint(w.last[1:])
	body := w.last[1+used:]
	props := body[min(len(body), map[byte]int{0x20: 2, 0xE0: 1}[w.last[0]]):]
	if n, used := readVarint(props); used > 0 {
		props = props[used : used+n]
	}
	id, absent := strings.CutPrefix(words[0], "-")
	for len(props) > 0 {
		kind, ok := propertyForms[props[0]]
		if !ok {
			return fmt.Errorf("unknown property %02x", props[0])
		}
		size := kind.size(props[1:])
		if fmt.Sprintf("%02x", props[0]) == id {
			value := fmt.Sprintf("%x", props[1:1+size])
			if absent || len(words) > 1 && value != words[1] {
				return fmt.Errorf("property %s is %s", id, value)
			}
			return nil
		}
		props = props[1+size:]
	}
	if !absent {
		return fmt.Errorf("no property %s in % x", id, w.last)
	}
	return nil
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
