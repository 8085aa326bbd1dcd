package serial

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/drivers"
	"fieldgate/drivers/port"
)

// program is a Config in the form in which it runs.
type program struct {
	name       string
	line       lineSettings
	shape      shape
	check      checker
	idle       []byte
	max        int
	transform  transform
	content    content
	requests   []*request // none: the instrument talks by itself
	init       [][]byte
	initWait   time.Duration
	staleAfter time.Duration
	tags       []*tag
}

// lineSettings is the wire.
type lineSettings struct {
	tcp    string // host:port of a serial server; else the port below
	port   port.Config
	settle time.Duration
}

// request is one poll.
type request struct {
	name    string
	send    []byte
	every   time.Duration
	timeout time.Duration
	retries int
	echo    bool
}

// tag is one value: where it stands, what it means, what became of it.
type tag struct {
	drivers.Tag
	pick    pick
	match   *match
	validIf *cond
	request string
	rules   drivers.Rules
	raw     drivers.RawType
}

// match is bytes that a frame must have for a tag to be in it.
type match struct {
	at     int
	equals []byte
}

// cond is a field that must, or must not, say something.
type cond struct {
	pick pick
	text string
	not  bool
}

// Validate reports everything that is wrong with the section.
func (c Config) Validate(bad conf.Bad) { compile(c, bad) }

// compiler collects problems on the way from Config to program.
type compiler struct {
	c    Config
	p    *program
	bad  conf.Bad
	kind string // of the frame
	end  []byte // of the frame
}

// compile returns a program that may only be run if bad was not called with
// an error.
func compile(c Config, bad conf.Bad) *program {
	k := &compiler{c: c, bad: bad, p: &program{name: c.Name, staleAfter: c.StaleAfter.Or(DefaultStaleAfter)}}
	k.checkName("name", c.Name)
	k.compileLine()
	k.compileFrame()
	k.compileCheck()
	k.compileTransform()
	k.compileContent()
	k.compileRequests()
	k.compileTags()
	return k.p
}

// problem reports an error; a wordError and a texted error know their help.
func (k *compiler) problem(key, code string, err error) {
	p := conf.Problem{Key: key, Code: code, Text: err.Error()}
	var w *wordError
	if errors.As(err, &w) {
		p.Help, p.Part = w.help(), w.word
	} else if text, help, ok := strings.Cut(p.Text, "; "); ok {
		p.Text, p.Help = text, help
	}
	k.bad(p)
}

func (k *compiler) problemf(key, code, format string, args ...any) {
	k.problem(key, code, fmt.Errorf(format, args...))
}

// checkName: a name becomes a level of a topic.
func (k *compiler) checkName(key, name string) {
	switch {
	case name == "":
		k.problemf(key, "E0421", `the name is missing; it becomes a level of the topic: name = "scale1"`)
	case strings.ContainsAny(name, "/+#\x00"):
		k.problemf(key, "E0425", `name %q has one of / + #, which mean something else in topics; use letters, digits, - and _`, name)
	}
}

func (k *compiler) compileLine() {
	l := &k.p.line
	l.settle = k.c.Settle.Std()
	address, isTCP := strings.CutPrefix(k.c.Port, "tcp://")
	switch {
	case k.c.Port == "":
		k.problemf("port", "E0421", `the port is missing; "fieldgate ports" lists them, or write tcp://host:port for a serial server`)
	case isTCP:
		l.tcp = address
		if host, number, ok := strings.Cut(address, ":"); !ok || host == "" || !isDigits(number[strings.LastIndexByte(number, ':')+1:]) {
			k.problemf("port", "E0428", `%q is not the address of a serial server; write tcp://host:port`, k.c.Port)
		}
	case strings.Contains(k.c.Port, "://"):
		k.problemf("port", "E0428", `%q is not a port; write a path as /dev/serial/by-id/… or tcp://host:port`, k.c.Port)
	}
	l.port = port.Config{Path: k.c.Port, Baud: DefaultBaud, DTR: k.c.DTR}
	if k.c.Baud != 0 {
		l.port.Baud = k.c.Baud
	}
	if l.port.Baud < 50 || l.port.Baud > 4_000_000 {
		k.problemf("baud", "E0428", "%d is not a speed of a serial line; 50 to 4000000, mostly 9600", k.c.Baud)
	}
	mode, err := port.ParseMode(k.c.Mode)
	if err != nil {
		k.problem("mode", "E0428", err)
	}
	l.port.Mode = mode
}

func (k *compiler) compileTransform() {
	t := k.c.Transform
	k.checkByte("transform.sub", t.Sub)
	k.checkByte("transform.xor", t.Xor)
	k.p.transform = transform{
		strip7: t.Strip7, sub: byte(t.Sub), xor: byte(t.Xor), hex: t.Hex,
		span: k.span("transform.range", t.Range),
	}
}

func (k *compiler) checkByte(key string, n int) {
	if n < 0 || n > 255 {
		k.problemf(key, "E0424", "%d is not a byte; 0 to 255", n)
	}
}

// span reads a range of two positions; none is the whole frame.
func (k *compiler) span(key string, r []int) span {
	switch {
	case len(r) == 0:
		return span{}
	case len(r) != 2:
		k.problemf(key, "E0424", "a range is two positions; the first byte and the one behind the last, as [2, -2]")
	case r[1] == 0, r[1] < r[0] && (r[0] < 0) == (r[1] < 0):
		k.problemf(key, "E0424", "the range [%d, %d] is empty; negative positions count from the end of the frame", r[0], r[1])
	default:
		return span{r[0], r[1]}
	}
	return span{}
}

func (k *compiler) compileRequests() {
	k.p.initWait = k.c.InitWait.Or(DefaultInitWait)
	for i, text := range k.c.Init {
		if b := k.sendBytes(fmt.Sprintf("init[%d]", i), text); b != nil {
			k.p.init = append(k.p.init, b)
		}
	}
	if k.c.Request != nil {
		k.compileRequest("request", *k.c.Request)
	}
	for i, r := range k.c.Requests {
		k.compileRequest(fmt.Sprintf("requests[%d]", i), r)
	}
	if k.kind == "fixed" && len(k.p.requests) == 0 && k.c.Frame.Start == "" && k.c.Frame.End == "" && k.p.check.kind == "none" {
		k.problemf("frame", "E0425", `nothing tells where a frame of this stream begins; add start, end or a check`)
	}
}

func (k *compiler) compileRequest(key string, r Request) {
	q := &request{name: r.Name, every: r.Every.Or(DefaultEvery), timeout: r.Timeout.Or(DefaultTimeout), retries: r.Retries, echo: r.Echo}
	q.send = k.sendBytes(key+".send", r.Send)
	switch {
	case q.every < 10*time.Millisecond:
		k.problemf(key+".every", "E0424", "%s is too fast; 10ms is the least", r.Every)
	case q.every > k.p.staleAfter:
		k.bad(conf.Problem{Key: key + ".every", Code: "W0421",
			Text: fmt.Sprintf("values turn stale after %s, before the next request", conf.Duration(k.p.staleAfter)), Help: "raise stale_after"})
	}
	if r.Retries < 0 || r.Retries > 10 {
		k.problemf(key+".retries", "E0424", "%d retries; 0 to 10 are possible", r.Retries)
	}
	if r.Name != "" && slices.ContainsFunc(k.p.requests, func(o *request) bool { return o.name == r.Name }) {
		k.problemf(key+".name", "E0427", "two requests are called %q; give each its own name", r.Name)
	}
	k.p.requests = append(k.p.requests, q)
}

// sendBytes reads a request; {check} in it is replaced by the check over what
// stands before it. nil after a problem.
func (k *compiler) sendBytes(key, text string) []byte {
	if text == "" {
		k.problemf(key, "E0421", `what to send is missing; write text as 'Q\r\n', or bytes as "hex:FF 01"`)
		return nil
	}
	head, tail, withCheck := strings.Cut(text, "{check}")
	b, err := parseBytes(head, false)
	if err != nil {
		k.problem(key, "E0423", err)
		return nil
	}
	if !withCheck {
		return b
	}
	if k.p.check.kind == "none" {
		k.problemf(key, "E0429", `{check} needs the kind of the check; add check = { kind = "…" }`)
		return nil
	}
	rest, err := parseBytes(tail, strings.HasPrefix(text, "hex:"))
	if err != nil {
		k.problem(key, "E0423", err)
		return nil
	}
	return append(k.p.check.appendTo(b), rest...)
}
