package modbus

import (
	"strings"
	"time"
	"unicode"

	"fieldgate/drivers/modbus/wire"
)

const (
	hintsEvery = time.Minute
	maxTold    = 64 // hints of a Run that are remembered as told
)

// tellHints puts what the counters point at into the log, each hint once: who
// reads the log later finds the cause beside the time-outs.
func (p *poller) tellHints(now time.Time) {
	if now.Sub(p.hintsAt) < hintsEvery {
		return
	}
	p.hintsAt = now
	counting, ok := p.line.(interface{ Stats() wire.Stats })
	if !ok {
		return
	}
	for _, hint := range counting.Stats().Hints {
		kind := withoutNumbers(hint)
		if p.told[kind] || len(p.told) == maxTold {
			continue
		}
		p.told[kind] = true
		p.d.log.Warn(hint)
	}
}

// withoutNumbers makes hints alike that differ in a unit or a time only.
func withoutNumbers(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, text)
}
