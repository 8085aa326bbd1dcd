package bench

import (
	"context"
	"fmt"
	"os"
	"time"
)

// IdleResult is what clients cost that do nothing.
type IdleResult struct {
	Clients   int     `json:"clients"`
	Before    Memory  `json:"before"` // without a client
	After     Memory  `json:"after"`
	PerClient float64 `json:"rss_per_client"` // bytes, all but the first
	CPU       float64 `json:"cpu_percent"`    // while nothing happens
}

// Idle opens connections, keeps them for a while and compares the broker's
// memory.
func Idle(ctx context.Context, address string, pid, clients int, hold time.Duration) (res IdleResult, err error) {
	if pid <= 0 {
		return res, fmt.Errorf("idle clients are measured by the memory of the broker's process: give its --pid")
	}
	select { // a broker that has just been started may still be giving back what its start took
	case <-time.After(hold):
	case <-ctx.Done():
		return res, ctx.Err()
	}
	if res.Before, err = memory(pid); err != nil {
		return res, err
	}
	// The code that lets a client in is the broker's, not the first client's.
	first, err := dialLink(ctx, linkOptions{address: address, client: fmt.Sprintf("bi-%d", os.Getpid())})
	if err != nil {
		return res, err
	}
	defer first.bye()
	select {
	case <-time.After(hold / 4):
	case <-ctx.Done():
		return res, ctx.Err()
	}
	warm, err := memory(pid)
	if err != nil {
		return res, err
	}
	links := make([]*link, 0, clients)
	defer func() {
		for _, l := range links {
			l.bye()
		}
	}()
	for i := range clients {
		l, err := dialLink(ctx, linkOptions{address: address, client: fmt.Sprintf("bi%d-%d", i, os.Getpid())})
		if err != nil {
			return res, fmt.Errorf("client %d: %w", i, err)
		}
		l.buf = nil // our own side stays small
		links = append(links, l)
	}
	select {
	case <-time.After(hold):
	case <-ctx.Done():
		return res, ctx.Err()
	}
	meter, err := meterCPU(pid)
	if err != nil {
		return res, err
	}
	select {
	case <-time.After(hold):
	case <-ctx.Done():
		return res, ctx.Err()
	}
	used, elapsed, err := meter.read()
	if err != nil {
		return res, err
	}
	res.Clients = clients
	res.CPU = 100 * used.Seconds() / elapsed.Seconds()
	if res.After, err = memory(pid); err != nil {
		return res, err
	}
	res.PerClient = float64(res.After.RSS-warm.RSS) / float64(clients)
	return res, nil
}
