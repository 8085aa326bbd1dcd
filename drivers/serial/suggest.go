package serial

import (
	"fmt"
	"strings"

	"fieldgate/configs/conf"
)

// wordError is a word that is not one of a list.
type wordError struct {
	what, word string
	words      []string
}

func (e *wordError) Error() string { return fmt.Sprintf("unknown %s %q", e.what, e.word) }

func unknown(what, word string, words []string) error { return &wordError{what, word, words} }

// help is the nearest word of the list, or all of them.
func (e *wordError) help() string {
	if near := conf.Nearest(e.word, e.words); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "one of " + strings.Join(e.words, ", ")
}
