// Package bench measures what fieldgate does on this machine: its broker, its
// queue, its field buses and the whole gateway, each beside the best that is
// known for it (another broker, a raw log, the physical limit of the line).
//
// What is measured runs in a process of its own (Child), so that its
// processor time and memory can be told from those of the load. Everything a
// run makes lies in a temporary directory and is gone afterwards.
//
// The results are plain structs with JSON names; the commands print them.
package bench
