package parley

import (
	"fmt"
	"strings"
)

// A Problem is one thing that is wrong with a value, and what to do about it.
type Problem struct {
	Path   string // where, as in "items[0].link"; empty for the value itself
	Reason string // what is wrong and what to write instead
}

// String returns the path and the reason in one line.
func (p Problem) String() string {
	if p.Path == "" {
		return p.Reason
	}
	return p.Path + ": " + p.Reason
}

// Problems is the error of every validator in Parley: all that is wrong with a
// value, in the order of its parts, so that one reading mends everything.
type Problems []Problem

// Error returns every problem, separated by semicolons.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "; ")
}

// Add appends a problem at path. The reason is formatted as by [fmt.Sprintf].
func (ps *Problems) Add(path, reason string, args ...any) {
	*ps = append(*ps, Problem{path, fmt.Sprintf(reason, args...)})
}

// AddAll appends what err says, below path: each problem of a [Problems], or
// the text of any other error. A nil err adds nothing.
func (ps *Problems) AddAll(path string, err error) {
	if err == nil {
		return
	}
	inner, ok := err.(Problems)
	if !ok {
		inner = Problems{{Reason: err.Error()}}
	}
	for _, p := range inner {
		*ps = append(*ps, Problem{joinPath(path, p.Path), p.Reason})
	}
}

// Err returns nil when there is no problem, and ps itself otherwise.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

func joinPath(outer, inner string) string {
	if outer == "" || inner == "" || inner[0] == '[' {
		return outer + inner
	}
	return outer + "." + inner
}
