package main

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"fieldgate/bridge"
	"fieldgate/buffer"
)

func (a *app) queueRetryCommand() *cobra.Command {
	return &cobra.Command{
		Use: "retry [UPSTREAM]", Short: "Send what was refused (quarantine) again, all or one upstream's", Args: cobra.MaximumNArgs(1),
		Long: `Moves messages from the quarantine back into the queue of the upstream that refused them, behind what waits there.
What is refused once more comes back into the quarantine. fieldgate queue peek quarantine shows them with the reasons,
queue export quarantine prints all, queue drop quarantine gives them up.`,
		RunE: func(c *cobra.Command, args []string) error { return a.queueRetry(c.Context(), upstreamArg(args)) },
	}
}

// queueRetry serves the command. What an upstream refused that is not in the
// configuration any more stays.
func (c *control) queueRetry(r *http.Request) (any, error) {
	only := r.URL.Query().Get("upstream")
	bridges := map[string]*bridge.Bridge{}
	for _, b := range c.g.bridges() {
		bridges[b.Name()] = b
	}
	return c.g.buffer.Take(r.Context(), bridge.QuarantineName, func(e buffer.Entry) (buffer.Item, bool) {
		by, _ := bridge.Refusal(&e.Message)
		b := bridges[by]
		if b == nil || only != "" && by != only {
			return buffer.Item{}, false
		}
		return b.Retry(e.Message), true
	})
}

func (a *app) queueRetry(ctx context.Context, upstream string) error {
	var n int
	if err := a.ask(ctx, 5*time.Minute, "POST", "/queue/retry?upstream="+url.QueryEscape(upstream), nil, &n); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(struct {
			Schema  string `json:"schema"`
			Retried int    `json:"retried"`
		}{"fieldgate.queue-retry/1", n})
	}
	a.printf("%d messages wait for their upstream again\n", n)
	return nil
}
