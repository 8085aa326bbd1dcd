package main

import (
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fieldgate/buffer"
	"fieldgate/cmd/fieldgate/internal/bench"
)

// benchQueueDoc is what `bench queue --json` prints.
type benchQueueDoc struct {
	Schema  string                `json:"schema"`
	Dir     string                `json:"dir"`
	Queue   []buffer.BenchResult  `json:"queue"`
	Answers []bench.AnswersResult `json:"answers"`
}

func (a *app) benchQueueCommand() *cobra.Command {
	doc := benchQueueDoc{Schema: "fieldgate.bench-queue/1"}
	var budget time.Duration
	c := &cobra.Command{
		Use: "queue", Short: "The queue beside a raw log on the same disk; how long publishers wait for it", Args: cobra.NoArgs,
		Long: `Stores values in batches of 1, 10, 100 and 1000, each batch committed and synced, and by turns appends the same
bytes to a file with one fdatasync: what the disk allows. Then 1, 10 and 100 clients publish with QoS 1 to a broker that
has to keep everything for an offline session, and wait for each PUBACK.`,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if info, err := os.Stat(doc.Dir); err != nil || !info.IsDir() {
				return usageError{fmt.Errorf("--dir %s: not a directory; name one on the disk that is to be measured", doc.Dir)}
			}
			doc.Queue, err = buffer.Bench(c.Context(), doc.Dir, budget, a.benchProgress)
			if err != nil {
				return err
			}
			for _, n := range []int{1, 10, 100} {
				a.benchProgress(fmt.Sprintf("%d publishers", n))
				r, err := bench.Answers(c.Context(), doc.Dir, n, budget)
				if err != nil {
					return fmt.Errorf("%d publishers: %w", n, err)
				}
				doc.Answers = append(doc.Answers, r)
			}
			return a.printQueueBench(doc)
		},
	}
	c.Flags().StringVar(&doc.Dir, "dir", os.TempDir(), "directory on the `disk` to measure; what is written there is removed")
	c.Flags().DurationVar(&budget, "for", 8*time.Second, "time for each line of the tables")
	return c
}

func (a *app) printQueueBench(doc benchQueueDoc) error {
	if a.json {
		return a.printJSON(doc)
	}
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "batch\traw log msg/s\tqueue msg/s\tratio\tcommit p99\tstored B/msg\traw B/msg\twritten/commit\tdrain msg/s\t")
	for _, r := range doc.Queue {
		fmt.Fprintf(w, "%d\t%.0f\t%.0f\t%.2f\t%.2f ms\t%.0f\t%.0f\t%.1f KB\t%.0f\t\n",
			r.Batch, r.RawPerSecond, r.QueuePerSecond, r.Ratio, r.P99, r.StoredBytes, r.RawBytes, r.WrittenPerCommit/1000, r.DrainPerSecond)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	a.printf("\n")
	fmt.Fprintln(w, "publishers\tPUBACK/s\tp50\tp99\traw fsync p50\traw fsync p99\taim for p99\traw commits/s\tPUBACK/s of raw\t")
	for _, r := range doc.Answers {
		fmt.Fprintf(w, "%d\t%.0f\t%.2f ms\t%.2f ms\t%.2f ms\t%.2f ms\t%.2f ms\t%.0f\t%.2f\t\n",
			r.Publishers, r.PerSecond, r.Answers.P50, r.Answers.P99, r.Raw.P50, r.Raw.P99, r.Limit, r.RawCommits, r.Ratio)
	}
	return w.Flush()
}
