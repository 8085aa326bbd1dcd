package buffer

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
)

const (
	killEnv  = "FIELDGATE_BUFFER_KILL_DIR"
	roundEnv = "FIELDGATE_BUFFER_KILL_ROUND" // decimal; numbers of different rounds are different
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(killEnv); dir != "" {
		round, err := strconv.ParseUint(os.Getenv(roundEnv), 10, 16)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		killChild(dir, round)
		return
	}
	os.Exit(m.Run())
}

// killChild is the process that is killed: four durable publishers, one that
// does not wait, and a reader that acknowledges now and then. It prints what
// was promised, one line each, unbuffered: "p N" for a durable Append that
// returned, "s N" for the session that was stored in round N, "q N" for a session message of QoS 2 and the packet id of a publish
// that was taken in with it, "r N" for the end of that publish, "a N" for an
// Ack and "d N" for a session message that may be gone. It ends by itself
// when its parent is gone.
func killChild(dir string, round uint64) {
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
	for p := range uint64(4) {
		go func() {
			for i := uint64(0); ; i++ {
				n := round<<40 | p<<36 | i
				if err := b.Append(ctx, []Item{{Message: mqtt.Message{Topic: "t", Payload: fmt.Appendf(nil, "%d", n)}, Targets: 1, Durable: true, Priority: Priority(n % 3)}}); err != nil {
					fail(err)
				}
				say("p", n)
			}
		}()
	}
	go func() {
		sessions, _, err := b.State().Load(ctx)
		if err != nil {
			fail(err)
		}
		if len(sessions) == 0 { // else it goes on with the one of the round before; a new one would forget its packet ids
			if err := b.State().Apply(ctx, true, []mqtt.StoreChange{{PutSession: &mqtt.SessionState{ClientID: "s", Expiry: 1000, Exchanges: 1}}}); err != nil {
				fail(err)
			}
		}
		say("s", round)
		for n := round<<32 + 1; ; n++ {
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
