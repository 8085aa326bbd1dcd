package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// ANSI colours; used on terminals only, and never when NO_COLOR is set.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	bold   = "1"
	dim    = "2"
)

func (a *app) paint(color, text string) string { return a.paintOn(a.err, color, text) }

func (a *app) paintOn(w io.Writer, color, text string) string {
	if !a.colorOn(w) {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

func (a *app) colorOn(w io.Writer) bool {
	switch {
	case os.Getenv("NO_COLOR") != "" || a.color == "never":
		return false
	case a.color == "always":
		return true
	}
	return isTerminal(w)
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// printJSON prints a document; its schema names what it is and its version.
func (a *app) printJSON(doc any) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(doc)
}

// say talks to a person on stderr; --quiet silences it.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.err, format+"\n", args...)
	}
}

// printf prints data.
func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.out, format, args...) }
