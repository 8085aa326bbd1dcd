package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"sync"

	"github.com/coreos/go-systemd/v22/daemon"

	"fieldgate/configs"
)

// reloader takes up a changed configuration, at SIGHUP and on request. A file
// with an error changes nothing.
type reloader struct {
	g       *gateway
	hup     <-chan os.Signal
	restart func() // ends this run so that the next file starts afresh
	ask     chan chan reloaded

	mu   sync.Mutex
	file *configs.File // for the fresh start
}

// reloaded is how a reload went: the report says what is wrong with the file,
// the error what could not be taken up of a good one.
type reloaded struct {
	report *configs.Report
	err    error
}

func newReloader(g *gateway, hup <-chan os.Signal, restart func()) *reloader {
	r := &reloader{g: g, hup: hup, restart: restart, ask: make(chan chan reloaded)}
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

// watch serves SIGHUP and requests until ctx ends. A signal that comes during
// a reload is served after it; one that comes during a fresh start stays in
// the channel for the next run.
func (r *reloader) watch(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-r.hup:
			r.reload()
		case reply := <-r.ask:
			reply <- r.reload()
		}
	}
}

// request is a reload from the control socket; the report says what was wrong.
func (r *reloader) request(ctx context.Context) (*configs.Report, error) {
	reply := make(chan reloaded, 1)
	select {
	case r.ask <- reply:
		done := <-reply // watch always answers what it has taken
		return done.report, done.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *reloader) reload() reloaded {
	log := r.g.log
	notifyReloading(log)
	file, report := configs.Load(r.g.path, configs.Options{})
	if report.OK() && r.g.needsFreshStart(file) {
		log.Info("starting afresh with the new configuration")
		r.mu.Lock()
		r.file = file
		r.mu.Unlock()
		r.restart()
		return reloaded{report: report} // the next run says that it is ready
	}
	defer notify(log, daemon.SdNotifyReady)
	if !report.OK() {
		r.g.noteReload("the file on disk has errors and is not in force", report.Err(), "fieldgate check "+r.g.path)
		log.Error("the configuration is not taken up: it has errors", "error", report.Err(), "see", "fieldgate check "+r.g.path)
		return reloaded{report: report}
	}
	err := r.g.reload(file)
	r.g.noteReload("the file on disk is in force in part only", err, "")
	if err != nil {
		log.Error("the configuration is taken up in part", "error", err)
		return reloaded{report, withCode(exitProblems, "the configuration is taken up in part: %w", err)}
	}
	log.Info("the configuration is taken up")
	return reloaded{report: report}
}

// needsFreshStart reports a change in what all parts share. Everything else
// is replaced piece by piece.
func (g *gateway) needsFreshStart(file *configs.File) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	shared := func(f *configs.File) any {
		return []any{f.Gateway, f.Log, f.Publish, f.Buffer, f.Web, f.Metrics, f.Broker.Persist}
	}
	return !reflect.DeepEqual(shared(file), shared(g.file))
}

// reload replaces what changed; the rest keeps running without losing a poll,
// a session or a queued message. What the broker refuses changes nothing; what
// fails after it fails alone, and the next reload tries it again.
func (g *gateway) reload(file *configs.File) error {
	g.change.Lock()
	defer g.change.Unlock()
	if err := g.broker.Reload(file.Broker); err != nil {
		return err
	}
	err := errors.Join(g.reloadDrivers(file), g.reloadLinks(file))
	file.Forget()
	g.mu.Lock()
	g.file = file
	g.mu.Unlock()
	err = errors.Join(err, g.hub.Set(g.bridges()))
	select {
	case g.renewed <- struct{}{}:
	default: // a word is waiting already
	}
	return err
}
