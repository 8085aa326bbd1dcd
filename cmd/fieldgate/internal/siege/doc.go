// Package siege holds no code, only tests of the whole gateway as a process:
// it is killed, stopped, cut off from its upstreams and given too small a
// disk, and what its publishers and its upstreams have seen is compared.
//
// FIELDGATE_LONG=1 runs more rounds; a failing test prints its seed, and
// FIELDGATE_SEED repeats it.
package siege
