package wire_test

import (
	"fmt"
	"testing"
	"time"

	"fieldgate/drivers/modbus/server"
	"fieldgate/drivers/modbus/wire"
	"fieldgate/drivers/port"
)

// BenchmarkPolls polls a paced unit that answers 5 ms after the silence, and
// reports the achieved share of what the line allows: efficiency 100 % is
// (13+2n) characters, two silences and those 5 ms.
func BenchmarkPolls(b *testing.B) {
	const turnaround = 5 * time.Millisecond
	for _, baud := range []int{9600, 19200, 115200} {
		for _, n := range []uint16{1, 10, 125} {
			b.Run(fmt.Sprintf("%d/%d", baud, n), func(b *testing.B) {
				s := oneMeter()
				s.Pace = server.Pace{Baud: baud, Bits: 10, Turnaround: turnaround}
				l := serve(b, wire.RTU, s, func(c *wire.Config) { c.Baud, c.Mode = baud, port.Mode8N1 })
				mustRead(b, l, 0, n)
				polls := 0
				for b.Loop() {
					mustRead(b, l, 0, n)
					polls++
				}
				_, limit := wire.FrameCost(l.Config(), read(0, n))
				b.ReportMetric(100*float64(polls)*float64(limit+turnaround)/float64(b.Elapsed()), "%efficiency")
			})
		}
	}
}

// BenchmarkTCP is the cost of a poll that waits for nothing.
func BenchmarkTCP(b *testing.B) {
	l := serve(b, wire.TCP, oneMeter())
	b.ReportAllocs()
	for b.Loop() {
		mustRead(b, l, 0, 10)
	}
}
