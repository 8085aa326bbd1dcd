// Command fieldgate is an IoT edge gateway: it polls Modbus devices and serial
// sensors, serves their values from its own MQTT broker, stores them on disk
// while the link is down and bridges them to cloud brokers.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Main runs one command line and returns the exit code, so that tests can call it.
func Main(args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{in: in, out: out, err: errOut}
	root := a.command()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	return a.exit(root.ExecuteContext(ctx))
}

// app is one invocation: its streams and its global flags.
type app struct {
	in  io.Reader
	out io.Writer // data
	err io.Writer // talk

	config  string
	socket  string
	json    bool
	color   string
	quiet   bool
	verbose bool
	timeout time.Duration
	noInput bool
}

// command is the command table: one command, one file.
func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "fieldgate",
		Short: "IoT edge gateway: Modbus and serial sensors to MQTT, with store and forward",
		Long: `fieldgate polls Modbus devices and serial sensors, serves their values from its own
MQTT broker, stores them on disk while the link is down, and bridges them to cloud brokers.

Try it:  fieldgate demo          Check a configuration:  fieldgate check FILE`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
	})
	f := root.PersistentFlags()
	f.StringVarP(&a.config, "config", "c", "", "configuration `file` (default /etc/fieldgate/fieldgate.toml)")
	f.StringVar(&a.socket, "socket", "", "`path` of the running gateway's control socket")
	f.BoolVar(&a.json, "json", false, "print data as JSON")
	f.StringVar(&a.color, "color", "auto", "colour: auto, always or never")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "print data only")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "say more about what is done")
	f.DurationVar(&a.timeout, "timeout", 0, "how long to wait for an answer (default: the command's own)")
	f.BoolVar(&a.noInput, "no-input", false, "never ask; fail instead")
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return a.checkFlags() }
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run:"},
		&cobra.Group{ID: "file", Title: "Configuration:"},
		&cobra.Group{ID: "field", Title: "Field side:"},
		&cobra.Group{ID: "mqtt", Title: "Values and links:"},
	)
	a.addCommands(root)
	return root
}

func (a *app) checkFlags() error {
	switch a.color {
	case "auto", "always", "never":
	default:
		return usageError{fmt.Errorf("--color %q: one of auto, always, never", a.color)}
	}
	if a.timeout < 0 {
		return usageError{errors.New("--timeout must not be negative")}
	}
	return nil
}

// deadline is the context of one exchange: --timeout, or the command's own limit.
func (a *app) deadline(ctx context.Context, def time.Duration) (context.Context, context.CancelFunc) {
	if a.timeout > 0 {
		def = a.timeout
	}
	return context.WithTimeout(ctx, def)
}
