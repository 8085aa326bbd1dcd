// Package modbus polls Modbus devices: it knows registers, values, plans,
// units and when to ask whom. The frames and the line itself are
// drivers/modbus/wire; DESIGN.md tells how the parts work together.
//
//	register.go type.go order.go   the register grammar; what a register's bytes mean
//	decode.go encode.go            bytes to values and back; all readings side by side
//	plan.go price.go load.go       which requests read the tags; what they cost
//	whatif.go                      what other settings would cost
//	point.go group.go reading.go   a tag and a device, compiled from the file; what was read of them
//	block.go                       one request, split where a device refuses a part of it
//	unit.go schedule.go            who may be asked when; units that are silent
//	interval.go grid.go            how often: intervals and words; slots, marks of the clock
//	driver.go poll.go run.go       the goroutine that owns the line; one run of a group
//	flight.go books.go             a request under way; what it tells of line and unit
//	job.go write.go pollonce.go    commands; writes with their read-back; a poll out of turn
//	memory.go stats.go             what outlives a restart; counters
//	relearn.go tell.go             what is forgotten on demand; hints in the log
//	config.go validate*.go check.go every problem of [[bus]] and [[device]]
//	once.go target.go              reads and writes for the commands
package modbus
