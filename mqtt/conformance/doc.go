// Package conformance holds the broker and the client to the MQTT 3.1.1 and
// 5.0 specifications, statement by statement, with raw packets over a socket.
//
// It has tests only. A statement is a row of a table (chapter*_test.go): its
// numbers in both specifications, what it says in our words, and a script of
// bytes that are sent and expected (script_test.go explains the form). Every
// script also runs against Debian's mosquitto as a second opinion; where the
// two differ, differences_test.go says so and by which statement who is right.
// An unknown difference fails.
//
// mqtt/CONFORMANCE.md is generated from the tables:
//
//	go test ./mqtt/conformance -run TestTable -update
package conformance
