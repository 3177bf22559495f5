package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Problem is one thing that is wrong with the configuration.
type Problem struct {
	Where   string // "parley.yaml:12:5", "environment variable PORT"
	Path    string // within a file: "rules[3].pattern"; empty where Where says it
	Reason  string // what is wrong and what to write instead
	Excerpt string // the line of the file, and below it a caret; may be empty

	line, column int // in a file, from 1
}

// String returns the problem in one line, with its excerpt below.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Where)
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path)
		b.WriteString(": ")
	}
	b.WriteString(userInfo.ReplaceAllString(p.Reason, "://[secret]@")) // which may quote what was written
	if p.Excerpt != "" {
		b.WriteString("\n")
		b.WriteString(p.Excerpt)
	}
	return b.String()
}

// Problems are all that is wrong with the configuration.
type Problems []Problem

// Error returns every problem, each from the beginning of a line, and their
// count where there are more than one.
func (ps Problems) Error() string {
	var b strings.Builder
	for _, p := range ps {
		fmt.Fprintln(&b, p)
	}
	if len(ps) == 1 {
		b.WriteString("1 problem")
	} else {
		fmt.Fprintf(&b, "%d problems", len(ps))
	}
	return b.String()
}

func (ps *Problems) add(where, reason string, args ...any) {
	*ps = append(*ps, Problem{Where: where, Reason: fmt.Sprintf(reason, args...)})
}

// sorted returns the problems of the file in the order in which they stand
// there, and then all others in the order in which they were found.
func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if (a.line == 0) != (b.line == 0) {
			return cmp.Compare(b.line, a.line)
		}
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	return ps
}
