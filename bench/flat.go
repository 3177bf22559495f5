package main

import (
	"fmt"
	"path/filepath"
)

// flat measures whether a turn costs the same however much is stored: by the
// number of sessions, and by the length of one session.
func (b bench) flat(most int) error {
	p, err := b.startParley("parley sqlite", "sqlite:"+filepath.Join(b.dir, "flat.db"))
	if err != nil {
		return err
	}
	defer p.stop()

	fmt.Printf("%-28s %22s\n", "stored sessions", "CPU s/100,000 requests")
	stored := 0
	for _, target := range []int{1_000, 10_000, 100_000, 1_000_000} {
		if target > most {
			break
		}
		// A turn in a new session for each that is missing.
		if _, err := p.load(target-stored, b.connections, func(n int64) string {
			return fmt.Sprintf(`{"prompt": "Hello", "session_id": "%s"}`, sessionID(1_000_000+n))
		}); err != nil {
			return err
		}
		stored = target
		if err := b.report(p, fmt.Sprint(stored), spread); err != nil {
			return err
		}
	}

	fmt.Printf("\n%-28s %22s\n", "turns in one session", "CPU s/100,000 requests")
	for _, turns := range []int{10, 100, 1_000, 10_000} {
		// 64 sessions of that length, one a connection.
		lengthen := func(n int64) string {
			return fmt.Sprintf(`{"prompt": "Message %d", "session_id": "%s"}`, n, sessionID(int64(turns)<<32+n%64))
		}
		if _, err := p.load(64*turns, b.connections, lengthen); err != nil {
			return err
		}
		if err := b.report(p, fmt.Sprint(turns), lengthen); err != nil {
			return err
		}
	}
	return nil
}

// report measures a few rounds and prints the median.
func (b bench) report(p *process, label string, body message) error {
	var results []result
	for range b.rounds {
		r, err := p.load(b.requests/4, b.connections, body)
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	requests := float64(b.requests / 4)
	fmt.Printf("%-28s %22.2f\n", label, median(results, func(r result) float64 { return r.cpu.Seconds() / requests * 100_000 }))
	return nil
}
