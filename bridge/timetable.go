package bridge

import (
	"context"
	"errors"
	"time"

	"fieldgate/buffer"
)

// How the connection schedule is kept.
const (
	scheduleLook = time.Second      // how often it is looked at; a clock that is set counts at once
	alarmLinger  = 10 * time.Second // how long a connection for alarms stays after the last one
)

var (
	errScheduleClosed = errors.New("the connection schedule says offline now")
	errScheduleOpen   = errors.New("the connection schedule says online now")
	errAlarmsSent     = errors.New("the alarms are sent; the connection schedule says offline")
)

// localTime is the time in the gateway's zone.
func (b *Bridge) localTime() time.Time {
	if b.opts.Zone == nil {
		return b.wall()
	}
	return b.wall().In(b.opts.Zone)
}

// allowed reports whether the schedule lets us connect now. With a clock that
// cannot be right there is no telling, and staying offline would keep it so:
// the upstream may be the only network that could set it.
func (b *Bridge) allowed() bool {
	now := b.localTime()
	return b.s.schedule.open(now) || now.Before(b.opts.Build)
}

// alarmsWait reports alarms that may pass outside of the schedule.
func (b *Bridge) alarmsWait() bool {
	return b.s.alarmsPass && b.queue.Stats().ByPriority[buffer.Alarm.String()] > 0
}

// awaitSchedule waits until the bridge may connect. urgent: only for alarms.
// Kick does not change the schedule.
func (b *Bridge) awaitSchedule(ctx context.Context) (urgent bool) {
	if b.allowed() {
		return false
	}
	told := false
	look := time.NewTicker(b.scheduleLook)
	defer look.Stop()
	for {
		switch {
		case b.allowed():
			return false
		case b.alarmsWait():
			return true
		case !told:
			told = true
			next := b.s.schedule.next(b.localTime())
			b.setState(StateWaiting, "outside of the connection schedule until "+next.Format("Mon 15:04"), "see connect.schedule")
			b.mu.Lock()
			b.state.NextTry = next
			b.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			return false
		case <-look.C:
		}
	}
}

// watchSchedule ends a connection when the schedule says so: an ordinary one
// when the window closes, one for alarms when they are sent or it opens.
func (b *Bridge) watchSchedule(ctx context.Context, cancel context.CancelCauseFunc, urgent bool) {
	look := time.NewTicker(b.scheduleLook)
	defer look.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		switch open := b.allowed(); {
		case !urgent && !open:
			cancel(errScheduleClosed)
			return
		case urgent && open:
			cancel(errScheduleOpen)
			return
		case urgent && b.alarmsWait():
			last = time.Now()
		case urgent && time.Since(last) >= b.alarmLinger:
			cancel(errAlarmsSent)
			return
		}
	}
}
