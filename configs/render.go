package configs

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// maxShown is how many columns of a source line are shown around the culprit.
const maxShown = 110

// Colours of a rendered report.
const (
	red    = "\x1b[1;31m"
	yellow = "\x1b[1;33m"
	blue   = "\x1b[1;34m"
	bold   = "\x1b[1m"
	plainC = "\x1b[0m"
)

// Render writes the report for people: each problem with its line and a caret
// under the culprit, then the summary.
func (r *Report) Render(w io.Writer, colour bool) error {
	var b strings.Builder
	paint := func(c, text string) string {
		if colour && text != "" {
			return c + text + plainC
		}
		return text
	}
	for _, p := range r.Problems {
		p.render(&b, paint)
	}
	if len(r.Problems) >= maxProblems {
		fmt.Fprintf(&b, "only the first %d problems are shown\n", maxProblems)
	}
	b.WriteString(r.Summary.String() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// Render writes one problem as Report.Render does.
func (p Problem) render(b *strings.Builder, paint func(colour, text string) string) {
	level, colour := "error", red
	if p.Warning() {
		level, colour = "warning", yellow
	}
	b.WriteString(paint(colour, level+"["+p.Code+"]") + paint(bold, ": "+printable(p.Text)) + "\n")
	if p.Line == 0 {
		if p.File != "" {
			b.WriteString("  " + paint(blue, "-->") + " " + printable(p.File) + "\n")
		}
		if p.Help != "" {
			b.WriteString("   " + paint(blue, "=") + " " + printable(p.Help) + "\n")
		}
		return
	}
	number := fmt.Sprint(p.Line)
	number = strings.Repeat(" ", max(0, 2-len(number))) + number
	margin := strings.Repeat(" ", len(number))
	before, under, shown := p.excerpt()
	fmt.Fprintf(b, "%s%s %s:%d:%d\n", margin, paint(blue, "-->"), printable(p.File), p.Line, p.Column)
	fmt.Fprintf(b, "%s %s\n", paint(blue, number+" |"), shown)
	caret := strings.Repeat("^", under)
	if p.Help != "" {
		caret += " " + printable(p.Help)
	}
	fmt.Fprintf(b, "%s %s%s\n", paint(blue, margin+" |"), strings.Repeat(" ", before), paint(colour, caret))
}

// excerpt lays the source line out and says how many columns stand before the
// culprit and under it. Of a long line it shows the part around the culprit.
func (p Problem) excerpt() (before, under int, shown string) {
	list := cells(p.Source)
	start := min(p.Column-1, len(list))
	end := min(start+p.Length, len(list))
	from, cols := 0, 0
	for i := start - 1; i >= 0; i-- { // keep at most half before the culprit
		if cols += list[i].cols; cols > maxShown/2 && columns(list) > maxShown {
			from = i + 1
			break
		}
	}
	var b strings.Builder
	if from > 0 {
		b.WriteString("…")
		before = 1
	}
	total := before
	for i := from; i < len(list); i++ {
		if total+list[i].cols > maxShown && i > from {
			b.WriteString("…")
			end = min(end, i)
			break
		}
		b.WriteString(list[i].text)
		total += list[i].cols
		if i < start {
			before += list[i].cols
		}
	}
	if start < end {
		under = columns(list[start:end])
	}
	return before, max(1, under), strings.TrimRight(b.String(), " ")
}

func columns(list []cell) int {
	n := 0
	for _, c := range list {
		n += c.cols
	}
	return n
}

// printable keeps a text on its line: a file may hold anything, and a terminal
// obeys control characters.
func printable(text string) string {
	var b strings.Builder
	for _, c := range cells(text) {
		b.WriteString(c.text)
	}
	return b.String()
}

// JSON writes the report as one document.
func (r *Report) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Schema string `json:"schema"`
		OK     bool   `json:"ok"`
		*Report
	}{"fieldgate.check/1", r.OK(), r})
}
