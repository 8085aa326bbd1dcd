package buffer

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
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
// returned, "q N" for a session message of QoS 2 and the packet id of a publish
// that was taken in with it, "r N" for the end of that publish, "a N" for an
// Ack and "d N" for a session message that may be gone. It ends by itself
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
		if err := b.State().Apply(ctx, true, []mqtt.StoreChange{{PutSession: &mqtt.SessionState{ClientID: "s", Expiry: 1000, Exchanges: 1}}}); err != nil {
			fail(err)
		}
		for n := base & (1<<40 - 1); ; n++ {
			err := b.State().Apply(ctx, true, []mqtt.StoreChange{
				{Enqueue: &mqtt.SessionEntry{ClientID: "s", Queued: mqtt.Queued{Seq: n, Message: mqtt.Message{Topic: "t", QoS: 2}}}},
				{ReceivedAdd: &mqtt.SessionPacketID{ClientID: "s", PacketID: killID(n), Taken: n}},
			})
			if err != nil {
				fail(err)
			}
			say("q", n)
			if n%3 != 0 { // acknowledged, and that need not be on the disk
				say("d", n)
				if err := b.State().Apply(ctx, false, []mqtt.StoreChange{{Dequeue: &mqtt.SessionSeq{ClientID: "s", Seq: n}}}); err != nil {
					fail(err)
				}
			}
			if n%5 == 0 { // PUBREL, which is
				if err := b.State().Apply(ctx, true, []mqtt.StoreChange{{ReceivedDel: &mqtt.SessionPacketID{ClientID: "s", PacketID: killID(n)}}}); err != nil {
					fail(err)
				}
				say("r", n)
			}
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

// killID is the packet id that comes with session message n.
func killID(n uint64) uint16 { return uint16(n%60000) + 1 }

// killed is what the children have promised.
type killed struct {
	promised, gone map[uint64]bool // for the upstream
	session, done  map[uint64]bool // for the session
	released       map[uint64]bool
	last           uint64 // the last session message
}

// TestKill kills a writing process with SIGKILL at random moments and looks
// whether everything it had promised is still there.
func TestKill(t *testing.T) {
	rounds := 5
	if os.Getenv("FIELDGATE_LONG") != "" {
		rounds = 300
	}
	dir := t.TempDir()
	k := &killed{map[uint64]bool{}, map[uint64]bool{}, map[uint64]bool{}, map[uint64]bool{}, map[uint64]bool{}, 0}
	for range rounds {
		k.run(t, dir)
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
		for n := range k.promised {
			if !there[n] && !k.gone[n] {
				t.Fatalf("%d was promised and is not there (%d are)", n, len(there))
			}
		}
		if s := b.Stats().Upstreams[0]; s.Messages != int64(len(there)) {
			t.Fatalf("%d messages are there, the counter says %d", len(there), s.Messages)
		}
		k.checkSession(t, b)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(k.promised) == 0 || len(k.session) == 0 || len(k.released) == 0 {
		t.Fatal("nothing was ever promised")
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
	if err != nil || len(sessions) != 1 {
		t.Fatal(sessions, err)
	}
	s := &sessions[0]
	if has := slices.Contains(s.Received, killID(k.last)); !has && k.last%5 != 0 || s.Taken < k.last || s.Exchanges != 1 {
		t.Fatalf("publish %d was taken in: its packet id is there: %v, the last one stored is %d of %d", k.last, has, s.Taken, s.Exchanges)
	}
	for n := range k.released {
		if k.last-n < 60000 && slices.Contains(s.Received, killID(n)) {
			t.Fatalf("publish %d was released, and its packet id is there", n)
		}
	}
}

// run lets the child work for a moment after its first promise.
func (k *killed) run(t *testing.T, dir string) {
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
		if n, _ := fmt.Sscan(sc.Text(), &kind, &v); n != 2 {
			continue // cut off by the kill
		}
		switch kind {
		case "p":
			k.promised[v] = true
		case "q":
			k.session[v], k.last = true, v
		case "a":
			k.gone[v] = true
		case "d":
			k.done[v] = true
		case "r":
			k.released[v] = true
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
