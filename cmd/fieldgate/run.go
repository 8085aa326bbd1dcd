package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"fieldgate/cmd/fieldgate/internal/logs"
	"fieldgate/configs"
)

// endLimit is how long an orderly end may take; then the process goes anyway.
// A power cut takes the same path, so nothing is lost by it.
const endLimit = 20 * time.Second

func (a *app) runCommand() *cobra.Command {
	return &cobra.Command{
		Use: "run", Short: "Run the gateway (systemd runs this)", GroupID: "run", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.runGateway(c.Context()) },
	}
}

func (a *app) runGateway(ctx context.Context) error {
	// For as long as the process lives: a signal between two runs must not end it.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	file, err := a.load(exitConfig)
	if err != nil {
		return err
	}
	g, err := a.openRun(file)
	for err == nil {
		var next *configs.File
		next, err = a.runOnce(ctx, g, hup)
		if next == nil || ctx.Err() != nil {
			return err
		}
		if err != nil {
			g.log.Error("the end before the fresh start", "error", err)
		}
		g, err = a.openNext(next, g)
	}
	return err
}

// openRun opens the gateway of a file with the log that the file wants.
func (a *app) openRun(file *configs.File) (*gateway, error) {
	log, err := a.logger(file.Log, file.Gateway.Timezone)
	if err != nil {
		return nil, err
	}
	return openGateway(file, gatewayOptions{path: a.configPath(), socket: a.gatewaySocket(file), log: log})
}

// openNext opens the gateway of a changed file, or the one before again where
// that fails, as when another program has the new port: a reload must not be
// the end of a gateway that worked.
func (a *app) openNext(next *configs.File, before *gateway) (*gateway, error) {
	g, err := a.openRun(next)
	if err == nil {
		return g, nil
	}
	before.log.Error("the configuration cannot be taken up; going back to the one before", "error", err)
	g, again := a.openRun(before.file)
	if again != nil {
		return nil, errors.Join(err, again)
	}
	g.noteReload("the file on disk cannot be taken up and is not in force", err, "")
	return g, nil
}

// runOnce runs an opened gateway to its end. It returns the next configuration
// when a reload changed something that only a fresh start of all parts takes
// up; queue and sessions are on the disk and live on.
func (a *app) runOnce(ctx context.Context, g *gateway, hup <-chan os.Signal) (*configs.File, error) {
	ctx, stop := context.WithCancel(ctx)
	reloads := newReloader(g, hup, stop)
	g.log.Info("running", "gateway", g.file.Gateway.ID, "version", versionText(), "configuration", g.path, "broker", g.addresses())
	notify(g.log, daemon.SdNotifyReady+"\nSTATUS="+g.oneLine())
	ended := make(chan struct{})
	var watch, end sync.WaitGroup
	watch.Go(func() { reloads.watch(ctx) })
	watch.Go(func() { forgetStart(ctx, g.log) })
	end.Go(func() { endAnyway(ctx, ended, g.log, reloads) })
	go feedWatchdog(ctx, g.log, g.alive)
	err := g.run(ctx)
	stop()
	watch.Wait() // a reload under way needs the queue
	g.close()
	close(ended)
	end.Wait()
	next := reloads.next()
	if next == nil {
		g.log.Info("stopped")
	}
	return next, err
}

// endAnyway says that the end has begun, and ends the process when it takes
// too long or a second signal comes. ended is closed at an orderly end.
func endAnyway(ctx context.Context, ended <-chan struct{}, log *slog.Logger, r *reloader) {
	<-ctx.Done()
	again := make(chan os.Signal, 1)
	if r.next() == nil {
		notify(log, daemon.SdNotifyStopping)
		signal.Notify(again, os.Interrupt, syscall.SIGTERM)
		defer signal.Stop(again)
	}
	select {
	case <-ended:
		return
	case <-again:
		log.Warn("second signal: ending at once")
	case <-time.After(endLimit):
		log.Error("the orderly end takes too long: ending anyway", "limit", endLimit)
	}
	os.Exit(exitInterrupt)
}

// gatewaySocket is where run listens for commands: the flag, systemd's runtime
// directory, or beside the queue.
func (a *app) gatewaySocket(file *configs.File) string {
	if a.socket != "" {
		return a.socket
	}
	if dir := os.Getenv("RUNTIME_DIRECTORY"); dir != "" {
		return filepath.Join(dir, "control.sock")
	}
	return filepath.Join(file.Buffer.Directory(), "control.sock")
}

// logger makes the log of the [log] section; -v shows everything, -q errors.
func (a *app) logger(c configs.Log, zone string) (*slog.Logger, error) {
	level, err := logs.ParseLevel(c.Level)
	if err != nil {
		return nil, err
	}
	switch {
	case a.verbose:
		level = slog.LevelDebug
	case a.quiet:
		level = slog.LevelError
	}
	where, err := zoneOf(zone)
	if err != nil {
		return nil, err
	}
	return logs.New(os.Stderr, logs.Options{
		Level: level, Format: c.Format, Repeat: c.RepeatWindow.Std(), Location: where, Color: a.colorOn(a.err),
	}), nil
}

// zoneOf is gateway.timezone; "": that of the system.
func zoneOf(name string) (*time.Location, error) {
	if name == "" {
		return time.Local, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("gateway.timezone: %w", err)
	}
	return zone, nil
}
