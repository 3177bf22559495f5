package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/parley-chat/parley/store/sqlite"
)

// flat measures whether a turn costs the same however much is stored: by the
// number of sessions, and by the length of the sessions. The servers are
// measured in turns, as in compare.
func (b bench) flat(most int) error {
	var labels []string
	var servers []*process
	for _, sessions := range []int{1_000, 10_000, 100_000, 1_000_000} {
		if sessions > most {
			break
		}
		path := filepath.Join(b.dir, fmt.Sprintf("sessions-%d.db", sessions))
		store, err := sqlite.Open(path)
		if err != nil {
			return err
		}
		if err := fill(context.Background(), store, "flat-", 0, sessions, 1, time.Now()); err != nil {
			return err
		}
		if err := store.Close(); err != nil {
			return err
		}
		p, err := b.startParley(fmt.Sprint("sessions ", sessions), "sqlite:"+path)
		if err != nil {
			return err
		}
		defer p.stop()
		labels, servers = append(labels, fmt.Sprint(sessions)), append(servers, p)
	}
	bodies := make([]message, len(servers))
	for i := range bodies {
		bodies[i] = spread
	}
	if err := b.inTurns("stored sessions", labels, servers, bodies); err != nil {
		return err
	}

	labels, servers, bodies = nil, nil, nil
	for _, turns := range []int{10, 100, 1_000, 10_000} {
		p, err := b.startParley(fmt.Sprint("turns ", turns), "sqlite:"+filepath.Join(b.dir, fmt.Sprintf("turns-%d.db", turns)))
		if err != nil {
			return err
		}
		defer p.stop()
		// 64 sessions of that length, one a connection.
		lengthen := func(n int64) string {
			return fmt.Sprintf(`{"prompt": "Message %d", "session_id": "%s"}`, n, sessionID(n%64))
		}
		if _, err := p.load(64*turns, b.connections, lengthen); err != nil {
			return err
		}
		// What is measured must not make a short session a long one.
		body := lengthen
		if turns < 1_000 {
			body = func(n int64) string {
				return fmt.Sprintf(`{"prompt": "Message %d", "session_id": "%s"}`, n, sessionID(n%64+64*(1+n/int64(64*turns))))
			}
		}
		labels, servers, bodies = append(labels, fmt.Sprint(turns)), append(servers, p), append(bodies, body)
	}
	fmt.Println()
	return b.inTurns("turns in a session, about", labels, servers, bodies)
}

// inTurns measures servers one after the other, some rounds, and prints the
// medians, and how they compare to the first.
func (b bench) inTurns(title string, labels []string, servers []*process, bodies []message) error {
	results := make([][]result, len(servers))
	for round := range b.rounds + 1 {
		for i, p := range servers {
			r, err := p.load(b.requests/4, b.connections, bodies[i])
			if err != nil {
				return err
			}
			if round > 0 { // the first warms up
				results[i] = append(results[i], r)
			}
		}
	}
	fmt.Printf("%-28s %22s %15s\n", title, "CPU s/100,000 requests", "to the first")
	requests, first := float64(b.requests/4), 0.0
	for i, label := range labels {
		cpu := median(results[i], func(r result) float64 { return r.cpu.Seconds() / requests * 100_000 })
		if i == 0 {
			first = cpu
		}
		fmt.Printf("%-28s %22.2f %+14.0f%%\n", label, cpu, (cpu/first-1)*100)
	}
	return nil
}
