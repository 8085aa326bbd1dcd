// Package serial reads instruments that do not speak Modbus: scales, dust and
// gas sensors, weather masts, electricity meters, boards that print lines.
//
// Nothing about an instrument is code. A [[serial]] section says where a
// message begins and ends (Frame), how it is proved (Check), what is undone
// before it is read (Transform), how it is taken apart (Content) and what the
// pieces mean (Tags). Config.Validate compiles a section and reports every
// problem; New makes a Driver of it, which reads a serial port or a serial
// server (tcp://host:port), and opens the line again whenever it is lost.
//
// What an instrument says instead of a value (an empty field, "----", "OL",
// NaN) is a sample without a value and with bad quality, never 0.
//
// DESIGN.md beside this file has the tables of kinds, checks, contents and types.
package serial
