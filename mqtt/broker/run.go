package broker

import (
	"context"
	"maps"
	"slices"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// Run serves until ctx ends. Then it closes the listeners, tells every client
// that the broker is stopping (0x8B), saves what is not yet saved and returns
// nil. Listen must have been called; a broker runs once.
func (b *Broker) Run(ctx context.Context) error {
	b.mu.Lock()
	b.running = true
	for _, l := range b.listeners {
		b.startLocked(l)
	}
	b.knocks.refreshLocked()
	b.mu.Unlock()
	b.armRestored()
	b.wg.Add(1)
	go func() {
		defer b.wg.Done()
		b.housekeeping(ctx)
	}()
	<-ctx.Done()
	b.stop()
	return nil
}

// stop is the end of Run.
func (b *Broker) stop() {
	b.mu.Lock()
	b.stopping = true
	for _, l := range b.listeners {
		l.close()
	}
	b.knocks.refreshLocked()
	b.mu.Unlock()
	over := make(chan struct{})
	go func() {
		b.wg.Wait()
		close(over)
	}()
	for waiting := true; waiting; { // again and again: one may just be attaching
		for _, s := range b.allSessions() {
			s.mu.Lock()
			c := s.conn
			s.mu.Unlock()
			if c != nil {
				c.kick(mqtt.ServerShuttingDown, "")
			}
		}
		select {
		case <-over:
			waiting = false
		case <-time.After(50 * time.Millisecond):
		}
	}
	b.loop.close()
	b.end()
	b.saveSamples()
	for _, s := range b.allSessions() {
		s.mu.Lock()
		if s.timer != nil {
			s.timer.Stop()
		}
		s.mu.Unlock()
	}
}

func (b *Broker) allSessions() []*session {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Values(b.sessions))
}

// housekeeping publishes $SYS, saves retained samples and forgets what has expired.
func (b *Broker) housekeeping(ctx context.Context) {
	sys := newSys(b)
	timer := time.NewTimer(0)
	defer timer.Stop()
	saved, swept := time.Now(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case line := <-b.sysLog.lines:
			b.publishLog(line)
			continue
		case <-timer.C:
		}
		now := time.Now()
		wait := sampleSaveEvery
		if every := b.set.Load().sysInterval; every > 0 {
			sys.publish()
			wait = time.Until(now.Truncate(every).Add(every)) // aligned to the wall clock
			if wait <= 0 || wait > every {
				wait = every // the wall clock was set meanwhile
			}
		}
		if now.Sub(saved) >= sampleSaveEvery {
			b.saveSamples()
			saved = now
		}
		if now.Sub(swept) >= sampleSaveEvery {
			b.sweepRetained()
			b.renewCertificates()
			b.knocks.refresh()
			swept = now
		}
		timer.Reset(wait)
	}
}

// sweepRetained forgets retained messages that have expired.
func (b *Broker) sweepRetained() {
	now := clock.Now()
	for _, m := range b.retained.match("#") {
		if _, expired := remaining(m, b.started, now); expired && b.retained.get(m.Topic) == m {
			gone := &mqtt.Message{Topic: m.Topic}
			b.retained.put(gone)
			if err := b.store.Apply(b.life, false, []mqtt.StoreChange{{Retain: gone}}); err != nil {
				b.storeFailed(err)
			}
		}
	}
}
