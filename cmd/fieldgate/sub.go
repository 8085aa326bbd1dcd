package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"fieldgate/mqtt"
)

func (a *app) subCommand() *cobra.Command {
	var m mqttFlags
	var count int
	var noRetained bool
	c := &cobra.Command{
		Use: "sub FILTER…", Short: "Subscribe and print messages (local broker by default)",
		Example: "  fieldgate sub '#'\n  fieldgate sub -b mqtts://mqtt.example.com:8883 -u plant7 'factory/+/status' --json",
		GroupID: "mqtt", Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, filters []string) error {
			for _, f := range filters {
				if err := mqtt.CheckFilter(f); err != nil {
					return usageError{fmt.Errorf("filter %q: %w", f, err)}
				}
			}
			return a.subscribe(c.Context(), &m, filters, count, noRetained)
		},
	}
	m.add(c)
	c.Flags().IntVarP(&count, "count", "n", 0, "end after so many messages (0: never)")
	c.Flags().BoolVar(&noRetained, "no-retained", false, "leave out what was retained before")
	return c
}

// subscribe prints until count, the context, or the connection ends. It does
// not reconnect: a tool that hides a lost connection hides messages.
func (a *app) subscribe(ctx context.Context, m *mqttFlags, filters []string, count int, noRetained bool) error {
	ctx, enough := context.WithCancelCause(ctx)
	defer enough(nil)
	printed := 0
	conn, err := m.dial(ctx, a, func(msg *mqtt.Message, ack func()) {
		defer ack()
		if ctx.Err() != nil || noRetained && msg.Retain {
			return
		}
		a.printMessage(msg)
		if printed++; printed == count {
			enough(errEnough)
		}
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	subs := make([]mqtt.Subscription, 0, len(filters))
	for _, f := range filters {
		subs = append(subs, mqtt.Subscription{Filter: f, QoS: mqtt.QoS(m.qos)})
	}
	reasons, err := conn.Subscribe(ctx, subs...)
	if err != nil && context.Cause(ctx) != errEnough {
		return codeError{exitNetwork, err}
	}
	for i, r := range reasons {
		if r.Failed() {
			return withCode(exitPermission, "the broker refuses %q: %w", filters[i], r)
		}
	}
	select {
	case <-ctx.Done():
		if errors.Is(context.Cause(ctx), errEnough) {
			return nil
		}
		return ctx.Err()
	case <-conn.Done():
		return withCode(exitNetwork, "the connection is lost: %w", conn.Err())
	}
}

var errEnough = errors.New("enough messages")

type messageDoc struct {
	Topic   string            `json:"topic"`
	Payload string            `json:"payload"`
	Base64  bool              `json:"base64,omitempty"` // the payload is not UTF-8
	QoS     mqtt.QoS          `json:"qos"`
	Retain  bool              `json:"retain"`
	Time    time.Time         `json:"received"`
	User    map[string]string `json:"user,omitempty"`
}

func (a *app) printMessage(m *mqtt.Message) {
	if !a.json {
		a.printf("%s %s\n", a.paintOn(a.out, dim, m.Topic), printable(m.Payload))
		return
	}
	doc := messageDoc{Topic: m.Topic, Payload: string(m.Payload), QoS: m.QoS, Retain: m.Retain, Time: time.Now().UTC()}
	if !utf8.Valid(m.Payload) {
		doc.Payload, doc.Base64 = base64.StdEncoding.EncodeToString(m.Payload), true
	}
	if m.Props != nil && len(m.Props.User) > 0 {
		doc.User = map[string]string{}
		for _, u := range m.Props.User {
			doc.User[u.Name] = u.Value
		}
	}
	_ = a.printJSON(doc) // a closed pipe ends the process by SIGPIPE
}

// printable keeps a terminal safe from what a payload may hold.
func printable(payload []byte) string {
	if !utf8.Valid(payload) {
		return fmt.Sprintf("(%d bytes) %x", len(payload), payload)
	}
	for _, b := range payload {
		if b < ' ' && b != '\t' {
			return fmt.Sprintf("%q", payload)
		}
	}
	return string(payload)
}
