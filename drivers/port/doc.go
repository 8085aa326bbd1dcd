// Package port opens serial lines.
//
// Bytes go through a descriptor of our own that Go's poller watches, so that
// every read and write has a deadline and a Close ends them; settings go
// through go.bug.st/serial. Both handles stay open together: closing the
// library's would drop the exclusive flag. An advisory lock (flock) on our
// descriptor keeps a second fieldgate away even where both run as root, for
// whom the kernel ignores the exclusive flag.
//
// Open touches the line's settings only after it owns the lock: a second
// open of a live port would otherwise change the speed under its user's feet.
// For the same reason List never opens a port.
//
// Pseudo-terminals work like ports; what they cannot do (modem lines, RS-485,
// latency) is reported in Port.Notes, not refused.
package port
