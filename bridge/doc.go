// Package bridge connects the gateway with upstream brokers: values go up
// through the queue, commands come down.
//
// A Hub takes what the local broker publishes and asks each Bridge whether it
// wants it; what is wanted is queued once for all. A Bridge logs in to its
// upstream, and again after each loss; its sender drains the queue into the
// connection, live values before the backlog, within every limit that the
// upstream has announced. Commands come through an inbox, one after the other.
//
// What a message looks like at the upstream is decided when it leaves, not
// when it is queued: a route that changes applies to the backlog too, and times
// are as right as the clock is then.
//
// See DESIGN.md for why it is so, docs/bridge.md for users.
package bridge
