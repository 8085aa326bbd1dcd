// Package client is an MQTT client: one connection to a broker, 3.1.1 or 5.0,
// over TCP, TLS, WebSocket or a Unix socket, directly or through a proxy.
//
// Dial connects and returns a Conn when the broker has accepted. A Conn never
// reconnects; its owner does, with the same Session if unfinished exchanges
// are to go on. A Conn has two goroutines, one that reads and one that writes;
// both have ended when Done is closed.
//
// Everything that the broker announces in its CONNACK is honoured, whoever
// calls: see Limits. A call that breaks them gets an error and nothing is sent.
package client
