package modbus

// maxWord bounds the work on a misspelt word.
const maxWord = 64

// nearest is the name that a misspelt word most likely meant: at most a third
// of its letters may differ. A swap of two neighbours counts as one mistake.
func nearest(word string, names []string) string {
	if len(word) > maxWord {
		return ""
	}
	best, bestCost := "", max(2, len(word)/3)+1
	for _, name := range names {
		if cost := distance(word, name); cost < bestCost {
			best, bestCost = name, cost
		}
	}
	return best
}

// distance counts the single changes that turn a into b.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	row := make([]int, len(b)+1)
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
