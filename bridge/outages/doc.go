// Package outages holds the tests of the bridge over links that fail: reset,
// silent, half-open, narrow and lossy, with an upstream that is killed, whose
// name cannot be looked up or whose certificate has expired. The links are the
// kernel's own (netlab), the upstreams Debian's mosquitto and RabbitMQ. It has
// no code of its own.
package outages
