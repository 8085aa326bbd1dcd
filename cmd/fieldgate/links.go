package main

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"sync"

	"fieldgate/bridge"
	"fieldgate/configs"
)

// linkRunner is one upstream: its bridge and, while it runs, its end.
type linkRunner struct {
	cfg    bridge.Config
	bridge *bridge.Bridge
	cancel context.CancelFunc
	done   chan struct{}
}

// openLinks makes a bridge for each upstream and the hub that feeds them; no
// upstream is called yet.
func (g *gateway) openLinks() (err error) {
	if err := g.makeLinks(g.file); err != nil {
		return err
	}
	g.hub, err = bridge.NewHub(g.broker, g.buffer, g.bridges())
	return err
}

// makeLinks makes the bridges that are not there yet.
func (g *gateway) makeLinks(file *configs.File) error {
	names := make([]string, 0, len(file.Upstream))
	for _, u := range file.Upstream {
		names = append(names, u.Name)
	}
	if len(names) > 0 {
		names = append(names, bridge.QuarantineName)
	}
	if err := g.buffer.Upstreams(names); err != nil {
		return fmt.Errorf("prepare the queue: %w", err)
	}
	if len(names) > 0 {
		if err := g.buffer.Shelf(bridge.QuarantineName, bridge.QuarantineSize); err != nil {
			return fmt.Errorf("prepare the quarantine: %w", err)
		}
	}
	// A value whose time is known better when it is sent than when it was
	// published is encoded again, in the same way.
	asIs, err := file.Publish.Encoder(file.Gateway, g.buffer.Wall)
	if err != nil {
		return err
	}
	zone, err := zoneOf(file.Gateway.Timezone)
	if err != nil {
		return err
	}
	for _, u := range file.Upstream {
		if g.links[u.Name] != nil {
			continue
		}
		cursor, err := g.buffer.Cursor(u.Name)
		if err != nil {
			return fmt.Errorf("upstream %s: %w", u.Name, err)
		}
		quarantine, err := g.buffer.Cursor(bridge.QuarantineName)
		if err != nil {
			return fmt.Errorf("quarantine: %w", err)
		}
		b, err := bridge.New(u, bridge.Options{
			Gateway: file.Gateway.ID, Base: g.base, Buffer: g.buffer, Cursor: cursor, Broker: g.broker, Log: g.log,
			AsIs: asIs, Build: buildTime(), Floor: g.trust.Floor, Settings: g.buffer, Quarantine: quarantine, Zone: zone,
		})
		if err != nil {
			return fmt.Errorf("upstream %s: %w", u.Name, err)
		}
		g.mu.Lock()
		g.links[u.Name] = &linkRunner{cfg: u, bridge: b}
		g.mu.Unlock()
	}
	return nil
}

func (g *gateway) bridges() []*bridge.Bridge {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []*bridge.Bridge
	for _, u := range g.file.Upstream {
		if l := g.links[u.Name]; l != nil {
			all = append(all, l.bridge)
		}
	}
	return all
}

// runLinks runs all bridges until ctx ends; a reload may replace some meanwhile.
func (g *gateway) runLinks(ctx context.Context) error {
	g.change.Lock()
	g.linksCtx = ctx
	g.startLinks()
	g.change.Unlock()
	<-ctx.Done()
	g.change.Lock()
	defer g.change.Unlock()
	g.linksCtx = nil
	var ends sync.WaitGroup
	for _, l := range g.links {
		ends.Go(l.stop)
	}
	ends.Wait()
	return nil
}

// startLinks starts the bridges that do not run yet, while upstreams run at
// all: a reload may come before that, and after. The caller holds change.
func (g *gateway) startLinks() (started []string) {
	if g.linksCtx == nil {
		return nil
	}
	for name, l := range g.links {
		if l.cancel == nil {
			l.start(g.linksCtx, g)
			started = append(started, name)
		}
	}
	return started
}

// start runs the bridge in a goroutine that stop waits for.
func (l *linkRunner) start(ctx context.Context, g *gateway) {
	ctx, l.cancel = context.WithCancel(ctx)
	l.done = make(chan struct{})
	go func() {
		defer close(l.done)
		if err := l.bridge.Run(ctx); err != nil && ctx.Err() == nil {
			g.log.Error("upstream ended", "upstream", l.cfg.Name, "error", err)
		}
	}()
}

func (l *linkRunner) stop() {
	if l.cancel != nil {
		l.cancel()
		<-l.done
	}
}

// reloadLinks replaces the bridges whose section changed. Their queues stay:
// a cursor belongs to the upstream's name. The caller holds change.
func (g *gateway) reloadLinks(file *configs.File) error {
	wanted := map[string]bridge.Config{}
	for _, u := range file.Upstream {
		wanted[u.Name] = u
	}
	var ends sync.WaitGroup
	for name, l := range maps.Clone(g.links) { // only who holds change writes it
		if u, stays := wanted[name]; stays && reflect.DeepEqual(u, l.cfg) {
			l.bridge.Kick() // somebody may have mended the network: try at once
			continue
		}
		g.mu.Lock()
		delete(g.links, name)
		g.mu.Unlock()
		ends.Go(l.stop)
		g.log.Info("stopped for the new configuration", "upstream", name)
	}
	ends.Wait() // a queue has one reader
	err := g.makeLinks(file)
	for _, name := range g.startLinks() {
		g.log.Info("started by the new configuration", "upstream", name)
	}
	return err
}
