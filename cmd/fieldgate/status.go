package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fieldgate/bridge"
	"fieldgate/drivers"
	"fieldgate/web"
)

func (a *app) statusCommand() *cobra.Command {
	var exitCode bool
	c := &cobra.Command{
		Use: "status", Short: "Show the health of the running gateway on one screen", GroupID: "run", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.askStatus(c.Context())
			if err != nil {
				return err
			}
			if a.json {
				err = a.printJSON(s)
			} else {
				a.printStatus(a.out, &s)
			}
			if err == nil && exitCode && s.State != "ok" {
				return codeError{code: exitProblems}
			}
			return err
		},
	}
	c.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 1 when the state is not ok")
	return c
}

func (a *app) printStatus(w io.Writer, s *web.Status) {
	color := map[string]string{"ok": green, "degraded": yellow}[s.State]
	if color == "" {
		color = red
	}
	title := strings.ToUpper(s.State)
	if n := len(s.Problems); n > 0 {
		title += fmt.Sprintf(": %d problem%s", n, plural(n))
	}
	name := s.Gateway.ID
	if s.Gateway.Name != "" {
		name += " (" + s.Gateway.Name + ")"
	}
	fmt.Fprintf(w, "%s %s   running %s   %s   %s\n", a.paintOn(w, color, "●"), a.paintOn(w, bold, name),
		age(time.Duration(s.Gateway.UptimeS)*time.Second), s.Gateway.Version, a.paintOn(w, color, title))
	a.printDevices(w, s)
	fmt.Fprintf(w, "  %-10s%d good   %d uncertain   %d bad   %d stale\n", "Tags", s.Tags.Good, s.Tags.Uncertain, s.Tags.Bad, s.Tags.Stale)
	fmt.Fprintf(w, "  %-10s%d client%s   %s   %d retained\n", "Broker", s.Broker.Clients, plural(s.Broker.Clients), listenersText(s.Broker), s.Broker.Retained)
	for i, l := range s.Upstream {
		fmt.Fprintf(w, "  %-10s%s\n", head("Upstream", i), a.linkLine(w, l))
	}
	budgets := 0
	for _, l := range s.Upstream {
		if l.Budget != nil {
			fmt.Fprintf(w, "  %-10s%-10s %s\n", head("Budget", budgets), l.Name, budgetText(*l.Budget))
			budgets++
		}
	}
	for i, l := range s.Upstream {
		fmt.Fprintf(w, "  %-10s%-10s %s\n", head("Buffer", i), l.Name, queueLine(l.Queue))
	}
	clock := "not synchronised: times are marked until it is"
	if s.Clock.Synced {
		clock = fmt.Sprintf("synchronised ±%.0f ms", s.Clock.ErrorMs)
	}
	fmt.Fprintf(w, "  %-10s%s\n", "Clock", clock)
	fmt.Fprintf(w, "  %-10s%s free in %s, %s written today\n", "Disk", bytesText(int64(s.Store.FreeBytes)), s.Store.Dir, bytesText(int64(s.Store.WrittenToday)))
	for i, p := range s.Problems {
		text := p.Next
		if text == "" {
			text = p.Text // names the remedy itself
		}
		fmt.Fprintf(w, "  %-10s%s: %s\n", head("Next", i), p.Part, text)
	}
}

// listenersText is each listener with who may enter.
func listenersText(b web.Broker) string {
	var list []string
	for i, l := range b.Listeners {
		if i < len(b.Enter) { // an older gateway does not say
			l += " (" + b.Enter[i] + ")"
		}
		list = append(list, l)
	}
	return strings.Join(list, " ")
}

// head shows a heading once.
func head(text string, i int) string {
	if i > 0 {
		return ""
	}
	return text
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

func (a *app) printDevices(w io.Writer, s *web.Status) {
	down := slices.DeleteFunc(slices.Clone(s.Devices), func(d web.Device) bool {
		return d.State != drivers.DeviceOffline && d.State != drivers.DeviceUnknown
	})
	text := fmt.Sprintf("%d/%d ok", len(s.Devices)-len(down), len(s.Devices))
	for i, d := range down {
		if i == 8 {
			text += fmt.Sprintf("\n%12sand %d more", "", len(down)-i)
			break
		}
		if i > 0 {
			text += fmt.Sprintf("\n%18s", "")
		}
		text += "     " + d.Name + "  " + deviceText(d)
	}
	fmt.Fprintf(w, "  %-10s%s\n", "Devices", text)
}

func deviceText(d web.Device) string {
	if d.State == drivers.DeviceUnknown {
		return "not read yet"
	}
	text := d.Reason + sinceText(d.Since) + fmt.Sprintf(", %d failures", d.Failures)
	if d.NextTry != nil {
		text += ", next try in " + age(max(time.Until(*d.NextTry), 0))
	}
	return text
}

func (a *app) linkLine(w io.Writer, l web.Link) string {
	if l.State == bridge.StateOnline {
		return fmt.Sprintf("%-10s %s   %s   %d delivered, p50 %.0f ms", l.Name, a.paintOn(w, green, "online"), l.URL, l.Acked, l.AckP50ms)
	}
	text := fmt.Sprintf("%-10s %s%s", l.Name, a.paintOn(w, red, strings.ToUpper(l.State)), sinceText(l.Since))
	if l.Reason != "" {
		text += ": " + l.Reason
	}
	if l.NextTry != nil {
		text += "   next try in " + age(max(time.Until(*l.NextTry), 0))
	}
	return text
}

// budgetText is the month's budget in a line.
func budgetText(b web.Budget) string {
	text := fmt.Sprintf("%.1f of %.1f MB used this month, %.1f by its end at this rate", float64(b.Used)/1e6, float64(b.Month)/1e6, float64(b.Projected)/1e6)
	switch b.Saving {
	case "bulk":
		text += ": bulk waits"
	case "thin":
		text += fmt.Sprintf(": bulk waits, 1 of %d values of normal priority goes up", b.KeepOneOf)
	}
	return text
}

// maxForecast is how far ahead "full in" says anything: beyond it the rate
// will have changed.
const maxForecast = 90 * 24 * time.Hour

func queueLine(q web.Queue) string {
	text := fmt.Sprintf("%d msg   %s of %s", q.Messages, bytesText(q.Bytes), bytesText(q.Limit))
	if q.Messages > 0 && q.OldestAgeS > 0 {
		text += "   oldest " + age(time.Duration(q.OldestAgeS*float64(time.Second)))
	}
	if q.FullInS > 0 && q.FullInS < maxForecast.Seconds() {
		text += "   full in ~" + age(time.Duration(q.FullInS*float64(time.Second)))
	}
	var dropped uint64
	for _, n := range q.Dropped {
		dropped += n
	}
	if dropped > 0 {
		text += fmt.Sprintf("   %d dropped", dropped)
	}
	return text
}
