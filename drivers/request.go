package drivers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// Bounds of requests.
const (
	requestWorkers    = 4
	maxRequests       = 16 // waiting
	maxRequestPayload = 64 << 10
	maxTransaction    = 128
)

// RequestFunc answers one kind of request. Its result becomes "data".
type RequestFunc func(ctx context.Context, data json.RawMessage) (any, error)

// requests serves {base}/cmd/request/<name>: a bounded queue and a fixed
// number of workers, so that a slow scan does not hold up a read.
type requests struct {
	s     *Supervisor
	queue chan request

	mu    sync.Mutex
	funcs map[string]RequestFunc
}

type request struct {
	name        string
	transaction json.RawMessage
	data        json.RawMessage
	to          reply
	until       clock.Stamp
}

func newRequests(s *Supervisor) *requests {
	r := &requests{s: s, queue: make(chan request, maxRequests)}
	r.funcs = map[string]RequestFunc{"read": r.read, "write": r.write, "poll": r.poll}
	return r
}

// HandleRequest adds a kind of request (scan, reload).
func (s *Supervisor) HandleRequest(name string, f RequestFunc) {
	s.requests.mu.Lock()
	defer s.requests.mu.Unlock()
	s.requests.funcs[name] = f
}

func (r *requests) find(name string) (RequestFunc, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.funcs[name], strings.Join(slices.Sorted(maps.Keys(r.funcs)), ", ")
}

// start starts the workers; they end with ctx.
func (r *requests) start(ctx context.Context, wg *sync.WaitGroup) {
	for range requestWorkers {
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case q := <-r.queue:
					r.serve(ctx, q)
				}
			}
		})
	}
}

// response is the document of cmd/response/<name>.
type response struct {
	Transaction json.RawMessage `json:"transaction,omitempty"`
	Status      string          `json:"status"`
	Data        any             `json:"data,omitempty"`
	Code        string          `json:"code,omitempty"`
	Error       string          `json:"error,omitempty"`
}

func failure(transaction json.RawMessage, err error) response {
	out := response{Transaction: transaction, Status: "error", Code: CodeRequest, Error: err.Error()}
	var refused *CommandError
	if errors.As(err, &refused) {
		out.Code = refused.Code
	}
	return out
}

// handle takes request messages in the publisher's goroutine; it never waits.
func (r *requests) handle(_ context.Context, msgs []mqtt.Message) error {
	for i := range msgs {
		r.take(&msgs[i])
	}
	return nil
}

func (r *requests) take(m *mqtt.Message) {
	name := m.Topic[strings.LastIndexByte(m.Topic, '/')+1:]
	if m.Retain && len(m.Payload) == 0 {
		return
	}
	q := request{name: name}
	to, err := r.s.replyTo(m, r.s.mapping.Base()+"/cmd/response/"+name, "gateway")
	q.to = to
	if err == nil {
		err = q.parse(m)
	}
	if err == nil {
		q.until, err = r.s.deadline(m, 0)
	}
	if f, known := r.find(name); err == nil && f == nil {
		err = Refuse(CodeRequest, "unknown request %q; known are %s", name, known)
	}
	if err == nil {
		select {
		case r.queue <- q:
			return
		default:
			err = Refuse(CodeBusy, "busy: %d requests wait already", maxRequests)
		}
	}
	r.s.answer(q.to, failure(q.transaction, err))
}

func (q *request) parse(m *mqtt.Message) error {
	if m.Retain {
		return Refuse(CodeRetained, "a retained request is never executed; publish it without retain")
	}
	if len(m.Payload) > maxRequestPayload {
		return Refuse(CodePayload, "payload of %d bytes; at most %d", len(m.Payload), maxRequestPayload)
	}
	var doc struct {
		Transaction json.RawMessage `json:"transaction"`
		Data        json.RawMessage `json:"data"`
	}
	if len(bytes.TrimSpace(m.Payload)) > 0 {
		if err := json.Unmarshal(m.Payload, &doc); err != nil {
			return Refuse(CodePayload, `payload must read {"transaction":"7","data":{…}}: %v`, err)
		}
	}
	if v, ok := FromJSON(doc.Transaction); len(doc.Transaction) > maxTransaction || len(doc.Transaction) > 0 && (!ok || v.IsNull()) {
		return Refuse(CodePayload, "transaction must be a text or a number of at most %d bytes", maxTransaction)
	}
	q.transaction, q.data = doc.Transaction, doc.Data
	return nil
}

func (r *requests) serve(ctx context.Context, q request) {
	left := q.until.Sub(clock.Now())
	if left <= 0 {
		r.s.answer(q.to, failure(q.transaction, Refuse(CodeExpired, "the request waited too long")))
		return
	}
	f, _ := r.find(q.name)
	ctx, cancel := context.WithTimeout(ctx, max(left, time.Second))
	defer cancel()
	data, err := f(ctx, q.data)
	if err != nil {
		out := failure(q.transaction, err)
		out.Data = data
		r.s.answer(q.to, out)
		return
	}
	r.s.answer(q.to, response{Transaction: q.transaction, Status: "ok", Data: data})
}

// readData is the data of read and poll.
type readData struct {
	Device string   `json:"device"`
	Tag    string   `json:"tag"`
	Tags   []string `json:"tags"`
}

// readValue is one value in the answer.
type readValue struct {
	Value   json.RawMessage `json:"value"`
	TS      int64           `json:"ts,omitempty"`
	Quality string          `json:"quality"`
	Reason  string          `json:"reason,omitempty"`
	Unit    string          `json:"unit,omitempty"`
}

func decodeData(data json.RawMessage, into any, example string) error {
	if len(data) == 0 {
		return Refuse(CodePayload, "data is missing; write %s", example)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return Refuse(CodePayload, "data: %v; write %s", err, example)
	}
	return nil
}

// read reads tags of a device now: {"device":"boiler2","tags":["water_temp"]}.
func (r *requests) read(ctx context.Context, data json.RawMessage) (any, error) {
	var d readData
	if err := decodeData(data, &d, `{"device":"boiler2","tags":["water_temp"]}`); err != nil {
		return nil, err
	}
	if d.Tag != "" {
		d.Tags = append(d.Tags, d.Tag)
	}
	return r.s.readNow(ctx, d.Device, d.Tags)
}

// poll reads all tags of a device now: {"device":"boiler2"}.
func (r *requests) poll(ctx context.Context, data json.RawMessage) (any, error) {
	var d struct {
		Device string `json:"device"`
	}
	if err := decodeData(data, &d, `{"device":"boiler2"}`); err != nil {
		return nil, err
	}
	return r.s.readNow(ctx, d.Device, nil)
}

func (s *Supervisor) readNow(ctx context.Context, device string, tags []string) (any, error) {
	samples, err := s.Read(ctx, device, tags...)
	if err != nil {
		return nil, err
	}
	values := make(map[string]readValue, len(samples))
	for _, sample := range samples {
		state, _ := s.Tag(sample.Device, sample.Tag)
		values[sample.Tag] = readValue{
			Value: sample.Value.AppendJSON(nil), TS: wallMillis(sample.Time), Quality: sample.Quality.String(),
			Reason: sample.Reason, Unit: state.Tag.Unit,
		}
	}
	return map[string]any{"device": device, "values": values}, nil
}

// Read reads tags of a device out of turn (none named: all). Errors are
// *CommandError.
func (s *Supervisor) Read(ctx context.Context, device string, tags ...string) ([]Sample, error) {
	s.mu.Lock()
	d := s.devices[device]
	var e *entry
	if d != nil && len(d.tags) > 0 {
		e = d.tags[0].entry
	}
	for _, tag := range tags {
		if s.tags[tagKey{device, tag}] == nil {
			s.mu.Unlock()
			return nil, Refuse(CodeRequest, "there is no tag %s/%s", device, tag)
		}
	}
	s.mu.Unlock()
	if e == nil {
		return nil, Refuse(CodeRequest, "there is no device %q with tags", device)
	}
	reader, ok := e.driver.(Reader)
	if !ok {
		return nil, Refuse(CodeRequest, "%s talks by itself and cannot be asked", device)
	}
	samples, err := reader.Read(ctx, device, tags...)
	return samples, writeError(err)
}

// write writes one tag: {"device":"boiler2","tag":"setpoint","value":72.5}.
func (r *requests) write(ctx context.Context, data json.RawMessage) (any, error) {
	var d struct {
		Device string          `json:"device"`
		Tag    string          `json:"tag"`
		Value  json.RawMessage `json:"value"`
	}
	if err := decodeData(data, &d, `{"device":"boiler2","tag":"setpoint","value":72.5}`); err != nil {
		return nil, err
	}
	v, ok := FromJSON(d.Value)
	if !ok || v.IsNull() {
		return nil, Refuse(CodePayload, `"value" must be a number, a text, true or false`)
	}
	result, err := r.s.Write(ctx, d.Device, d.Tag, v)
	if err != nil && result.Value.IsNull() {
		return nil, err
	}
	doc := map[string]any{"device": d.Device, "tag": d.Tag, "value": json.RawMessage(result.Value.AppendJSON(nil)), "ms": result.Took.Milliseconds()}
	if !result.ReadBack.IsNull() {
		doc["readback"] = json.RawMessage(result.ReadBack.AppendJSON(nil))
	}
	if err != nil {
		return doc, fmt.Errorf("write: %w", err)
	}
	return doc, nil
}
