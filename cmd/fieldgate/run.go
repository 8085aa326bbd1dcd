package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
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
	file, err := a.load(exitConfig)
	if err != nil {
		return err
	}
	log, err := a.logger(file.Log, file.Gateway.Timezone)
	if err != nil {
		return err
	}
	for {
		again, err := a.runOnce(ctx, file, log)
		if err != nil || again == nil {
			return err
		}
		file = again
	}
}

// runOnce runs the gateway with one configuration. It returns the next one
// when a reload changed something that only a fresh start of all parts takes
// up; queue and sessions are on the disk and live on.
func (a *app) runOnce(ctx context.Context, file *configs.File, log *slog.Logger) (*configs.File, error) {
	g, err := openGateway(file, gatewayOptions{path: a.configPath(), socket: a.gatewaySocket(file), log: log})
	if err != nil {
		return nil, err
	}
	defer g.close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	reloads := newReloader(g, stop)
	go reloads.watch(ctx)
	go feedWatchdog(ctx, log, g.alive)
	go endAnyway(ctx, log, reloads)
	log.Info("running", "gateway", file.Gateway.ID, "version", versionText(), "configuration", g.path, "broker", g.addresses())
	notify(log, daemon.SdNotifyReady+"\nSTATUS="+g.oneLine())
	err = g.run(ctx)
	next := reloads.next()
	if next == nil {
		notify(log, daemon.SdNotifyStopping)
		log.Info("stopped")
	}
	return next, err
}

// endAnyway ends the process when an orderly end takes too long, or at a
// second signal.
func endAnyway(ctx context.Context, log *slog.Logger, r *reloader) {
	<-ctx.Done()
	if r.next() != nil {
		return
	}
	again := make(chan os.Signal, 1)
	signal.Notify(again, os.Interrupt, syscall.SIGTERM)
	select {
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
	where := time.Local
	if zone != "" {
		if where, err = time.LoadLocation(zone); err != nil {
			return nil, fmt.Errorf("gateway.timezone: %w", errors.Unwrap(err))
		}
	}
	return logs.New(os.Stderr, logs.Options{
		Level: level, Format: c.Format, Repeat: c.RepeatWindow.Std(), Location: where, Color: a.colorOn(a.err),
	}), nil
}
