package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"fieldgate/bridge"
	"fieldgate/buffer"
	"fieldgate/web"
)

// maxPeek bounds what peek asks for in one go.
const maxPeek = 10000

func (a *app) queueCommand() *cobra.Command {
	c := &cobra.Command{Use: "queue", Short: "Look into what waits for the upstreams", GroupID: "mqtt", Args: cobra.NoArgs,
		Long: `Looks into what waits for the upstreams: of the running gateway, or, while none runs, in the directory that the
configuration names.`,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	var limit int
	var yes bool
	peek := &cobra.Command{Use: "peek [UPSTREAM]", Short: "Print the oldest messages that wait; they stay", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.queuePeek(c.Context(), args, limit) }}
	peek.Flags().IntVarP(&limit, "count", "n", 20, "how many")
	drop := &cobra.Command{Use: "drop UPSTREAM", Short: "Give up everything that waits for an upstream", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.queueDrop(c.Context(), args[0], yes) }}
	drop.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.AddCommand(
		&cobra.Command{Use: "status", Short: "Depth, bytes, oldest age and drops of each queue", Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error { return a.queueStatus(c.Context()) }},
		peek,
		&cobra.Command{Use: "export [UPSTREAM]", Short: "Print everything that waits, one JSON line a message; it stays", Args: cobra.MaximumNArgs(1),
			RunE: func(c *cobra.Command, args []string) error { return a.queueExport(c.Context(), args) }},
		drop,
		a.queueRetryCommand(),
		&cobra.Command{Use: "verify", Short: "Read every segment and check its checksum and the database", Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error { return a.queueVerify(c.Context()) }},
	)
	return c
}

// queuedDoc is a waiting message.
type queuedDoc struct {
	ID       uint64    `json:"id"`
	Epoch    uint32    `json:"epoch"`
	Seq      uint64    `json:"seq"`
	Priority string    `json:"priority"`
	Topic    string    `json:"topic"`
	Payload  string    `json:"payload"`
	Binary   bool      `json:"binary,omitempty"` // the payload is hex
	QoS      byte      `json:"qos"`
	Time     time.Time `json:"time"`
	Synced   bool      `json:"clock_synced"`
	Refused  string    `json:"refused_by,omitempty"` // of a message in quarantine
	Why      string    `json:"refused_why,omitempty"`
}

func (g *gateway) queuedDoc(e buffer.Entry) queuedDoc {
	at, synced := g.buffer.Wall(e.Message.Stamp)
	doc := queuedDoc{
		ID: e.ID, Epoch: e.Epoch, Seq: e.Seq, Priority: e.Priority.String(), Topic: e.Message.Topic,
		Payload: string(e.Message.Payload), QoS: byte(e.Message.QoS), Time: at.UTC(), Synced: synced,
	}
	doc.Refused, doc.Why = bridge.Refusal(&e.Message)
	if !utf8.Valid(e.Message.Payload) {
		doc.Payload, doc.Binary = fmt.Sprintf("%x", e.Message.Payload), true
	}
	return doc
}

// askQueue asks the running gateway, or the directory of one that is stopped.
func (a *app) askQueue(ctx context.Context, limit time.Duration, method, path string, result any) error {
	err := a.ask(ctx, limit, method, path, nil, result)
	if err == nil || exitCodeOf(err) != exitNotRunning {
		return err
	}
	s, found := a.openStopped()
	if !found {
		return err
	}
	ctx, cancel := a.deadline(ctx, limit)
	defer cancel()
	return s.ask(ctx, method, path, result)
}

func (c *control) queuePeek(r *http.Request) (any, error) {
	q := r.URL.Query()
	limit, _ := strconv.Atoi(q.Get("n")) // no number: none
	after, _ := strconv.ParseUint(q.Get("after"), 10, 64)
	entries, err := c.g.buffer.Peek(r.Context(), q.Get("upstream"), after, min(limit, maxPeek))
	docs := make([]queuedDoc, 0, len(entries))
	for _, e := range entries {
		docs = append(docs, c.g.queuedDoc(e))
	}
	return docs, err
}

func (c *control) queueDrop(r *http.Request) (any, error) {
	return c.g.buffer.Drop(r.Context(), r.URL.Query().Get("upstream"))
}

func (c *control) queueVerify(r *http.Request) (any, error) {
	return c.g.buffer.Verify(r.Context(), func(int) {})
}

// peekPage fetches messages after an id.
func (a *app) peekPage(ctx context.Context, upstream string, after uint64, n int) ([]queuedDoc, error) {
	var docs []queuedDoc
	q := url.Values{"upstream": {upstream}, "after": {strconv.FormatUint(after, 10)}, "n": {strconv.Itoa(n)}}
	err := a.askQueue(ctx, time.Minute, "GET", "/queue?"+q.Encode(), &docs)
	return docs, err
}

func upstreamArg(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func (a *app) queuePeek(ctx context.Context, args []string, limit int) error {
	if limit < 1 || limit > maxPeek {
		return usageError{fmt.Errorf("--count %d: 1 to %d; queue export prints all", limit, maxPeek)}
	}
	docs, err := a.peekPage(ctx, upstreamArg(args), 0, limit)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(struct {
			Schema   string      `json:"schema"`
			Messages []queuedDoc `json:"messages"`
		}{"fieldgate.queue-peek/1", docs})
	}
	for _, d := range docs {
		a.printf("%s  %d.%d  %-6s  %s %s\n", d.Time.Local().Format("2006-01-02 15:04:05.000"), d.Epoch, d.Seq, d.Priority, d.Topic, printable([]byte(d.Payload)))
		if d.Refused != "" {
			a.printf("    %s: %s\n", d.Refused, printable([]byte(d.Why)))
		}
	}
	if len(docs) == 0 {
		a.say("nothing waits")
	}
	return nil
}

func (a *app) queueExport(ctx context.Context, args []string) error {
	after := uint64(0)
	for {
		docs, err := a.peekPage(ctx, upstreamArg(args), after, 1000)
		if err != nil || len(docs) == 0 {
			return err
		}
		for _, d := range docs {
			if err := a.printJSON(d); err != nil {
				return err
			}
			after = d.ID
		}
	}
}

func (a *app) queueStatus(ctx context.Context) error {
	var s web.Status
	if err := a.askQueue(ctx, 5*time.Second, "GET", "/status", &s); err != nil {
		return err
	}
	if a.json {
		queues := map[string]web.Queue{}
		for _, l := range s.Upstream {
			queues[l.Name] = l.Queue
		}
		return a.printJSON(struct {
			Schema string               `json:"schema"`
			Queues map[string]web.Queue `json:"queues"`
			Store  web.Store            `json:"store"`
		}{"fieldgate.queue/1", queues, s.Store})
	}
	for _, l := range s.Upstream {
		a.printf("%-12s %s\n", l.Name, queueLine(l.Queue))
		for reason, n := range l.Queue.Dropped {
			if n > 0 {
				a.printf("%-12s   %d dropped: %s\n", "", n, reason)
			}
		}
	}
	for _, p := range s.Problems {
		if name, ok := strings.CutPrefix(p.Part, "queue "); ok { // one that no bridge empties
			a.printf("%-12s %s; %s\n", name, p.Text, p.Next)
		}
	}
	a.printf("%-12s %s, %s free, %s written today\n", s.Store.Dir, s.Store.State, bytesText(int64(s.Store.FreeBytes)), bytesText(int64(s.Store.WrittenToday)))
	return nil
}

func (a *app) queueDrop(ctx context.Context, upstream string, yes bool) error {
	if !yes {
		if err := a.confirm("give up everything that waits for " + upstream); err != nil {
			return err
		}
	}
	var n int64
	if err := a.askQueue(ctx, 5*time.Minute, "POST", "/queue/drop?upstream="+url.QueryEscape(upstream), &n); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(struct {
			Schema  string `json:"schema"`
			Dropped int64  `json:"dropped"`
		}{"fieldgate.queue-drop/1", n})
	}
	a.printf("%d messages given up\n", n)
	return nil
}

func (a *app) queueVerify(ctx context.Context) error {
	var v json.RawMessage
	if err := a.askQueue(ctx, 30*time.Minute, "POST", "/queue/verify", &v); err != nil {
		return err
	}
	var found buffer.Verification
	if err := json.Unmarshal(v, &found); err != nil {
		return err
	}
	if a.json {
		a.printf("{\"schema\":\"fieldgate.queue-verify/1\",\"result\":%s}\n", v)
	} else {
		a.printf("%d segments, %d messages, %s: %d damaged; database: %s\n", found.Segments, found.Messages, bytesText(found.Bytes), len(found.Damaged), found.Tree)
	}
	for _, name := range found.Unsearched {
		a.say("%s was moved aside damaged and is not searched to the end; a running gateway puts back what can be read", name)
	}
	if len(found.Damaged) > 0 || found.Tree != "ok" || len(found.Unsearched) > 0 {
		return codeError{code: exitProblems}
	}
	return nil
}
