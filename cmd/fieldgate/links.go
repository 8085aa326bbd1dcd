package main

import (
	"context"
	"fmt"
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
	// A value whose time is known better when it is sent than when it was
	// published is encoded again, in the same way.
	asIs, err := file.Publish.Encoder(file.Gateway, g.buffer.Wall)
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
			AsIs: asIs, Build: buildTime(), Floor: g.trust.Floor, Quarantine: quarantine,
		})
		if err != nil {
			return fmt.Errorf("upstream %s: %w", u.Name, err)
		}
		g.links[u.Name] = &linkRunner{cfg: u, bridge: b}
	}
	return nil
}

func (g *gateway) bridges() []*bridge.Bridge {
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
	g.mu.Lock()
	for _, l := range g.links {
		l.start(ctx, g)
	}
	g.mu.Unlock()
	<-ctx.Done()
	g.mu.Lock()
	defer g.mu.Unlock()
	var ends sync.WaitGroup
	for _, l := range g.links {
		ends.Go(l.stop)
	}
	ends.Wait()
	return nil
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
// a cursor belongs to the upstream's name. The caller holds mu.
func (g *gateway) reloadLinks(ctx context.Context, file *configs.File) error {
	wanted := map[string]bridge.Config{}
	for _, u := range file.Upstream {
		wanted[u.Name] = u
	}
	for name, l := range g.links {
		if u, stays := wanted[name]; !stays || !reflect.DeepEqual(u, l.cfg) {
			l.stop()
			delete(g.links, name)
			g.log.Info("stopped for the new configuration", "upstream", name)
		} else {
			l.bridge.Kick() // somebody may have mended the network: try at once
		}
	}
	if err := g.makeLinks(file); err != nil {
		return err
	}
	for name, l := range g.links {
		if l.cancel == nil {
			l.start(ctx, g)
			g.log.Info("started by the new configuration", "upstream", name)
		}
	}
	return nil
}
