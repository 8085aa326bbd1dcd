package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"fieldgate/bridge"
	"fieldgate/buffer"
	"fieldgate/configs"
	"fieldgate/drivers"
	"fieldgate/mqtt/broker"
	"fieldgate/web"
)

// gateway is the whole running gateway. It is opened from the disk outwards
// (buffer, broker, bridges, drivers, page) and ends backwards; nothing depends
// on a clean end.
//
// change is held through a whole reload and while the upstreams start and end,
// all of which wait for drivers and bridges; mu guards what a reload replaces
// and is never held while anything blocks. change before mu.
type gateway struct {
	log     *slog.Logger
	path    string // of the configuration
	started time.Time
	base    string // fieldgate/<gateway>

	buffer  *buffer.Buffer
	broker  *broker.Broker
	hub     *bridge.Hub
	super   *drivers.Supervisor
	web     *web.Server
	control *control
	written writtenToday
	trust   trusted
	events  *events
	renewed chan struct{} // capacity 1: a reload was done, the gateway's own topics are to be published anew

	change   sync.Mutex
	linksCtx context.Context // of runLinks; nil before and after it; guarded by change

	mu       sync.Mutex
	file     *configs.File
	buses    map[string]busSetup
	begun    int // buses so far, see nextPhase
	links    map[string]*linkRunner
	problems []web.Problem // of the last reload
}

// gatewayOptions are what run and demo do differently.
type gatewayOptions struct {
	path   string
	socket string // empty: no control socket
	log    *slog.Logger
}

// openGateway opens every part and connects them; nothing is polled and no
// upstream is called yet. On an error everything that was opened is closed.
func openGateway(file *configs.File, o gatewayOptions) (*gateway, error) {
	g := &gateway{
		log: o.log, path: o.path, started: time.Now(), file: file, renewed: make(chan struct{}, 1),
		buses: map[string]busSetup{}, links: map[string]*linkRunner{}, events: newEvents(),
	}
	if err := g.open(o.socket); err != nil {
		g.release()
		g.close()
		return nil, err
	}
	file.Forget()
	return g, nil
}

// release frees the sockets of a gateway that will not run: who opens another
// one in this process finds its ports free.
func (g *gateway) release() {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	var parts []part
	if g.broker != nil {
		parts = append(parts, part{"broker", g.broker.Run})
	}
	if g.web != nil {
		parts = append(parts, part{"web", g.web.Run})
	}
	if err := runParts(over, parts); err != nil {
		g.log.Debug("release the sockets", "error", err)
	}
}

func (g *gateway) open(socket string) (err error) {
	if g.base, err = g.file.Publish.BaseTopic(g.file.Gateway); err != nil {
		return err
	}
	// Before anything is touched that belongs to a gateway that runs.
	if err := nobodyAnswers(socket); err != nil {
		return err
	}
	for _, step := range []func() error{g.openBuffer, g.loadTrust, g.loadWritten, g.openBroker, g.openLinks, g.openDrivers} {
		if err := step(); err != nil {
			return err
		}
	}
	return g.openDoors(socket)
}

func (g *gateway) openBuffer() (err error) {
	g.buffer, err = buffer.Open(g.file.Buffer, buffer.Options{
		Log: g.log, GatewayID: g.file.Gateway.ID, EventTopic: g.base + "/event", Events: g.events.take,
	})
	if errors.Is(err, fs.ErrPermission) {
		return codeError{exitPermission, err}
	}
	return err
}

func (g *gateway) openBroker() (err error) {
	o := broker.Options{Log: g.log, Version: versionText(), Events: g.events.ofBroker, TLSDir: filepath.Join(g.file.Buffer.Directory(), "tls")}
	if p := g.file.Broker.Persist; p == nil || *p {
		o.Store = g.buffer.State()
	}
	g.broker, err = broker.New(g.file.Broker, o)
	return err
}

// openDoors binds every socket that others knock at: the last step, so that
// whoever gets in finds everything in place.
func (g *gateway) openDoors(socket string) error {
	if err := g.broker.Listen(); err != nil {
		return withCode(exitNetwork, "%w", err)
	}
	g.web = web.New(g.file.Web, g.file.Metrics, web.Sources{Status: g.Status, Tags: g.Tags, Alive: g.alive, Ready: g.ready, Log: g.log})
	if err := g.web.Listen(); err != nil {
		return withCode(exitNetwork, "%w", err)
	}
	if socket == "" {
		return nil
	}
	var err error
	g.control, err = listenControl(socket, g)
	return err
}

// run runs everything until ctx ends or a part fails, then ends the parts
// backwards: drivers first, so that their last values are published and queued.
func (g *gateway) run(ctx context.Context) error {
	parts := []part{{"broker", g.broker.Run}, {"upstreams", g.runLinks}}
	if g.web.Addr() != nil || g.file.Metrics.Bind != "" {
		parts = append(parts, part{"web", g.web.Run})
	}
	if g.control != nil {
		parts = append(parts, part{"control", g.control.run})
	}
	parts = append(parts, part{"status", g.publishStatus}, part{"events", g.events.run}, part{"drivers", g.super.Run})
	return runParts(ctx, parts)
}

// close closes the database last.
func (g *gateway) close() {
	if g.control != nil {
		g.control.close()
	}
	if g.buffer != nil {
		g.keepWritten()
		if err := g.buffer.Close(); err != nil {
			g.log.Error("close the queue", "error", err)
		}
	}
}

// part is a piece of the gateway that runs until its context ends.
type part struct {
	name string
	run  func(context.Context) error
}

// runParts starts the parts in order and ends them in the reverse order, each
// after those that need it. The first failure ends all and is returned.
func runParts(ctx context.Context, parts []part) error {
	type running struct {
		part
		cancel context.CancelFunc
		done   chan error
	}
	failed := make(chan error, len(parts))
	var started []running
	for _, p := range parts {
		// Not a child of ctx: a part ends when its turn comes.
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		r := running{p, cancel, make(chan error, 1)}
		go func() {
			err := p.run(own)
			if own.Err() == nil {
				failed <- fmt.Errorf("%s ended: %w", p.name, errOr(err, errors.New("without being asked")))
			}
			r.done <- err
		}()
		started = append(started, r)
	}
	var first error
	select {
	case <-ctx.Done():
	case first = <-failed:
	}
	for i := len(started) - 1; i >= 0; i-- {
		started[i].cancel()
		if err := <-started[i].done; err != nil && !errors.Is(err, context.Canceled) && first == nil {
			first = fmt.Errorf("%s: %w", started[i].name, err)
		}
	}
	return first
}

func errOr(err, def error) error {
	if err == nil {
		return def
	}
	return err
}
