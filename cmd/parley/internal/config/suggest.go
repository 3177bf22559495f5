package config

import "strings"

// Suggest returns the known word that was probably meant by one that is not
// known, or nothing.
func Suggest(word string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		d := distance(squeeze(word), squeeze(k))
		if d < least && d < max(len(k), 2)/2+1 {
			best, least = k, d
		}
	}
	return best
}

// squeeze drops what people get wrong in a name: case, and how its words are
// joined.
func squeeze(word string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(word))
}

// distance is the number of letters to add, drop, replace or swap to make b of
// a (the optimal string alignment distance).
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range y {
		rows[0][j+1] = j + 1
	}
	for i := range x {
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			d := min(rows[i][j+1]+1, rows[i+1][j]+1, rows[i][j]+cost)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				d = min(d, rows[i-1][j-1]+1)
			}
			rows[i+1][j+1] = d
		}
	}
	return rows[len(x)][len(y)]
}
