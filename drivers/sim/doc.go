// Package sim makes simulated devices on real sockets and pseudo-terminals,
// for the demo, for `fieldgate sim` and for tests: a PLC on Modbus TCP, a
// meter on a Modbus RTU line, a scale that prints lines.
//
// A device is made by its New function, bound by Start, and serves in Run
// until its context ends. Everything it tells a reader is kept in Presented
// for a while and handed to OnPresent, so that a test can compare what arrived
// at the far end of the gateway with the truth. A point with the wave "reads"
// counts the answers that held it: whoever sees every number has lost nothing.
//
// Faults disturb a device with given probabilities: late and missing answers,
// noise, exceptions. Disturb switches them on and off while it runs.
//
// The Modbus side is package drivers/modbus/server, which shares no code with
// our own master; the register grammar here is a second, smaller reading of it
// for the same reason.
package sim
