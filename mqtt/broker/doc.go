// Package broker is the gateway's MQTT server: 3.1, 3.1.1 and 5.0 over TCP,
// TLS, WebSocket and Unix sockets, and in-process for our own parts.
//
// A Broker is made by New (which loads the Store and touches no socket), bound
// by Listen and served by Run. Our own parts use Publish, Handle and Retained;
// they need no socket and nothing is encoded for them.
//
// The road of a message, and who holds which lock, stand in DESIGN.md.
package broker
