package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// notify tells systemd what happens; without systemd it does nothing.
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("cannot notify systemd", "error", err)
	}
}

// notifyReloading opens a reload. systemd wants the monotonic time with it and
// always a READY=1 after it, even when the new configuration was refused.
func notifyReloading(log *slog.Logger) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		log.Warn("cannot read the monotonic clock", "error", err)
	}
	notify(log, fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, ts.Nano()/1000))
}

// waitTick waits for the next tick or the end of ctx.
func waitTick(ctx context.Context, tick *time.Ticker) {
	select {
	case <-ctx.Done():
	case <-tick.C:
	}
}

// feedWatchdog feeds systemd's watchdog at a third of its time, but only while
// alive says that every part makes progress. It ends with ctx.
func feedWatchdog(ctx context.Context, log *slog.Logger, alive func() error) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil || limit == 0 {
		return
	}
	tick := time.NewTicker(limit / 3)
	defer tick.Stop()
	for ; ctx.Err() == nil; waitTick(ctx, tick) { // at once: a fresh start has used up some of the time
		err := alive()
		switch {
		case ctx.Err() != nil:
			return // the parts end one after the other: no wonder that one does not move
		case err != nil:
			log.Error("the watchdog is not fed", "error", err)
		default:
			notify(log, daemon.SdNotifyWatchdog)
		}
	}
}
