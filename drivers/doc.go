// Package drivers says what a driver is and keeps drivers running.
//
// A Driver owns one wire and reports Samples; the Supervisor restarts it when
// it fails, passes on what changed, turns samples into messages (Mapping) and
// set messages into writes (command). A driver's own code knows nothing of
// MQTT; drivers/modbus, drivers/serial and drivers/sim import this package,
// never the other way round.
package drivers
