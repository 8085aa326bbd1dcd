package buffer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// fault is one kind of failure of a disk.
type fault struct {
	name string
	hits func(o *diskOp) bool // operations that it can meet
	meet trouble
}

func writes(o *diskOp) bool  { return o.kind == opWrite }
func grows(o *diskOp) bool   { return o.kind == opWrite || o.kind == opCreate || o.kind == opTruncate }
func syncs(o *diskOp) bool   { return o.kind == opSync || o.kind == opSyncDir }
func changes(o *diskOp) bool { return o.kind != opMark && o.kind != opRead }

func faultKinds(slow time.Duration) []fault {
	return []fault{
		{"EIO", changes, trouble{errno: syscall.EIO}},
		{"ENOSPC", grows, trouble{errno: syscall.ENOSPC}},
		{"short write", writes, trouble{short: true}},
		{"slow fsync", syncs, trouble{delay: slow}},
	}
}

// faultRun lets operations k to k+n-1 of those that a fault can meet fail.
type faultRun struct {
	fault fault
	k, n  int

	mu   sync.Mutex
	seen int
}

func (r *faultRun) trouble(o *diskOp) trouble {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.fault.hits(o) {
		return trouble{}
	}
	r.seen++
	if r.seen < r.k || r.seen >= r.k+r.n {
		return trouble{}
	}
	return r.fault.meet
}

// faultBase is a buffer that is nearly full, closed in order.
type faultBase struct {
	dir   string
	known *promises
	next  int
	seq   uint64
}

func newFaultBase(t *testing.T) *faultBase {
	t.Helper()
	base := &faultBase{known: newPromises()}
	j := newPowerJob(memDir(t), 1, base.known.hear)
	err := errors.Join(j.open(), repeat(36, func(i int) error { return j.put(14_000, 3, i%4 == 3, Priority(1+i%2)) }), j.state())
	if err == nil {
		j.flush()
		err = j.b.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	base.dir, base.next, base.seq = j.dir, j.next, j.seq
	return base
}

// job lays the buffer on a disk, for good, and goes on with it.
func (base *faultBase) job(d *fuseDisk, seed uint64) (*powerJob, error) {
	j := newPowerJob(d.dir, seed, d.mark)
	j.next, j.seq = base.next, base.seq
	if err := os.RemoveAll(j.dir); err != nil {
		return nil, err
	}
	d.notes()
	if err := os.CopyFS(j.dir, os.DirFS(base.dir)); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(j.dir, "*"))
	for _, name := range append(files, j.dir, d.dir) {
		err = errors.Join(err, syncDir(name))
	}
	return j, err
}

// work is what the faults meet: a start, appends, shared commits, what the
// broker stores, reading and acknowledging, segments given up for room and
// segments that are done with, a checkpoint, a file that shrinks.
func (j *powerJob) work() error {
	return errors.Join(
		repeat(4, func(i int) error { return j.put(100+3000*(i%2), uint64(1+i%3), i%4 != 3, Priority(i%3)) }),
		j.state(),
		j.take(0, 3), j.together(3), j.take(1, 2),
		repeat(6, func(int) error { return j.put(14_000, 3, true, Normal) }), // more than was taken: the queue overflows
		j.state(),
		j.checkpoint("TRUNCATE"),
		j.take(0, 30), j.take(1, 30), j.put(100, 2, true, Normal),
		j.vacuum(), j.put(100, 3, true, Alarm), j.state())
}

// start opens the buffer. Where the disk does not let it, it tries once more
// on a disk that is well, as the supervisor of the process would.
func (j *powerJob) start(d *fuseDisk) error {
	if j.open() == nil {
		return nil
	}
	d.set(nil)
	if err := j.open(); err != nil {
		return fmt.Errorf("it does not start after the fault: %w", err)
	}
	return nil
}

// runFault does the work on a disk that fails at its kth operation and the n-1
// after it. Nothing that was promised is missing once the disk is well again,
// nor when the power goes the moment the first promise after the fault is made,
// or at the end: then the disk has nothing of what a failed fsync was to write.
func (base *faultBase) runFault(d *fuseDisk, f fault, k, n int) (seen int, err error) {
	job, err := base.job(d, uint64(k))
	if err != nil {
		return 0, err
	}
	run := &faultRun{fault: f, k: k, n: n}
	d.set(run.trouble)
	err = job.start(d)
	if err == nil {
		if err = job.work(); err != nil {
			err = errors.Join(fmt.Errorf("work: %w", err), job.b.Close())
		}
	}
	d.set(nil)
	if err != nil {
		return run.seen, err
	}
	job.flush()
	if s := job.b.Stats(); s.MemoryBytes > ramLimit {
		err = fmt.Errorf("%d bytes in memory", s.MemoryBytes)
	}
	d.mark("end")
	err = errors.Join(err, job.put(100, 3, true, Normal))
	if e := job.b.Close(); e != nil {
		err = errors.Join(err, fmt.Errorf("close: %w", e))
	}
	if err != nil {
		return run.seen, fmt.Errorf("after the fault: %w", err)
	}
	err = base.judge(d.notes(), func(known *promises, dir string) error {
		if err := os.CopyFS(dir, os.DirFS(job.dir)); err != nil {
			return err
		}
		_, err := known.check(dir, true)
		return err
	})
	if err != nil {
		err = fmt.Errorf("%w; before: %q", err, job.events)
	}
	return run.seen, err
}

// judge goes through the notes of one run: it looks at what the disk has at
// the two moments, and lets whole look at the folder as it is at the end.
func (base *faultBase) judge(ops []diskOp, whole func(known *promises, dir string) error) error {
	p, known := newPlatter(), base.known.clone()
	dir, err := os.MkdirTemp(filepath.Dir(base.dir), "state-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cut := func(when string) error {
		to := filepath.Join(dir, strings.Fields(when)[0])
		if err := os.Mkdir(to, 0o700); err != nil {
			return err
		}
		if err := p.after(fates[0], nil).lay(to); err != nil {
			return err
		}
		if _, err := known.check(filepath.Join(to, "fg"), true); err != nil {
			return fmt.Errorf("power cut at the %s: %w", when, err)
		}
		return nil
	}
	met, cuts := false, 0
	for _, o := range ops {
		if o.kind != opMark {
			p.do(o, false)
			continue
		}
		known.hear(o.name)
		word, _, _ := strings.Cut(o.name, " ")
		switch word {
		case "trouble":
			met = true
		case "got", "queued":
			if met && cuts == 0 {
				cuts++
				err = cut("first promise after the fault")
			}
		case "end":
			err = cut("end")
		}
		if err != nil {
			return err
		}
	}
	return whole(known, filepath.Join(dir, "whole"))
}

// TestFaults lets every operation of the disk fail in turn, once and several
// times in a row: nobody is told that something is stored which is not, memory
// stays bounded, and all is well after the fault.
func TestFaults(t *testing.T) {
	defer func(a, b, c time.Duration) { retryFull, retryIO, markEvery = a, b, c }(retryFull, retryIO, markEvery)
	retryFull, retryIO, markEvery = 5*time.Millisecond, 5*time.Millisecond, 0
	slow, lengths, step := 20*time.Millisecond, 1, 4 // every fourth operation, but each meets an I/O error
	switch {
	case raceDetector: // see statesHere
		step = 41
	case os.Getenv("FIELDGATE_LONG") != "":
		slow, lengths, step = 5*time.Second, 3, 1
	}
	defer func(d time.Duration) { readPause = d }(readPause)
	readPause = time.Millisecond
	base := newFaultBase(t)
	d := mountDisk(t)
	checkWork(t, base, d)
	for i, f := range faultKinds(slow) {
		begin, runs, by := time.Now(), 0, step
		if i == 0 && !raceDetector {
			by = 1
		}
		for k, more := 1, true; more; k += by {
			for l := range lengths { // how often in a row: one length for each k, or all
				n := []int{1, 4, 2}[(i+k/by+l)%3]
				seen, err := base.runFault(d, f, k, n)
				d.set(nil)
				runs++
				if err != nil {
					t.Errorf("%s at operation %d, %d times: %s", f.name, k, n, strings.ReplaceAll(err.Error(), d.dir, ""))
				}
				more = more && k <= seen
			}
		}
		t.Logf("%s: %d runs in %v", f.name, runs, time.Since(begin).Round(time.Millisecond))
	}
}

// checkWork does the work without a fault and looks whether it is what it
// says: that segments are given up, and the file shrinks.
func checkWork(t *testing.T, base *faultBase, d *fuseDisk) {
	t.Helper()
	job, err := base.job(d, 1)
	if err == nil {
		err = errors.Join(job.open(), job.work())
	}
	if err != nil {
		t.Fatal(err)
	}
	dropped := job.b.Stats().Dropped
	if err := job.b.Close(); err != nil {
		t.Fatal(err)
	}
	before, after := fileSize(filepath.Join(base.dir, "queue.db")), fileSize(filepath.Join(job.dir, "queue.db"))
	t.Logf("%d messages are given up, queue.db shrinks from %d to %d bytes", dropped, before, after)
	if dropped == 0 || after > before*2/3 {
		t.Fatal("the work lacks what it is to show")
	}
}
