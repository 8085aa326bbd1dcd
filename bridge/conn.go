package bridge

import (
	"context"
	"fmt"
	"net/url"

	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
)

// connection is what a bridge needs of a connection to its upstream.
type connection interface {
	publisher
	Publish(ctx context.Context, m mqtt.Message) error
	Subscribe(ctx context.Context, subs ...mqtt.Subscription) ([]mqtt.ReasonCode, error)
	Limits() limits
	Disconnect(reason mqtt.ReasonCode) error
	Close() error
}

// dialFunc connects to one address and logs in. incoming is called for each
// message, in the reading goroutine; its second argument acknowledges.
type dialFunc func(ctx context.Context, b *Bridge, u *url.URL, incoming func(*mqtt.Message, func())) (connection, error)

// subscribeMost is how many filters go into one SUBSCRIBE; AWS takes 8.
const subscribeMost = 8

// subscribe asks for the commands. No Local and Retain Handling 2 keep our own
// and old messages away where the upstream speaks MQTT 5 (§3.8.3.1). A filter
// that the upstream refuses is reported and does not keep values from going up.
func (b *Bridge) subscribe(ctx context.Context, conn connection) error {
	cmds := b.s.commands
	for len(cmds) > 0 {
		n := min(len(cmds), subscribeMost)
		subs := make([]mqtt.Subscription, n)
		for i, c := range cmds[:n] {
			subs[i] = mqtt.Subscription{Filter: c.from, QoS: c.qos}
			if conn.Limits().v5 {
				subs[i].NoLocal, subs[i].RetainAsPublished, subs[i].RetainHandling = true, true, 2
			}
		}
		codes, err := conn.Subscribe(ctx, subs...)
		refused, no := client.Refusal(err)
		if err != nil && !no {
			return fmt.Errorf("subscribe: %w", err)
		}
		for i, s := range subs {
			code := refused
			if i < len(codes) {
				code = codes[i]
			}
			if code.Failed() {
				b.event(CodeSubscribe, "error", fmt.Sprintf("the upstream refuses the subscription to %s: %s; nothing comes down from there", s.Filter, code))
			}
		}
		cmds = cmds[n:]
	}
	return nil
}
