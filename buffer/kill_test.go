package buffer

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// killed is what the children have promised.
type killed struct {
	promised, gone map[uint64]bool // for the upstream
	stored         bool            // the session itself
	session, done  map[uint64]bool // for the session
	released       map[uint64]bool
	last           uint64 // the last session message; 0: none
}

// TestKill kills a writing process with SIGKILL at random moments and looks
// whether everything it had promised is still there. Every second process is
// killed after it has promised something of each kind, the others wherever
// they are, be it before they have opened anything.
func TestKill(t *testing.T) {
	rounds := 6
	if os.Getenv("FIELDGATE_LONG") != "" {
		rounds = 300
	}
	dir := memDir(t)
	k := &killed{promised: map[uint64]bool{}, gone: map[uint64]bool{}, session: map[uint64]bool{}, done: map[uint64]bool{}, released: map[uint64]bool{}}
	for round := range rounds {
		k.run(t, dir, round)
		b := mustOpen(t, testConfig(dir))
		upstream(t, b, "a")
		k.checkQueue(t, b)
		k.checkSession(t, b)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// checkQueue looks without taking out.
func (k *killed) checkQueue(t *testing.T, b *Buffer) {
	t.Helper()
	there := map[uint64]bool{}
	err := b.Export(context.Background(), "a", func(e Entry, _ uint64) error {
		var n uint64
		fmt.Sscan(string(e.Message.Payload), &n)
		if there[n] {
			return fmt.Errorf("%d is there twice", n)
		}
		there[n] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := range k.promised {
		if !there[n] && !k.gone[n] {
			t.Fatalf("%d was promised and is not there (%d are)", n, len(there))
		}
	}
	if s := b.Stats().Upstreams[0]; s.Messages != int64(len(there)) {
		t.Fatalf("%d messages are there, the counter says %d", len(there), s.Messages)
	}
}

func (k *killed) checkSession(t *testing.T, b *Buffer) {
	t.Helper()
	there := map[uint64]bool{}
	after := uint64(0)
	for {
		got, err := b.State().Pending(context.Background(), "s", after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 {
			break
		}
		for _, q := range got {
			there[q.Seq] = true
			after = q.Seq
		}
	}
	for n := range k.session {
		if !there[n] && !k.done[n] {
			t.Fatalf("session message %d was promised and is not there (%d are)", n, len(there))
		}
	}
	if n, _ := b.State().PendingCount("s"); n != len(there) {
		t.Fatalf("%d session messages are there, the counter says %d", len(there), n)
	}
	sessions, _, err := b.State().Load(context.Background())
	if err != nil || len(sessions) > 1 {
		t.Fatal(sessions, err)
	}
	if len(sessions) == 0 {
		if k.stored {
			t.Fatal("the session was promised and is not there")
		}
		return
	}
	s := &sessions[0]
	if s.Exchanges != 1 {
		t.Fatalf("the session has the exchanges %d, stored were 1", s.Exchanges)
	}
	if k.last == 0 {
		return
	}
	if has := slices.Contains(s.Received, killID(k.last)); !has && k.last%5 != 0 || s.Taken < k.last {
		t.Fatalf("publish %d was taken in: its packet id is there: %v, the last one stored is %d", k.last, has, s.Taken)
	}
	for n := range k.released {
		if k.last-n < 50000 && slices.Contains(s.Received, killID(n)) {
			t.Fatalf("publish %d was released, and its packet id is there", n)
		}
	}
}

// run lets a child work until it has promised something of each kind, and a
// moment longer; every second one only for a moment.
func (k *killed) run(t *testing.T, dir string, round int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killEnv+"="+dir, roundEnv+"="+strconv.Itoa(round+1))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killIn := func(d time.Duration) *time.Timer { return time.AfterFunc(d, func() { cmd.Process.Kill() }) }
	missing := map[string]bool{}
	if round%2 == 0 {
		missing = map[string]bool{"p": true, "q": true, "r": true}
		defer killIn(time.Minute).Stop() // for one that never gets there
	} else {
		defer killIn(time.Duration(rand.IntN(400)) * time.Millisecond).Stop()
	}
	sc := bufio.NewScanner(stdout)
	for sc.Scan() {
		var kind string
		var v uint64
		if n, _ := fmt.Sscan(sc.Text(), &kind, &v); n != 2 {
			t.Fatalf("the child said %q", sc.Text())
		}
		k.note(kind, v)
		if missing[kind] {
			if delete(missing, kind); len(missing) == 0 {
				defer killIn(time.Duration(rand.IntN(150)) * time.Millisecond).Stop()
			}
		}
	}
	cmd.Wait() // the kill is its error
	if stderr.Len() > 0 {
		t.Fatalf("the child failed: %s", stderr.String())
	}
	if len(missing) > 0 {
		t.Fatalf("the child promised nothing of the kinds %v in a minute", missing)
	}
}

// note keeps what a child has said.
func (k *killed) note(kind string, v uint64) {
	switch kind {
	case "p":
		k.promised[v] = true
	case "s":
		k.stored = true
	case "q":
		k.session[v], k.last = true, v
	case "a":
		k.gone[v] = true
	case "d":
		k.done[v] = true
	case "r":
		k.released[v] = true
	}
}
