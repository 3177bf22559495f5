package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// A progress shows at a terminal how far something has come, in a line that is
// written over.
type progress struct {
	w     io.Writer // nil where nobody watches
	what  string    // "Importing"
	unit  string    // of what is counted: "records"
	total int64     // 0 where it is unknown: then there is a counter and no bar
	began time.Time
	from  int64 // what was done before
	shown time.Time
}

// showEvery is how often the line changes.
const showEvery = 200 * time.Millisecond

// newProgress begins to show something of which so much is done before. Where w
// is no terminal it shows nothing.
func newProgress(w io.Writer, what, unit string, from, total int64) *progress {
	if !isTerminal(w) {
		w = nil
	}
	now := time.Now()
	return &progress{w: w, what: what, unit: unit, total: total, began: now, from: from, shown: now}
}

// isTerminal reports whether somebody may be watching.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// at shows how much is done, unless it was shown just now.
func (p *progress) at(done int64) {
	if p.w == nil || time.Since(p.shown) < showEvery {
		return
	}
	p.shown = time.Now()
	fmt.Fprintf(p.w, "\r%s\x1b[K", p.line(done, time.Since(p.began)))
}

// line says how much is done.
func (p *progress) line(done int64, took time.Duration) string {
	rate := float64(done-p.from) / took.Seconds()
	if p.total == 0 {
		return fmt.Sprintf("%s: %s %s, %s/s", p.what, grouped(done), p.unit, grouped(int64(rate)))
	}
	const width = 30
	part := min(1, float64(done)/float64(p.total))
	filled := int(part * width)
	line := fmt.Sprintf("%s [%s%s] %3.0f%%", p.what, strings.Repeat("#", filled), strings.Repeat("-", width-filled), 100*part)
	if rate > 0 && done < p.total {
		left := time.Duration(float64(p.total-done) / rate * float64(time.Second))
		line += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	return line
}

// end takes the line away.
func (p *progress) end() {
	if p.w != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// grouped writes a number as people do: 1,234,567.
func grouped(n int64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}

// counted says how many there are of something.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return grouped(int64(n)) + " " + thing + "s"
}
