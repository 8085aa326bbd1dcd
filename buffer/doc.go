// Package buffer keeps on disk what must not be lost: the messages that wait
// for an upstream (Buffer, in queue.db) and the durable state of the local
// broker (State, in state.db).
//
// Append puts messages in, with one bit per upstream that must get them; for
// durable ones it returns after the commit that carries them is synced, or
// after every upstream has acknowledged them, whichever is first. A Cursor
// hands them out, in order, and takes acknowledgements in any order.
// Everything that has to be given up is counted by reason and reported
// upstream as a gap record. DESIGN.md tells how and why.
//
// A Buffer owns two goroutines, one writer per database; both end in Close.
package buffer
