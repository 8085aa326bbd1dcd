package main

import (
	"context"
	"encoding/json"
	"os"
	"os/signal"
	"reflect"
	"sync"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"

	"fieldgate/configs"
)

// reloader takes up a changed configuration, at SIGHUP and on request. A file
// with an error changes nothing.
type reloader struct {
	g       *gateway
	restart func() // ends this run so that the next file starts afresh
	ask     chan chan *configs.Report

	mu   sync.Mutex
	file *configs.File // for the fresh start
}

func newReloader(g *gateway, restart func()) *reloader {
	r := &reloader{g: g, restart: restart, ask: make(chan chan *configs.Report)}
	if g.control != nil {
		g.control.reload = r.request
	}
	g.super.HandleRequest("reload", func(ctx context.Context, _ json.RawMessage) (any, error) {
		report, err := r.request(ctx)
		if err == nil {
			err = report.Err()
		}
		return nil, err
	})
	return r
}

// next is the file to start afresh with, or nil.
func (r *reloader) next() *configs.File {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.file
}

// watch serves SIGHUP and requests until ctx ends.
func (r *reloader) watch(ctx context.Context) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			r.reload(ctx)
		case reply := <-r.ask:
			reply <- r.reload(ctx)
		}
	}
}

// request is a reload from the control socket; the report says what was wrong.
func (r *reloader) request(ctx context.Context) (*configs.Report, error) {
	reply := make(chan *configs.Report, 1)
	select {
	case r.ask <- reply:
		return <-reply, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *reloader) reload(ctx context.Context) *configs.Report {
	log := r.g.log
	notifyReloading(log)
	defer notify(log, daemon.SdNotifyReady)
	file, report := configs.Load(r.g.path, configs.Options{})
	r.g.noteReload(report)
	if !report.OK() {
		log.Error("the configuration is not taken up: it has errors", "error", report.Err(), "see", "fieldgate check "+r.g.path)
		return report
	}
	if r.g.needsFreshStart(file) {
		log.Info("starting afresh with the new configuration")
		r.mu.Lock()
		r.file = file
		r.mu.Unlock()
		r.restart()
		return report
	}
	if err := r.g.reload(ctx, file); err != nil {
		log.Error("the configuration is taken up in part", "error", err)
		return report
	}
	log.Info("the configuration is taken up")
	return report
}

// needsFreshStart reports a change in what all parts share. Everything else
// is replaced piece by piece.
func (g *gateway) needsFreshStart(file *configs.File) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	shared := func(f *configs.File) any {
		return []any{f.Gateway, f.Log, f.Publish, f.Buffer, f.Web, f.Metrics, f.Broker.Listener}
	}
	return !reflect.DeepEqual(shared(file), shared(g.file))
}

// reload replaces what changed; the rest keeps running without losing a poll,
// a session or a queued message.
func (g *gateway) reload(ctx context.Context, file *configs.File) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.broker.Reload(file.Broker); err != nil {
		return err
	}
	if err := g.reloadDrivers(file); err != nil {
		return err
	}
	if err := g.reloadLinks(ctx, file); err != nil {
		return err
	}
	g.file = file
	g.hub.Set(g.bridges())
	return nil
}
