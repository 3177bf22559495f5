package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/parley-chat/parley"
)

// fill gives a store so many sessions of so many turns, the newest of which
// began at a time. Progress goes to standard error.
func fill(ctx context.Context, store parley.Archive, name string, from, to, turns int, newest time.Time) error {
	const batch = 500
	reply := parley.Text("Thank you for writing! We are open from 9 to 5, Monday to Friday, and closed on holidays.")
	var records []parley.Record
	began, told := time.Now(), time.Now()
	for i := from; i < to; i++ {
		start := newest.Add(-time.Duration(turns) * time.Minute)
		for seq := 1; seq <= turns; seq++ {
			at := start.Add(time.Duration(seq) * time.Minute)
			records = append(records, parley.Record{
				Session: fmt.Sprintf("%s%027x", name, i), Seq: seq, First: 1,
				Prompt: fmt.Sprintf("Message %d: when are you open on Saturday?", seq),
				Reply:  &reply, Began: at, Ended: at.Add(300 * time.Millisecond),
			})
		}
		if len(records) < batch && i < to-1 {
			continue
		}
		if err := store.Restore(ctx, records); err != nil {
			return err
		}
		records = records[:0]
		if time.Since(told) > time.Second || i == to-1 {
			told = time.Now()
			fmt.Fprintf(os.Stderr, "\r%d of %d sessions after %v ", i+1-from, to-from, time.Since(began).Round(time.Second))
		}
	}
	fmt.Fprintln(os.Stderr)
	return nil
}
