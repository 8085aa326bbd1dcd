package buffer

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
)

const killEnv = "FIELDGATE_BUFFER_KILL_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killEnv); dir != "" {
		killChild(dir)
		return
	}
	os.Exit(m.Run())
}

// killChild is the process that is killed: four durable publishers, one that
// does not wait, and a reader that acknowledges now and then. It prints what
// was promised, one line each, unbuffered: "p N" for a durable Append that
// returned, "q N" for a session message, "a N" for an Ack. It ends by itself
// when its parent is gone.
func killChild(dir string) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	cfg := Config{Dir: dir, MaxSize: 64 << 20, MinFree: 1, Commit: conf.Duration(10 * time.Millisecond)}
	b, err := Open(cfg, Options{})
	if err != nil {
		fail(err)
	}
	if err := b.Upstreams([]string{"a"}); err != nil {
		fail(err)
	}
	c, err := b.Cursor("a")
	if err != nil {
		fail(err)
	}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(2)
	}()
	var out sync.Mutex
	say := func(kind string, n uint64) {
		out.Lock()
		defer out.Unlock()
		if _, err := os.Stdout.WriteString(fmt.Sprintf("%s %d\n", kind, n)); err != nil {
			os.Exit(3)
		}
	}
	ctx := context.Background()
	base := uint64(time.Now().UnixNano())
	for p := range uint64(4) {
		go func() {
			for i := uint64(0); ; i++ {
				n := base + p*1_000_000_000_000 + i
				if err := b.Append(ctx, []Item{{Message: mqtt.Message{Topic: "t", Payload: fmt.Appendf(nil, "%d", n)}, Targets: 1, Durable: true, Priority: Priority(n % 3)}}); err != nil {
					fail(err)
				}
				say("p", n)
			}
		}()
	}
	go func() {
		if err := b.State().Apply(ctx, true, []mqtt.StoreChange{{PutSession: &mqtt.SessionState{ClientID: "s", Expiry: 1000}}}); err != nil {
			fail(err)
		}
		for n := base; ; n++ {
			if err := b.State().Apply(ctx, true, []mqtt.StoreChange{{Enqueue: &mqtt.SessionEntry{ClientID: "s", Queued: mqtt.Queued{Seq: n & (1<<40 - 1), Message: mqtt.Message{Topic: "t"}}}}}); err != nil {
				fail(err)
			}
			say("q", n&(1<<40-1))
		}
	}()
	for lane := Live; ; lane = 1 - lane {
		got, err := c.Next(lane, 0, 50, 1<<20)
		if err != nil {
			fail(err)
		}
		for _, e := range got {
			var n uint64
			fmt.Sscan(string(e.Message.Payload), &n)
			if n%7 == 0 {
				say("a", n) // said before it is done: the parent only needs to know that it may be gone
				c.Ack(e.ID)
			}
		}
		if len(got) == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// TestKill kills a writing process with SIGKILL at random moments and looks
// whether everything it had promised is still there.
func TestKill(t *testing.T) {
	rounds := 5
	if os.Getenv("FIELDGATE_LONG") != "" {
		rounds = 300
	}
	dir := t.TempDir()
	promised, session, gone := map[uint64]bool{}, map[uint64]bool{}, map[uint64]bool{}
	for range rounds {
		runKilled(t, dir, promised, session, gone)
		// After every second one: look, without taking out.
		b := mustOpen(t, testConfig(dir))
		upstream(t, b, "a")
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
		for n := range promised {
			if !there[n] && !gone[n] {
				t.Fatalf("%d was promised and is not there (%d are)", n, len(there))
			}
		}
		if s := b.Stats().Upstreams[0]; s.Messages != int64(len(there)) {
			t.Fatalf("%d messages are there, the counter says %d", len(there), s.Messages)
		}
		checkSession(t, b, session)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(promised) == 0 || len(session) == 0 {
		t.Fatal("nothing was ever promised")
	}
}

func checkSession(t *testing.T, b *Buffer, want map[uint64]bool) {
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
	for n := range want {
		if !there[n] {
			t.Fatalf("session message %d was promised and is not there (%d are)", n, len(there))
		}
	}
	if n, _ := b.State().PendingCount("s"); n != len(there) {
		t.Fatalf("%d session messages are there, the counter says %d", len(there), n)
	}
}

// runKilled lets the child work for a moment after its first promise.
func runKilled(t *testing.T, dir string, promised, session, gone map[uint64]bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killEnv+"="+dir)
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
	sc := bufio.NewScanner(stdout)
	var once sync.Once
	n := 0
	for sc.Scan() {
		var kind string
		var v uint64
		if k, _ := fmt.Sscan(sc.Text(), &kind, &v); k != 2 {
			continue // cut off by the kill
		}
		switch kind {
		case "p":
			promised[v] = true
		case "q":
			session[v] = true
		case "a":
			gone[v] = true
		}
		n++
		once.Do(func() {
			time.AfterFunc(time.Duration(rand.IntN(150))*time.Millisecond, func() { cmd.Process.Kill() })
		})
	}
	err = cmd.Wait()
	if n == 0 {
		t.Fatalf("the child promised nothing: %v %s", err, stderr.String())
	}
	if stderr.Len() > 0 {
		t.Fatalf("the child failed: %s", stderr.String())
	}
}
