package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"fieldgate/mqtt"
)

// maxStdin bounds what pub reads as one payload.
const maxStdin = 16 << 20

func (a *app) pubCommand() *cobra.Command {
	var m mqttFlags
	var retain, stdin bool
	c := &cobra.Command{
		Use: "pub TOPIC [PAYLOAD]", Short: "Publish a message (local broker by default)",
		Long:    "Without a payload the message is empty, which removes a retained one when --retain is given. --stdin takes the payload from the standard input.",
		Example: "  fieldgate pub plant7-gw01/boiler2/setpoint/set 72.5 --qos 1",
		GroupID: "mqtt", Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := mqtt.CheckTopic(args[0]); err != nil {
				return usageError{fmt.Errorf("topic %q: %w", args[0], err)}
			}
			msg := mqtt.Message{Topic: args[0], QoS: mqtt.QoS(m.qos), Retain: retain}
			switch {
			case stdin && len(args) == 2:
				return usageError{errors.New("either a payload or --stdin")}
			case len(args) == 2:
				msg.Payload = []byte(args[1])
			case stdin:
				payload, err := io.ReadAll(io.LimitReader(a.in, maxStdin))
				if err != nil {
					return fmt.Errorf("read the payload: %w", err)
				}
				msg.Payload = payload
			}
			return a.publish(c.Context(), &m, msg)
		},
	}
	m.add(c)
	c.Flags().BoolVarP(&retain, "retain", "r", false, "the broker keeps the message")
	c.Flags().BoolVar(&stdin, "stdin", false, "take the payload from the standard input")
	return c
}

func (a *app) publish(ctx context.Context, m *mqttFlags, msg mqtt.Message) error {
	ctx, cancel := a.deadline(ctx, 30*time.Second)
	defer cancel()
	conn, err := m.dial(ctx, a, nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	err = conn.Publish(ctx, msg)
	var reason mqtt.ReasonCode
	if errors.As(err, &reason) && reason == mqtt.NotAuthorized {
		return withCode(exitPermission, "%s: %w", msg.Topic, err)
	}
	if err != nil {
		return withCode(exitNetwork, "%s: %w", msg.Topic, err)
	}
	if a.verbose {
		a.say("published %d bytes to %s", len(msg.Payload), msg.Topic)
	}
	return nil
}
