// Package server is the answering side of Modbus, for simulated devices and
// tests: units with register banks, on TCP listeners, RTU-over-TCP listeners
// and serial lines (RTU or ASCII, real, pseudo or in memory).
//
// It is a correct device until Server.Fault asks for something else: late,
// missing, damaged, doubled, foreign answers, noise, echoes. A Pace makes a
// pseudo-terminal as slow as the line it stands for.
//
// The package shares no code with drivers/modbus/wire on purpose: a mistake
// made once would agree with itself.
package server
