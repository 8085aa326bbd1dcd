package bridge

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"fieldgate/configs/conf"
)

// Settings keeps small values over restarts; *buffer.Buffer is one.
type Settings interface {
	Get(key string) (value []byte, ok bool, err error)
	Put(key string, value []byte) error
}

// Saving is how far a bridge saves to stay within its monthly budget.
type Saving int

// The levels of saving. Alarms pass at every level.
const (
	SavingNone Saving = iota
	SavingBulk        // more than the month's share is used: bulk waits
	SavingThin        // a tenth of the month beyond it: values of normal priority are thinned as well
)

// Bounds of the monthly budget.
const (
	firstShare  = 1.0 / 30              // of the month may be used at once, at its beginning
	thinBeyond  = 0.1                   // of the month, beyond the share: thinning begins
	hysteresis  = 0.02                  // of the month: by so much less a level ends
	saveEvery   = 5 * time.Minute       // the use of the month on disk is so old at most
	thinEvery   = time.Minute           // how often the thinning is adapted
	thinMost    = 1024                  // at most all but one of so many values are given up
	burst       = 2 * time.Second       // of the byte rate may go at once
	perPacket   = 40 + 12 + 22 + 4 + 52 // IP, TCP, TLS, PUBACK and its share of an answer: until the kernel's count corrects it
	budgetKey   = "bridge.month."       // and the upstream's name
	periodStyle = "2006-01-02"
)

// budget keeps a bridge within bytes per second and per month. What is sent
// counts at once by an estimate; settle replaces the estimates by what the
// kernel has counted on the wire. It has its own lock.
type budget struct {
	name     string
	rate     float64 // bytes per second; 0: no limit
	month    uint64  // bytes; 0: no limit
	day      int     // of the month, on which a new period begins
	settings Settings
	now      func() (t time.Time, synced bool)

	mu       sync.Mutex
	tokens   float64
	filled   time.Time
	guessed  uint64 // sum of the estimates since the last settle
	carried  uint64 // what the kernel had counted then
	used     uint64 // in the period
	period   time.Time
	loaded   bool
	dirty    bool
	saved    time.Time
	level    Saving
	thin     thinning
	minute   uint64 // used when the thinning was adapted last
	adapted  time.Time
	lastTime time.Time // the wall clock at the last look
}

// thinning keeps one of n values of each topic.
type thinning struct {
	n      uint32
	counts map[string]uint32
}

// maxThinTopics bounds the topics whose turn is remembered.
const maxThinTopics = 10_000

// keeps says whether the next value of a topic stays. The first of a topic
// always does; then one of n.
func (t *thinning) keeps(key string) bool {
	if t.n <= 1 {
		return true
	}
	if t.counts == nil || len(t.counts) >= maxThinTopics {
		t.counts = make(map[string]uint32)
	}
	c := t.counts[key]
	t.counts[key] = (c + 1) % t.n
	return c == 0
}

func newBudget(c Budget, name string, settings Settings, now func() (time.Time, bool)) *budget {
	rate, _ := parseByteRate(c.Rate) // validated
	b := &budget{name: name, rate: rate, month: uint64(max(0, c.Month)), day: max(1, c.Day), settings: settings, now: now}
	b.thin.n = 1
	b.tokens = b.rate * burst.Seconds()
	return b
}

// parseByteRate reads "16KiB/s" or "1MB/m" as bytes per second.
func parseByteRate(text string) (float64, error) {
	if text == "" {
		return 0, nil
	}
	bad := fmt.Errorf(`%q is not a rate in bytes; write for example "16KiB/s" or "1MB/h"`, text)
	size, unit, ok := strings.Cut(text, "/")
	if !ok {
		return 0, bad
	}
	n, err := conf.ParseSize(strings.TrimSpace(size))
	seconds := map[string]float64{"s": 1, "m": 60, "min": 60, "h": 3600}[strings.TrimSpace(unit)]
	if err != nil || n <= 0 || seconds == 0 {
		return 0, bad
	}
	return float64(n) / seconds, nil
}

// wait is how long anything but an alarm has to wait for bytes per second.
func (b *budget) wait(now time.Time) time.Duration {
	if b.rate == 0 {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fillLocked(now)
	if b.tokens > 0 {
		return 0
	}
	return time.Duration((1-b.tokens)/b.rate*float64(time.Second)) + time.Millisecond
}

func (b *budget) fillLocked(now time.Time) {
	if !b.filled.IsZero() {
		b.tokens = min(b.rate*burst.Seconds(), b.tokens+now.Sub(b.filled).Seconds()*b.rate)
	}
	b.filled = now
}

// spend counts a packet that goes out now. The byte rate may fall into debt:
// an alarm does not wait, the others wait for it.
func (b *budget) spend(packet int, now time.Time) {
	if b.rate == 0 && b.month == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n := packet + perPacket
	b.guessed += uint64(n)
	b.used += uint64(n)
	b.dirty = true
	if b.rate > 0 {
		b.fillLocked(now)
		b.tokens -= float64(n)
	}
}

// settle puts what the link has carried in place of the estimates. carried is
// the sum of both directions since the bridge began; zero: not known.
func (b *budget) settle(carried uint64, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if carried > b.carried {
		difference := int64(carried-b.carried) - int64(b.guessed)
		b.carried, b.guessed = carried, 0
		b.used = uint64(max(0, int64(b.used)+difference))
		b.dirty = true
		if b.rate > 0 {
			b.fillLocked(now)
			b.tokens -= float64(difference)
		}
	}
}

// look begins a new month where one has begun, and decides how far to save.
// rose reports that the level is higher than before.
func (b *budget) look(now time.Time) (level Saving, rose bool) {
	if b.month == 0 {
		return SavingNone, false
	}
	wall, synced := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.loadLocked(wall)
	if start := periodStart(wall, b.day); synced && start.After(b.period) {
		b.period, b.used, b.minute, b.dirty = start, 0, 0, true
	}
	b.lastTime = wall
	old := b.level
	b.level = b.levelLocked(wall)
	b.adaptLocked(wall, now)
	if b.dirty && (now.Sub(b.saved) >= saveEvery || b.level != old) {
		b.saveLocked(now)
	}
	return b.level, b.level > old
}

// share is the part of the month that may be used by now.
func (b *budget) share(wall time.Time) float64 {
	end := b.period.AddDate(0, 1, 0)
	return min(1, max(firstShare, wall.Sub(b.period).Seconds()/end.Sub(b.period).Seconds()))
}

func (b *budget) levelLocked(wall time.Time) Saving {
	part := float64(b.used) / float64(b.month)
	over := part - b.share(wall)
	ends := func(l Saving) float64 { // a level that holds ends a little lower
		if b.level >= l {
			return hysteresis
		}
		return 0
	}
	switch {
	case over > thinBeyond-ends(SavingThin), part >= 1:
		return SavingThin
	case over > -ends(SavingBulk):
		return SavingBulk
	}
	return SavingNone
}

// adaptLocked steers the thinning so that what is left lasts to the month's
// end.
func (b *budget) adaptLocked(wall, now time.Time) {
	if b.level != SavingThin {
		b.thin.n, b.adapted = 1, time.Time{}
		return
	}
	if b.adapted.IsZero() {
		b.thin.n, b.adapted, b.minute = 2, now, b.used
		return
	}
	passed := now.Sub(b.adapted)
	if passed < thinEvery {
		return
	}
	left := b.period.AddDate(0, 1, 0).Sub(wall).Seconds()
	allowed := math.Max(0, float64(b.month)-float64(b.used)) / math.Max(left, 1) * passed.Seconds()
	spent := float64(b.used - min(b.minute, b.used))
	switch {
	case spent > allowed && b.thin.n < thinMost:
		b.thin.n *= 2
	case spent < allowed/2 && b.thin.n > 2:
		b.thin.n /= 2
	}
	b.adapted, b.minute = now, b.used
}

// keeps says whether a value of normal priority goes up.
func (b *budget) keeps(key string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.level != SavingThin || b.thin.keeps(key)
}

// periodStart is when the month began that t is in.
func periodStart(t time.Time, day int) time.Time {
	t = t.UTC()
	start := time.Date(t.Year(), t.Month(), day, 0, 0, 0, 0, time.UTC)
	if start.After(t) {
		start = time.Date(t.Year(), t.Month()-1, day, 0, 0, 0, 0, time.UTC)
	}
	return start
}

// monthDoc is what is kept over restarts.
type monthDoc struct {
	Period string `json:"period"`
	Used   uint64 `json:"used"`
}

// loadLocked reads, once, what an earlier run has used of this month.
func (b *budget) loadLocked(wall time.Time) {
	if b.loaded {
		return
	}
	b.loaded, b.period = true, periodStart(wall, b.day)
	if b.settings == nil {
		return
	}
	text, ok, err := b.settings.Get(budgetKey + b.name)
	var doc monthDoc
	if err != nil || !ok || json.Unmarshal(text, &doc) != nil {
		return
	}
	period, err := time.Parse(periodStyle, doc.Period)
	if err != nil || period.Day() != b.period.Day() {
		return // day was changed
	}
	// A clock that is behind does not begin an older month again.
	if !period.Before(b.period) {
		b.period, b.used = period, b.used+doc.Used
		b.minute = b.used
	}
}

// saveLocked keeps the use of the month. A failure costs at most saveEvery of
// accounting; the queue reports trouble with the disk itself.
func (b *budget) saveLocked(now time.Time) {
	b.saved, b.dirty = now, false
	if b.settings == nil {
		return
	}
	text, err := json.Marshal(monthDoc{b.period.Format(periodStyle), b.used})
	if err == nil {
		err = b.settings.Put(budgetKey+b.name, text)
	}
	b.dirty = err != nil
}

// close keeps the use of the month at the end.
func (b *budget) close(carried uint64) {
	b.settle(carried, time.Now())
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.month > 0 && b.loaded && b.dirty {
		b.saveLocked(time.Now())
	}
}

// BudgetStats is the monthly budget at a moment; the zero value: none.
type BudgetStats struct {
	Month     uint64 // bytes allowed; 0: no budget
	Used      uint64 // bytes, both ways, with the headers of IP and TCP
	Projected uint64 // at the month's end, if it goes on like this
	Ends      time.Time
	Saving    Saving
	KeepOneOf int // values of normal priority; 1: all
}

func (b *budget) stats() BudgetStats {
	if b.month == 0 {
		return BudgetStats{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := BudgetStats{Month: b.month, Used: b.used, Saving: b.level, KeepOneOf: int(b.thin.n)}
	if b.loaded {
		s.Ends = b.period.AddDate(0, 1, 0)
		s.Projected = uint64(float64(b.used) / b.share(b.lastTime))
	}
	return s
}
