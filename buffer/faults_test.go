package buffer

import (
	"fmt"
	"os"
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
func syncs(o *diskOp) bool   { return o.kind == opSync || o.kind == opSyncDir }
func changes(o *diskOp) bool { return o.kind != opMark }

func faultKinds(slow time.Duration) []fault {
	return []fault{
		{"EIO", changes, trouble{errno: syscall.EIO}},
		{"ENOSPC", func(o *diskOp) bool { return o.kind == opWrite || o.kind == opCreate || o.kind == opTruncate }, trouble{errno: syscall.ENOSPC}},
		{"short write", writes, trouble{short: true}},
		{"slow fsync", syncs, trouble{delay: slow}},
	}
}

// faultRun lets operations k to k+n-1 of those that a fault can meet fail.
type faultRun struct {
	mu      sync.Mutex
	fault   fault
	k, n    int
	seen    int
	met     int
	started bool // the buffer was opened: a fault before is a directory that cannot be used
}

func (r *faultRun) trouble(o *diskOp) trouble {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.started || !r.fault.hits(o) {
		return trouble{}
	}
	r.seen++
	if r.seen < r.k || r.seen >= r.k+r.n {
		return trouble{}
	}
	r.met++
	return r.fault.meet
}

// work is what the faults meet: appends, acknowledgements, the broker's state,
// a checkpoint, segments that go, a shrinking file.
func (j *powerJob) work() error {
	return repeat(6, func(i int) error {
		if err := j.put(100+3000*(i%2), uint64(1+i%3), i%4 != 3, Priority(i%3)); err != nil {
			return err
		}
		switch i {
		case 2:
			return j.state()
		case 3:
			return j.take(0, 2)
		case 4:
			return j.b.call(func() error {
				j.b.db.mu.Lock()
				defer j.b.db.mu.Unlock()
				if err := j.b.db.execAllLocked("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
					j.b.report(err)
				}
				return nil
			})
		}
		return nil
	})
}

// runFault does the work on a disk that fails at its kth operation and the n-1
// after it, and looks, once the disk is well again, whether all is there.
func runFault(d *fuseDisk, dir string, f fault, k, n int) (seen int, err error) {
	known := newPromises()
	var mu sync.Mutex
	job := newPowerJob(dir, uint64(k), func(mark string) {
		mu.Lock()
		defer mu.Unlock()
		known.hear(mark)
	})
	if err := job.open(); err != nil {
		return 0, err
	}
	run := &faultRun{fault: f, k: k, n: n, started: true}
	d.set(run.trouble)
	err = job.work()
	job.flush()
	d.set(nil)
	if err != nil {
		return run.seen, fmt.Errorf("work: %w", err)
	}
	if err := job.put(100, 3, true, Normal); err != nil {
		return run.seen, fmt.Errorf("append after the fault: %w", err)
	}
	if s := job.b.Stats(); s.MemoryBytes > ramLimit {
		return run.seen, fmt.Errorf("%d bytes in memory", s.MemoryBytes)
	}
	if err := job.b.Close(); err != nil {
		return run.seen, fmt.Errorf("close: %w", err)
	}
	if _, err := known.check(job.dir, true); err != nil {
		return run.seen, err
	}
	return run.seen, nil
}

// TestFaults lets every operation of the disk fail in turn, once and several
// times in a row: nobody is told that something is stored which is not, memory
// stays bounded, and all is well after the fault.
func TestFaults(t *testing.T) {
	defer func(a, b time.Duration) { retryFull, retryIO = a, b }(retryFull, retryIO)
	retryFull, retryIO = 5*time.Millisecond, 5*time.Millisecond
	slow, lengths, step := 20*time.Millisecond, 1, 1
	switch {
	case raceDetector: // see statesHere
		step = 9
	case os.Getenv("FIELDGATE_LONG") != "":
		slow, lengths = 5*time.Second, 3
	}
	d := mountDisk(t)
	d.forget()
	begin, runs := time.Now(), 0
	for i, f := range faultKinds(slow) {
		for k, more := 1, true; more; k += step {
			for l := range lengths { // how often in a row: one length for each k, or all
				n := []int{1, 4, 12}[(i+k/step+l)%3]
				dir := fmt.Sprintf("%s/%d", d.dir, runs)
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				seen, err := runFault(d, dir, f, k, n)
				d.set(nil)
				runs++
				if err != nil {
					t.Errorf("%s at operation %d, %d times: %s", f.name, k, n, strings.ReplaceAll(err.Error(), d.dir, ""))
				}
				if seen == 0 {
					t.Fatalf("%s: no operation could meet it", f.name)
				}
				os.RemoveAll(dir)
				more = more && k <= seen
			}
		}
	}
	t.Logf("%d runs in %v", runs, time.Since(begin).Round(time.Millisecond))
}
