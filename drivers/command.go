package drivers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// Bounds of the command queues. A device that does not answer fills its own
// queue and then says busy; it cannot fill that of its neighbours.
const (
	maxPerDevice = 8
	maxPerDriver = 64
)

// command is one write on its way to a driver.
type command struct {
	ctx    context.Context // nil: nobody waits, only deadline counts
	tag    *tagState
	value  Value
	until  clock.Stamp // not executed after this
	finish func(WriteResult, error)
}

// commandQueue holds a driver's commands in order.
type commandQueue struct {
	mu        sync.Mutex
	list      []*command
	perDevice map[string]int
	wake      chan struct{}
}

func newCommandQueue() *commandQueue {
	return &commandQueue{perDevice: map[string]int{}, wake: make(chan struct{}, 1)}
}

// push refuses with "busy" what does not fit.
func (q *commandQueue) push(c *command) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	device := c.tag.tag.Device
	if q.perDevice[device] >= maxPerDevice || len(q.list) >= maxPerDriver {
		return Refuse(CodeBusy, "busy: %d commands wait for %s already", q.perDevice[device], device)
	}
	q.perDevice[device]++
	q.list = append(q.list, c)
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return nil
}

// next takes the oldest command; nil if there is none. done must follow.
func (q *commandQueue) next() *command {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 {
		return nil
	}
	c := q.list[0]
	q.list[0] = nil
	q.list = q.list[1:]
	return c
}

// done gives a command's place free; it counts until it has been executed.
func (q *commandQueue) done(c *command) {
	q.mu.Lock()
	defer q.mu.Unlock()
	device := c.tag.tag.Device
	if q.perDevice[device]--; q.perDevice[device] <= 0 {
		delete(q.perDevice, device)
	}
}

// runCommands is the command loop of a driver.
func (s *Supervisor) runCommands(ctx context.Context, e *entry) {
	for {
		c := e.commands.next()
		if c == nil {
			select {
			case <-ctx.Done():
				s.refuseRest(e)
				return
			case <-e.commands.wake:
			}
			continue
		}
		result, err := s.execute(ctx, e, c)
		e.commands.done(c)
		c.finish(result, err)
	}
}

// refuseRest answers what waits when a driver stops.
func (s *Supervisor) refuseRest(e *entry) {
	for c := e.commands.next(); c != nil; c = e.commands.next() {
		e.commands.done(c)
		c.finish(WriteResult{}, Refuse(CodeUnavailable, "%s is being stopped", e.driver.Name()))
	}
}

// execute writes, unless it is too late or too often.
func (s *Supervisor) execute(ctx context.Context, e *entry, c *command) (WriteResult, error) {
	w, ok := e.driver.(Writer)
	if !ok {
		return WriteResult{}, Refuse(CodeNotWritable, "%s cannot be written to", c.tag.tag.Device)
	}
	left := c.until.Sub(clock.Now())
	if left <= 0 {
		return WriteResult{}, Refuse(CodeExpired, "the command waited too long for the device")
	}
	if err := s.claimRate(c.tag); err != nil {
		return WriteResult{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	if c.ctx != nil {
		stop := context.AfterFunc(c.ctx, cancel)
		defer stop()
	}
	started := time.Now()
	result, err := w.Write(ctx, c.tag.tag.Device, c.tag.tag.Name, c.value)
	if result.Took == 0 {
		result.Took = time.Since(started)
	}
	return result, writeError(err)
}

// claimRate keeps to `rate`, counting from the start of the last write.
func (s *Supervisor) claimRate(t *tagState) error {
	least := t.tag.Write.MinInterval
	now := clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !t.written.IsZero() && now.Sub(t.written) < least {
		return Refuse(CodeRate, "written %s ago; at most once in %s", now.Sub(t.written).Round(time.Millisecond), least)
	}
	t.written = now
	return nil
}

// writeError gives an error of a driver a code.
func writeError(err error) error {
	var refused *CommandError
	switch {
	case err == nil, errors.As(err, &refused):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return Refuse(CodeExpired, "the device had no time for the command before it expired")
	case errors.Is(err, context.Canceled):
		return Refuse(CodeUnavailable, "cancelled")
	}
	return Refuse(CodeNoAnswer, "%v", err)
}

// Check says whether a value may be written at all. Texts (names of an enum,
// on and off) have no order and pass.
func (r *WriteRule) Check(v Value) error {
	want, ok := ratOf(v)
	if !ok {
		return nil
	}
	if r.Max != nil && want.Cmp(decimalOf(*r.Max, 64).rat()) > 0 {
		return Refuse(CodeAboveMax, "above max %s", FloatValue(*r.Max))
	}
	if r.Min != nil && want.Cmp(decimalOf(*r.Min, 64).rat()) < 0 {
		return Refuse(CodeBelowMin, "below min %s", FloatValue(*r.Min))
	}
	if r.Step != nil && *r.Step > 0 {
		if r.Min != nil { // steps count from min, as in a slider
			want.Sub(want, decimalOf(*r.Min, 64).rat())
		}
		if want.Quo(want, decimalOf(*r.Step, 64).rat()); !want.IsInt() {
			return Refuse(CodeStep, "%s is not a multiple of step %s", v, FloatValue(*r.Step))
		}
	}
	return nil
}

// Write sets a tag by the same rules and queue as a set message, and waits for
// the device. Errors are *CommandError.
func (s *Supervisor) Write(ctx context.Context, device, tag string, v Value) (WriteResult, error) {
	s.mu.Lock()
	t := s.tags[tagKey{device, tag}]
	s.mu.Unlock()
	type outcome struct {
		result WriteResult
		err    error
	}
	done := make(chan outcome, 1)
	until := clock.Now().Add(s.opt.CommandTTL)
	err := s.enqueue(&command{ctx: ctx, tag: t, value: v, until: until, finish: func(r WriteResult, err error) { done <- outcome{r, err} }}, device, tag)
	if err != nil {
		return WriteResult{}, err
	}
	select {
	case o := <-done:
		return o.result, o.err
	case <-ctx.Done():
		return WriteResult{}, writeError(ctx.Err())
	}
}

// enqueue checks a command and puts it on its driver's queue. It never waits.
func (s *Supervisor) enqueue(c *command, device, tag string) error {
	switch {
	case c.tag == nil:
		return Refuse(CodeNotWritable, "there is no tag %s/%s", device, tag)
	case c.tag.tag.Write == nil:
		return Refuse(CodeNotWritable, "%s/%s is read only; give the tag a write key", device, tag)
	case c.tag.device != nil && c.tag.device.info.Disabled:
		return Refuse(CodeUnavailable, "%s is disabled in the configuration", device)
	}
	if err := c.tag.tag.Write.Check(c.value); err != nil {
		return err
	}
	// Under mu, so that a driver that is just being stopped cannot miss it.
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil || s.entries[c.tag.entry.driver.Name()] != c.tag.entry {
		return Refuse(CodeUnavailable, "%s is not running", device)
	}
	return c.tag.entry.commands.push(c)
}

// setResult is the document of `…/set/result`.
type setResult struct {
	ID       string          `json:"id,omitempty"`
	Status   string          `json:"status"`
	Value    json.RawMessage `json:"value,omitempty"`
	ReadBack json.RawMessage `json:"readback,omitempty"`
	Code     string          `json:"code,omitempty"`
	Error    string          `json:"error,omitempty"`
	MS       *int64          `json:"ms,omitempty"`
}

func newSetResult(id string, r WriteResult, err error) setResult {
	doc := setResult{ID: id, Status: "ok"}
	if !r.Value.IsNull() {
		doc.Value = r.Value.AppendJSON(nil)
	}
	if !r.ReadBack.IsNull() {
		doc.ReadBack = r.ReadBack.AppendJSON(nil)
	}
	if err == nil {
		ms := r.Took.Milliseconds()
		doc.MS = &ms
		return doc
	}
	doc.Status, doc.Code, doc.Error = "error", CodeNoAnswer, err.Error()
	var refused *CommandError
	if errors.As(err, &refused) {
		doc.Code, doc.Error = refused.Code, refused.Text
	}
	return doc
}

// handleSet takes set messages, in the publisher's goroutine: it checks and
// queues them and never waits for a device.
func (s *Supervisor) handleSet(_ context.Context, msgs []mqtt.Message) error {
	for i := range msgs {
		s.takeSet(&msgs[i])
	}
	return nil
}

func (s *Supervisor) takeSet(m *mqtt.Message) {
	topic := strings.TrimSuffix(m.Topic, "/set")
	s.mu.Lock()
	t := s.topics[topic]
	s.mu.Unlock()
	device, tag := "", topic
	if t != nil {
		device, tag = t.tag.Device, t.tag.Name
	}
	if m.Retain && len(m.Payload) == 0 {
		return // somebody clears a retained set, which is right
	}
	set, err := parseSet(m.Payload)
	to, toErr := s.replyTo(m, m.Topic+"/result", "device:"+device)
	refuse := func(err error) {
		s.answer(to, newSetResult(set.id, WriteResult{}, err))
		s.Event(Event{Code: CodeSetIgnored, Level: "warn", Device: device, Text: fmt.Sprintf("set of %s refused: %v", tag, err)})
	}
	switch {
	case m.Retain:
		refuse(Refuse(CodeRetained, "a retained set is never executed; publish it without retain"))
		return
	case toErr != nil:
		refuse(toErr)
		return
	case err != nil:
		refuse(err)
		return
	}
	until, err := s.deadline(m, set.ttl)
	if err != nil {
		refuse(err)
		return
	}
	c := &command{tag: t, value: set.value, until: until, finish: func(r WriteResult, err error) {
		s.answer(to, newSetResult(set.id, r, err))
	}}
	if err := s.enqueue(c, device, tag); err != nil {
		refuse(err)
	}
}
