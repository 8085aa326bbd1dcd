package buffer

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// powerLog is the log of one powerJob, and where its phases begin.
type powerLog struct {
	ops    []diskOp
	phases []string
	begins []int
}

// recordPower runs the job on a disk that notes all that is done to it.
func recordPower(t *testing.T, seed uint64) *powerLog {
	scale := 3
	if os.Getenv("FIELDGATE_LONG") != "" {
		scale = 8
	}
	t.Helper()
	d := mountDisk(t)
	defer func(d time.Duration) { markEvery = d }(markEvery)
	markEvery = 0
	j := newPowerJob(d.dir, seed, d.mark)
	err := j.run(scale)
	d.mu.Lock()
	l := &powerLog{ops: d.ops}
	d.record = false
	d.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if err := j.b.Close(); err != nil {
		t.Fatal(err)
	}
	for i, o := range l.ops {
		if name, ok := strings.CutPrefix(o.name, "phase "); ok && o.kind == opMark {
			l.phases = append(l.phases, name)
			l.begins = append(l.begins, i)
		}
	}
	return l
}

// cuts chooses n moments, as many in each phase, in order.
func (l *powerLog) cuts(n int, rnd *rand.Rand) (out []int) {
	for i, from := range l.begins {
		to := len(l.ops)
		if i+1 < len(l.begins) {
			to = l.begins[i+1]
		}
		each := (n + len(l.begins) - 1) / len(l.begins)
		for k := range each {
			lo, hi := from+(to-from)*k/each, from+(to-from)*(k+1)/each
			out = append(out, lo+rnd.IntN(max(hi-lo, 1)))
		}
	}
	return out
}

func (l *powerLog) phase(cut int) string {
	name := ""
	for i, from := range l.begins {
		if from <= cut {
			name = l.phases[i]
		}
	}
	return name
}

// states goes through a log and calls f with the disk that each cut leaves.
func (l *powerLog) states(cuts []int, lying func(at, cut int) bool, f func(cut, number int, p *platter, known *promises) error) error {
	p, known := newPlatter(), newPromises()
	at := 0
	for number, cut := range cuts {
		if lying != nil {
			p, known, at = newPlatter(), newPromises(), 0
		}
		for ; at <= cut; at++ {
			if o := l.ops[at]; o.kind == opMark {
				known.hear(o.name)
			} else {
				p.do(o, lying != nil && lying(at, cut))
			}
		}
		if err := f(cut, number, p, known); err != nil {
			return err
		}
	}
	return nil
}

// statesHere is how many states a test looks at. The race detector makes
// SQLite twenty times as slow and has nothing to find in a disk that lost
// power: with it, there are as few as show that the test itself is sound.
// scripts/check runs these tests without it as well.
func statesHere(ordinary, long int) int {
	switch {
	case raceDetector:
		return ordinary / 8
	case os.Getenv("FIELDGATE_LONG") != "":
		return long
	}
	return ordinary
}

func powerSeed() uint64 {
	if os.Getenv("FIELDGATE_LONG") != "" {
		return cmp.Or(*modelSeed, rand.Uint64())
	}
	return cmp.Or(*modelSeed, 1)
}

// TestPowerCut cuts the power at any moment of a buffer's life, lets the disk
// lose, tear and reorder what was not synced, and opens what is left: it
// starts, and everything that was promised is there or reported.
func TestPowerCut(t *testing.T) {
	n := statesHere(315, 2400)
	seed := powerSeed()
	t.Logf("-seed %d", seed)
	l := recordPower(t, seed)
	rnd := rand.New(rand.NewPCG(seed, 3))
	done, begin, failed := map[string]int{}, time.Now(), 0
	err := l.states(l.cuts(n, rnd), nil, func(cut, number int, p *platter, known *promises) error {
		how := fates[number%len(fates)]
		dir := memDir(t)
		defer os.RemoveAll(dir)
		if err := p.after(how, rnd).lay(dir); err != nil {
			return err
		}
		keepImage(t, dir, number)
		if _, err := known.check(dir+"/fg", true); err != nil {
			failed++
			t.Errorf("state %d, cut in phase %q after operation %d of %d (%v), %s: %v", number, l.phase(cut), cut, len(l.ops), l.ops[cut], how.name, err)
		}
		done[l.phase(cut)]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, n := range done {
		total += n
	}
	t.Logf("%d operations, %d states in %v, %d of them bad; by phase %v", len(l.ops), total, time.Since(begin).Round(time.Millisecond), failed, done)
	if total < n || len(done) != len(l.phases) || len(l.phases) < 9 {
		t.Errorf("%d states of %d; phases %v", total, n, done)
	}
}

// TestLyingDisk does the same on a disk that answered its last fsyncs and had
// not done them: the buffer starts and works all the same. What is lost cannot
// all be known, but where only queue.db was lied about, the copy of its counters
// in state.db tells, and a gap is reported.
func TestLyingDisk(t *testing.T) {
	n := statesHere(108, 600)
	seed := powerSeed()
	t.Logf("-seed %d", seed)
	l := recordPower(t, seed)
	rnd := rand.New(rand.NewPCG(seed, 4))
	var syncs []int
	queue := map[int]bool{}
	for i, o := range l.ops {
		if o.kind == opSync || o.kind == opSyncDir {
			syncs = append(syncs, i)
		}
		if o.kind == opCreate && strings.HasPrefix(o.name, "fg/queue.db") {
			queue[o.file] = true
		}
	}
	lies, number := 1, 0
	lying := func(at, cut int) bool {
		last, _ := slices.BinarySearch(syncs, cut+1)
		return at >= syncs[max(last-lies, 0)] && (number%2 == 0 || queue[l.ops[at].file])
	}
	begin, silent := time.Now(), 0
	err := l.states(l.cuts(n, rnd), lying, func(cut, _ int, p *platter, known *promises) error {
		how := fates[number%len(fates)]
		dir := memDir(t)
		defer os.RemoveAll(dir)
		if err := p.after(how, rnd).lay(dir); err != nil {
			return err
		}
		keepImage(t, dir, number)
		f, err := known.check(dir+"/fg", false)
		for u := range powerNames {
			owed := uint64(0)
			for _, n := range f.missing[u] {
				if known.marked[n] != 0 {
					owed++
				}
			}
			if err == nil && number%2 == 1 && owed > 0 && f.reported[u] == 0 {
				err = fmt.Errorf("upstream %s: %d are missing of which state.db knew, nothing is reported", powerNames[u], owed)
			}
			if uint64(len(f.missing[u])) > f.reported[u] {
				silent++
			}
		}
		if err != nil {
			t.Errorf("state %d, cut in phase %q after operation %d of %d (%v), %s, %d fsyncs were lies: %v", number, l.phase(cut), cut, len(l.ops), l.ops[cut], how.name, lies, err)
		}
		lies = 1 + rnd.IntN(30)
		number++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d states in %v; %d queues lost something that nothing knew of", n, time.Since(begin).Round(time.Millisecond), silent)
}

// keepImage copies a state where somebody wants to look at it.
func keepImage(t *testing.T, dir string, number int) {
	to := os.Getenv("FIELDGATE_KEEP")
	if to == "" {
		return
	}
	if err := os.CopyFS(fmt.Sprintf("%s/%d", to, number), os.DirFS(dir)); err != nil {
		t.Log(err)
	}
}
