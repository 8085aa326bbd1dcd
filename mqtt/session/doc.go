// Package session is the state that the two ends of MQTT keep of their
// exchanges, as plain data: packet ids (IDs), the messages on their way to the
// peer (Window), those on their way from it (Receiver), and topic aliases in
// both directions (AliasOut, AliasIn).
//
// Nothing here knows a socket, starts a goroutine or takes a lock: the owner
// of a connection calls it under a lock of its own, and writes what it says.
//
// A Window and a Receiver outlive the connection. With each new one, Begin
// tells them the peer's limits, and what is unfinished goes on where it was
// [MQTT-4.4.0-1]; aliases end with the connection [MQTT-3.3.2-7].
package session
