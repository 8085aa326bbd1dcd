package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// answerPayload is the size of a message: a value as JSON.
const answerPayload = 200

// AnswersResult is how long publishers wait for the PUBACK of a message that
// the disk keeps for an offline session, and beside it what the disk itself
// takes: the same messages appended to a file, one fdatasync for each round of
// all publishers.
type AnswersResult struct {
	Publishers int     `json:"publishers"`
	Answers    Latency `json:"puback"`
	PerSecond  float64 `json:"puback_per_s"`
	Raw        Latency `json:"raw_fsync"`
	RawCommits float64 `json:"raw_commits_per_s"`
	Ratio      float64 `json:"ratio"`    // PUBACKs/s over raw commits/s × publishers
	Limit      float64 `json:"limit_ms"` // 10 ms + 2 × raw p99: the aim for the PUBACK's p99
}

// Answers measures with so many publishers at once, each waiting for its
// PUBACK before it sends the next; half of the time goes to the raw log,
// before and after.
func Answers(ctx context.Context, dir string, publishers int, budget time.Duration) (res AnswersResult, err error) {
	b, err := StartBroker(ctx, dir, true, 10_000_000)
	if err != nil {
		return res, err
	}
	defer b.Close()
	if err := leaveSession(ctx, b.Address); err != nil {
		return res, fmt.Errorf("offline session: %w", err)
	}
	raw, err := os.OpenFile(filepath.Join(b.rig.dir, "raw.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return res, err
	}
	defer raw.Close()
	rawTimes, rawTook, err := rawRounds(ctx, raw, publishers, budget/4)
	if err != nil {
		return res, err
	}
	times, took, err := publishRounds(ctx, b.Address, publishers, budget/2)
	if err != nil {
		return res, err
	}
	more, moreTook, err := rawRounds(ctx, raw, publishers, budget/4)
	if err != nil {
		return res, err
	}
	rawTimes, rawTook = append(rawTimes, more...), rawTook+moreTook
	res.Publishers = publishers
	res.Answers, res.Raw = summarise(times), summarise(rawTimes)
	res.PerSecond = float64(len(times)) / took.Seconds()
	res.RawCommits = float64(len(rawTimes)) / rawTook.Seconds()
	res.Ratio = res.PerSecond / (res.RawCommits * float64(publishers))
	res.Limit = 10 + 2*res.Raw.P99
	return res, nil
}

// leaveSession makes the session that everything is kept for.
func leaveSession(ctx context.Context, address string) error {
	l, err := dialLink(ctx, linkOptions{address: address, client: "bench-offline", keep: true})
	if err != nil {
		return err
	}
	defer l.bye()
	return l.subscribe("fieldgate-bench/#", 1)
}

// rawRounds appends n messages and syncs, again and again.
func rawRounds(ctx context.Context, f *os.File, n int, budget time.Duration) (times []time.Duration, took time.Duration, err error) {
	round := make([]byte, n*(answerPayload+len("fieldgate-bench/0")+8))
	start := time.Now()
	for time.Since(start) < budget && ctx.Err() == nil {
		t := time.Now()
		if _, err := f.Write(round); err != nil {
			return nil, 0, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return nil, 0, fmt.Errorf("fdatasync: %w", err)
		}
		times = append(times, time.Since(t))
	}
	return times, time.Since(start), ctx.Err()
}

func publishRounds(ctx context.Context, address string, n int, budget time.Duration) ([]time.Duration, time.Duration, error) {
	var links []*link
	defer func() {
		for _, l := range links {
			l.bye()
		}
	}()
	for i := range n {
		l, err := dialLink(ctx, linkOptions{address: address, client: fmt.Sprintf("bench-%d", i)})
		if err != nil {
			return nil, 0, err
		}
		links = append(links, l)
	}
	ctx, cancel := context.WithTimeout(ctx, budget+upLimit)
	defer cancel()
	defer context.AfterFunc(ctx, func() { // nothing else ends a read
		for _, l := range links {
			l.Close()
		}
	})()
	times := make([][]time.Duration, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	start := time.Now()
	for i, l := range links {
		wg.Go(func() { times[i], errs[i] = l.publishUntil(i, start.Add(budget)) })
	}
	wg.Wait()
	took := time.Since(start)
	for i, err := range errs {
		if err != nil {
			return nil, 0, fmt.Errorf("publisher %d: %w", i, err)
		}
	}
	return slices.Concat(times...), took, nil
}

// publishUntil sends one message at a time and waits for its PUBACK.
func (l *link) publishUntil(i int, end time.Time) (times []time.Duration, err error) {
	m := packet.Publish{Topic: fmt.Sprintf("fieldgate-bench/%d", i), QoS: 1, Payload: make([]byte, answerPayload)}
	var buf []byte
	for id := uint16(1); time.Now().Before(end); id++ {
		if id == 0 {
			id = 1
		}
		m.PacketID = id
		if buf, err = m.Append(buf[:0], mqtt.V311); err != nil {
			return nil, err
		}
		t := time.Now()
		if _, err := l.Write(buf); err != nil {
			return nil, err
		}
		header, body, err := l.next()
		if err != nil {
			return nil, err
		}
		if packet.TypeOf(header) != packet.TypePuback || ackID(body) != id {
			return nil, fmt.Errorf("%v of id %d instead of the PUBACK of %d", packet.TypeOf(header), ackID(body), id)
		}
		times = append(times, time.Since(t))
	}
	return times, nil
}
