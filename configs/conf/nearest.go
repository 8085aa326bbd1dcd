package conf

import "strings"

// maxWord bounds the work on a misspelt word, in letters.
const maxWord = 100

// Nearest is the known word that was probably meant by a misspelt one, or "":
// at most a third of the letters, and one more, may differ. The case does not
// count, nor whether - or _ joins the parts.
func Nearest(word string, known []string) string {
	if word == "" {
		return ""
	}
	best, least := "", len(word)/3+2
	for _, k := range known {
		if d := Distance(word, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// Distance counts the letters to insert, drop, replace or exchange with a
// neighbour to make one word of the other (optimal string alignment). Words
// beyond all measure are as far from each other as they are long.
func Distance(a, b string) int {
	x, y := fold(a), fold(b)
	if len(x) > maxWord || len(y) > maxWord {
		return max(len(x), len(y))
	}
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}

func fold(s string) []rune { return []rune(strings.ReplaceAll(strings.ToLower(s), "-", "_")) }
