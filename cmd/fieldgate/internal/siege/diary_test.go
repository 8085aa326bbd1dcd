package siege

import (
	"fmt"
	"strings"
	"time"
)

// diary is what was done to the gateway and when, for a failure to quote.
type diary struct{ entries []diaryEntry }

type diaryEntry struct {
	at   time.Time
	text string
}

func (d *diary) note(format string, args ...any) {
	d.entries = append(d.entries, diaryEntry{time.Now(), fmt.Sprintf(format, args...)})
}

// around quotes the seconds before and after a moment.
func (d *diary) around(at time.Time) string {
	var b strings.Builder
	for _, e := range d.entries {
		if off := e.at.Sub(at); off.Abs() < 4*time.Second {
			fmt.Fprintf(&b, "%+.3f s: %s\n", off.Seconds(), e.text)
		}
	}
	return b.String()
}
