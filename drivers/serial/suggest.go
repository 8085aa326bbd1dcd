package serial

import (
	"fmt"
	"strings"
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
	best, distance := "", len(e.word)/2+2
	for _, w := range e.words {
		if d := editDistance(strings.ToLower(e.word), w); d < distance {
			best, distance = w, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "one of " + strings.Join(e.words, ", ")
}

// editDistance is the number of letters to insert, delete, replace or swap
// with a neighbour (optimal string alignment).
func editDistance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	before, last, row := rows[0], rows[1], rows[2]
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
