// Package drivers says what a driver is and keeps drivers running.
//
// A Driver owns one wire and reports Samples; the Supervisor restarts it when
// it fails, passes on what changed, turns samples into messages (Mapping) and
// set messages into writes (command). A driver's own code knows nothing of
// MQTT; drivers/modbus, drivers/serial and drivers/sim import this package,
// never the other way round. DESIGN.md tells why things are as they are.
//
//	driver.go tag.go sample.go value.go         what a driver is and reports
//	decimal.go pipeline.go rules.go enum.go     raw value to value and back
//	change.go mapping.go topic.go format.go     which samples become which messages
//	supervisor.go state.go report.go device.go  drivers, tags and devices while they run
//	outbox.go                                   between drivers and broker
//	computed.go recompute.go                    tags that follow from others
//	setmsg.go command.go request.go code.go     what others ask of devices
package drivers
