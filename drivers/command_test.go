package drivers

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

func TestSet(t *testing.T) {
	for _, c := range []struct{ name, tag, payload, written, result string }{
		{"plain", "setpoint", "72.5", "boiler/setpoint=72.5", `{"status":"ok","value":72.5,"readback":72.5,"ms":61}`},
		{"document", "setpoint", `{"value":72.5,"id":"a1","ttl_s":10}`, "boiler/setpoint=72.5", `{"id":"a1","status":"ok","value":72.5,"readback":72.5,"ms":61}`},
		{"number as id", "setpoint", `{"value":41,"id":7}`, "boiler/setpoint=41", `{"id":"7","status":"ok","value":41,"readback":41,"ms":61}`},
		{"text", "mode", "auto", "boiler/mode=auto", `{"status":"ok","value":"auto","readback":"auto","ms":61}`},
		{"above max", "setpoint", `{"value":95.5,"id":"a1"}`, "", `{"id":"a1","status":"error","code":"E0603","error":"above max 95"}`},
		{"below min", "setpoint", "39.5", "", `{"status":"error","code":"E0604","error":"below min 40"}`},
		{"off the step", "setpoint", "72.3", "", `{"status":"error","code":"E0605","error":"72.3 is not a multiple of step 0.5"}`},
		{"read only", "temp", "5", "", `{"status":"error","code":"E0602","error":"boiler/temp is read only; give the tag a write key"}`},
		{"unknown tag", "nope", "5", "", `{"status":"error","code":"E0602","error":"there is no tag /gw1/boiler/nope"}`},
		{"empty", "setpoint", " ", "", `{"status":"error","code":"E0601","error":"empty payload; send a value as 72.5 or {\"value\":72.5}"}`},
		{"null", "setpoint", "null", "", `{"status":"error","code":"E0601","error":"null cannot be written"}`},
		{"no value", "setpoint", `{"id":"x"}`, "", `{"id":"x","status":"error","code":"E0601","error":"\"value\" must be a number, a text, true or false"}`},
		{"list", "setpoint", `{"value":[1]}`, "", `{"status":"error","code":"E0601","error":"\"value\" must be a number, a text, true or false"}`},
		{"bad ttl", "setpoint", `{"value":50,"ttl_s":-1}`, "", `{"status":"error","code":"E0601","error":"ttl_s must be more than 0 and at most 3600"}`},
		{"binary", "setpoint", "\xff\xfe", "", `{"status":"error","code":"E0601","error":"payload is not UTF-8 text"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, Publish{}, func(r *rig) {
				r.set(c.tag, c.payload)
				r.want("gw1/boiler/"+c.tag+"/set/result", c.result)
				if got := strings.Join(r.d.written(), ","); got != c.written {
					t.Errorf("written %q, want %q", got, c.written)
				}
				m := r.b.last(t, "gw1/boiler/"+c.tag+"/set/result")
				if m.Retain || m.Kind != mqtt.KindCommandResult {
					t.Errorf("%+v", m)
				}
			})
		})
	}
}

func TestRetainedSetIsIgnoredAndReported(t *testing.T) {
	bubble(t, Publish{}, func(r *rig) {
		r.publish(mqtt.Message{Topic: "gw1/boiler/setpoint/set", Payload: []byte("50"), Retain: true})
		if len(r.d.written()) != 0 {
			t.Error("a retained set was executed")
		}
		r.want("gw1/boiler/setpoint/set/result", `{"status":"error","code":"E0608","error":"a retained set is never executed; publish it without retain"}`)
		if n := len(r.b.on("fieldgate/gw1/event")); n != 1 {
			t.Errorf("%d events", n)
		}
		r.b.forget()
		r.publish(mqtt.Message{Topic: "gw1/boiler/setpoint/set", Retain: true}) // somebody clears it
		r.want("gw1/boiler/setpoint/set/result")
	})
}

func TestLateSetsAreRefused(t *testing.T) {
	expiry := &mqtt.Properties{MessageExpiry: 5, HasExpiry: true}
	for _, c := range []struct {
		name string
		age  time.Duration
		m    mqtt.Message
		ok   bool
	}{
		{"fresh", 0, mqtt.Message{Payload: []byte("50")}, true},
		{"default 30 s", 29 * time.Second, mqtt.Message{Payload: []byte("50")}, true},
		{"older", 30 * time.Second, mqtt.Message{Payload: []byte("50")}, false},
		{"own ttl", 11 * time.Second, mqtt.Message{Payload: []byte(`{"value":50,"ttl_s":10}`)}, false},
		{"longer ttl", 40 * time.Second, mqtt.Message{Payload: []byte(`{"value":50,"ttl_s":60}`)}, true},
		{"message expiry", 5 * time.Second, mqtt.Message{Payload: []byte("50"), Props: expiry}, false},
		{"message expiry left", 4 * time.Second, mqtt.Message{Payload: []byte("50"), Props: expiry}, true},
		{"another boot", 0, mqtt.Message{Payload: []byte("50"), Stamp: clock.Stamp{Boot: 3, Nanos: 1}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, Publish{}, func(r *rig) {
				c.m.Topic = "gw1/boiler/setpoint/set"
				if c.m.Stamp.IsZero() {
					c.m.Stamp = clock.Now().Add(-c.age)
				}
				r.publish(c.m)
				result := string(r.b.last(t, "gw1/boiler/setpoint/set/result").Payload)
				if done := len(r.d.written()) == 1; done != c.ok || strings.Contains(result, CodeExpired) == c.ok {
					t.Errorf("written %v, result %s", done, result)
				}
			})
		})
	}
}

func TestSetThatWaitsTooLongIsNotExecuted(t *testing.T) {
	bubble(t, Publish{}, func(r *rig) {
		r.d.write = func(ctx context.Context, _ string, v Value) (WriteResult, error) {
			time.Sleep(20 * time.Second) // a device that takes its time
			return WriteResult{Value: v}, nil
		}
		r.set("setpoint", `{"value":50,"id":"first"}`)
		r.set("setpoint", `{"value":51,"id":"second","ttl_s":10}`)
		time.Sleep(25 * time.Second)
		synctest.Wait()
		if got := r.d.written(); len(got) != 1 {
			t.Errorf("%q", got)
		}
		got := r.b.on("gw1/boiler/setpoint/set/result")
		if len(got) != 2 || !strings.Contains(got[1], `"id":"second","status":"error","code":"E0607"`) {
			t.Errorf("%q", got)
		}
	})
}

func TestFullQueueAnswersBusy(t *testing.T) {
	bubble(t, Publish{}, func(r *rig) {
		release := make(chan struct{})
		r.d.write = func(ctx context.Context, _ string, v Value) (WriteResult, error) {
			<-release
			return WriteResult{Value: v}, nil
		}
		for range maxPerDevice + 3 {
			r.set("setpoint", "50")
		}
		got := r.b.on("gw1/boiler/setpoint/set/result")
		if len(got) != 3 || !strings.Contains(got[0], CodeBusy) || !strings.Contains(got[0], "busy") {
			t.Errorf("%q", got)
		}
		close(release)
		synctest.Wait()
		if n := len(r.d.written()); n != maxPerDevice {
			t.Errorf("%d executed, want %d", n, maxPerDevice)
		}
	})
}

func TestRate(t *testing.T) {
	bubble(t, Publish{}, func(r *rig) {
		r.set("mode", "1")
		time.Sleep(4 * time.Second)
		r.set("mode", "2")
		time.Sleep(time.Second)
		r.set("mode", "3")
		r.want("gw1/boiler/mode/set/result", `{"status":"ok","value":1,"readback":1,"ms":61}`,
			`{"status":"error","code":"E0610","error":"written 4s ago; at most once in 5s"}`, `{"status":"ok","value":3,"readback":3,"ms":61}`)
	})
}

func TestResponseTopic(t *testing.T) {
	for _, c := range []struct{ topic, want string }{
		{"answers/me", "answers/me"},
		{"gw1/boiler/setpoint/set", ""}, // the answer would be a command
		{"gw1/boiler/temp", ""},         // or a value
		{"fieldgate/gw1/status", ""},    // or the gateway's own
		{"$SYS/broker/uptime", ""},      //
		{"bad/#", ""},                   // a filter
		{"fieldgate/gw1/cmd/response/x", "fieldgate/gw1/cmd/response/x"},
	} {
		bubble(t, Publish{}, func(r *rig) {
			props := &mqtt.Properties{ResponseTopic: c.topic, CorrelationData: []byte{0, 1, 2}}
			r.publish(mqtt.Message{Topic: "gw1/boiler/setpoint/set", Payload: []byte(`{"value":50,"id":"x"}`), QoS: 1, Props: props})
			if c.want == "" {
				if got := r.b.on("gw1/boiler/setpoint/set/result"); len(got) != 1 || !strings.Contains(got[0], CodeResponse) || len(r.d.written()) != 0 {
					t.Errorf("%s: %q, written %q", c.topic, got, r.d.written())
				}
				return
			}
			m := r.b.last(t, c.want)
			if string(m.Payload) != `{"id":"x","status":"ok","value":50,"readback":50,"ms":61}` || string(m.Props.CorrelationData) != "\x00\x01\x02" || m.QoS != 1 {
				t.Errorf("%s: %+v %+v", c.topic, m, m.Props)
			}
			r.want("gw1/boiler/setpoint/set/result")
		})
	}
}

func TestSetErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{Refuse(CodeReadBack, "written 50, but the device shows 45"), `{"status":"error","value":50,"readback":45,"code":"E0613","error":"written 50, but the device shows 45"}`},
		{errors.New("no answer"), `{"status":"error","value":50,"readback":45,"code":"E0611","error":"no answer"}`},
		{context.DeadlineExceeded, `{"status":"error","value":50,"readback":45,"code":"E0607","error":"the device had no time for the command before it expired"}`},
	} {
		bubble(t, Publish{}, func(r *rig) {
			r.d.write = func(context.Context, string, Value) (WriteResult, error) {
				return WriteResult{Value: IntValue(50), ReadBack: IntValue(45)}, c.err
			}
			r.set("setpoint", "50")
			r.want("gw1/boiler/setpoint/set/result", c.want)
		})
	}
}

func TestSupervisorWrite(t *testing.T) {
	bubble(t, Publish{}, func(r *rig) {
		got, err := r.s.Write(r.Context(), "boiler", "setpoint", FloatValue(72.5))
		if err != nil || got.ReadBack != FloatValue(72.5) {
			t.Errorf("%+v %v", got, err)
		}
		for tag, want := range map[string]string{"temp": CodeNotWritable, "nope": CodeNotWritable} {
			if _, err := r.s.Write(r.Context(), "boiler", tag, IntValue(1)); code(err) != want {
				t.Errorf("%s: %v", tag, err)
			}
		}
		if _, err := r.s.Write(r.Context(), "boiler", "setpoint", IntValue(500)); code(err) != CodeAboveMax {
			t.Error(err)
		}
		r.d.write = func(ctx context.Context, _ string, _ Value) (WriteResult, error) {
			<-ctx.Done()
			return WriteResult{}, ctx.Err()
		}
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if _, err := r.s.Write(ctx, "boiler", "setpoint", IntValue(50)); code(err) != CodeExpired {
			t.Error(err)
		}
	})
}

func TestWriteBeforeRunIsRefused(t *testing.T) {
	s, err := NewSupervisor(Options{Broker: newFakeBroker(), Gateway: Gateway{ID: "g"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Add(newFakeDriver("plc", boilerTags...), []DeviceInfo{{Name: "boiler"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(t.Context(), "boiler", "setpoint", IntValue(50)); code(err) != CodeUnavailable {
		t.Error(err)
	}
}

func TestRequests(t *testing.T) {
	for _, c := range []struct{ name, kind, payload, want string }{
		{"read", "read", `{"transaction":"7","data":{"device":"boiler","tags":["temp"]}}`,
			`{"transaction":"7","status":"ok","data":{"device":"boiler","values":{"temp":{"value":5,"ts":TS,"quality":"good","unit":"°C"}}}}`},
		{"poll", "poll", `{"transaction":8,"data":{"device":"boiler"}}`,
			`{"transaction":8,"status":"ok","data":{"device":"boiler","values":{"temp":{"value":5,"ts":TS,"quality":"good","unit":"°C"}}}}`},
		{"write", "write", `{"data":{"device":"boiler","tag":"setpoint","value":50}}`,
			`{"status":"ok","data":{"device":"boiler","ms":61,"readback":50,"tag":"setpoint","value":50}}`},
		{"write refused", "write", `{"transaction":"9","data":{"device":"boiler","tag":"setpoint","value":500}}`,
			`{"transaction":"9","status":"error","code":"E0603","error":"above max 95"}`},
		{"unknown device", "read", `{"data":{"device":"nope"}}`, `{"status":"error","code":"E0615","error":"there is no device \"nope\" with tags"}`},
		{"unknown request", "dance", `{"transaction":"1"}`, `{"transaction":"1","status":"error","code":"E0615","error":"unknown request \"dance\"; known are poll, read, write"}`},
		{"not JSON", "read", `hello`, `{"status":"error","code":"E0601","error":"payload must read {\"transaction\":\"7\",\"data\":{…}}: invalid character 'h' looking for beginning of value"}`},
		{"unknown key", "poll", `{"data":{"devices":"boiler"}}`, `{"status":"error","code":"E0601","error":"data: json: unknown field \"devices\"; write {\"device\":\"boiler2\"}"}`},
		{"list as transaction", "poll", `{"transaction":[1]}`, `{"status":"error","code":"E0601","error":"transaction must be a text or a number of at most 128 bytes"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, Publish{}, func(r *rig) {
				r.publish(mqtt.Message{Topic: "fieldgate/gw1/cmd/request/" + c.kind, Payload: []byte(c.payload)})
				r.want("fieldgate/gw1/cmd/response/"+c.kind, c.want)
			})
		})
	}
}

func TestHandleRequest(t *testing.T) {
	bubble(t, Publish{}, func(r *rig) {
		release := make(chan struct{})
		r.s.HandleRequest("scan", func(ctx context.Context, data json.RawMessage) (any, error) {
			<-release
			return map[string]string{"got": string(data)}, nil
		})
		for range requestWorkers + maxRequests + 2 {
			r.publish(mqtt.Message{Topic: "fieldgate/gw1/cmd/request/scan", Payload: []byte(`{"data":{}}`)})
		}
		if got := r.b.on("fieldgate/gw1/cmd/response/scan"); len(got) != 2 || !strings.Contains(got[0], CodeBusy) {
			t.Errorf("%q", got)
		}
		close(release)
		synctest.Wait()
		if n := len(r.b.on("fieldgate/gw1/cmd/response/scan")); n != requestWorkers+maxRequests+2 {
			t.Errorf("%d answers", n)
		}
	})
}

func FuzzParseSet(f *testing.F) {
	for _, seed := range []string{"72.5", `{"value":72.5,"id":"a1","ttl_s":10}`, `{"value":1e400}`, `{"value":"x","id":{}}`, "{", "null", `{"ttl_s":1e300,"value":1}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		set, err := parseSet(payload)
		if err != nil {
			if code(err) == "" {
				t.Fatalf("%q: error without a code: %v", payload, err)
			}
			return
		}
		if set.value.IsNull() || len(set.id) > maxSetID || set.ttl < 0 || set.ttl > maxSetTTL {
			t.Fatalf("%q gives %+v", payload, set)
		}
	})
}

func TestAnswersToUpstreams(t *testing.T) {
	m, err := NewMapping(Publish{}, Gateway{ID: "gw"}, func() bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	s := &Supervisor{mapping: m}
	for _, c := range []struct {
		topic, origin string
		own           bool
	}{
		{"fieldgate/gw/upstream/cloud/reply/3", "upstream:cloud", false},
		{"fieldgate/gw/upstream/other/reply/3", "upstream:cloud", true},
		{"fieldgate/gw/upstream/cloud/status", "upstream:cloud", true},
		{"fieldgate/gw/upstream/cloud/reply/3", "nodered", true},
		{"fieldgate/gw/cmd/response/read", "nodered", false},
		{"answers/1", "nodered", false},
	} {
		if got := s.isOwn(c.topic, c.origin); got != c.own {
			t.Errorf("%s for %s: own %v, want %v", c.topic, c.origin, got, c.own)
		}
	}
}
