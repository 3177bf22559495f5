package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	// ramp is the time in which the streams of a round are opened.
	ramp = time.Second
	// readEvery is how often a stream is read once its first token is there. The
	// server sends each token all the same, and has the processor for itself.
	readEvery = 250 * time.Millisecond
)

// A lane is a way to an upstream's answer, and what was measured on it.
type lane struct {
	name   string
	server *process
	path   string
	copies int // how often each token is sent: a reply repeats them all
	idle   int64
	rounds []streamed
}

// streamed is what one round measured.
type streamed struct {
	cpu     time.Duration // of the server
	memory  int64         // in the middle of the round
	elapsed time.Duration
	first   []time.Duration // from the request to the first token, sorted
}

// streams measures what it costs to pass a model's answer on, token by token:
// by Parley, and by a proxy that does nothing else, of the same upstream.
func (b bench) streams(concurrent, tokens int) error {
	lanes, stop, err := b.lanes(tokens)
	defer stop()
	if err != nil {
		return err
	}
	for round := range b.rounds + 1 {
		for _, l := range lanes {
			r, err := l.round(concurrent, tokens)
			if err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
			if round > 0 { // the first warms up
				l.rounds = append(l.rounds, r)
			}
		}
	}
	fmt.Printf("%d rounds of %d streams at once, each of %d tokens, one every %v, median; each server on %d cores\n\n", b.rounds, concurrent, tokens, tokenEvery, b.cores)
	fmt.Printf("%-22s %14s %12s %12s %18s %18s\n", "", "CPU s/million", "memory a", "round took", "first token", "added to it")
	fmt.Printf("%-22s %14s %12s %12s %18s %18s\n", "", "tokens", "stream", "", "p50, p99", "p50, p99")
	for i, l := range lanes {
		l.print(lanes[i/3*3], concurrent, tokens)
	}
	fmt.Printf("\nwithout a delay, a round takes %v\n", ramp+time.Duration(tokens)*tokenEvery)
	for i := 0; i < len(lanes); i += 3 {
		fmt.Printf("CPU, %s : %s  %.2f\n", lanes[i+2].name, lanes[i+1].name, lanes[i+2].cpu(concurrent*tokens)/lanes[i+1].cpu(concurrent*tokens))
	}
	return nil
}

// lanes starts the servers. In each of the two formats there are the upstream
// itself, the proxy, and Parley.
func (b bench) lanes(tokens int) (lanes []*lane, stop func(), err error) {
	var started []*process
	stop = func() {
		for _, p := range started {
			p.stop()
		}
	}
	add := func(name, path string, copies int, p *process, err error) error {
		if err != nil {
			return err
		}
		started = append(started, p)
		idle, err := p.memory()
		lanes = append(lanes, &lane{name: name, server: p, path: path, copies: copies, idle: idle})
		return err
	}
	upstream, err := b.startBare("upstream", "BENCH_TOKENS="+strconv.Itoa(tokens))
	if err != nil {
		return nil, stop, err
	}
	at := "http://" + upstream.addr
	for _, f := range []struct {
		name, path, setting string
		copies              int
	}{
		{"relay", events(tokens).path, "RELAY_URL=" + at + events(tokens).path, 2},
		{"openai", completions().path, "OPENAI_BASE_URL=" + at + "/v1", 1},
	} {
		if err := add("upstream of "+f.name, f.path, f.copies, upstream, nil); err != nil {
			return nil, stop, err
		}
		p, err := b.startBare("proxy", "BENCH_UPSTREAM="+at)
		if err := add("proxy for "+f.name, f.path, f.copies, p, err); err != nil {
			return nil, stop, err
		}
		p, err = b.startParley("parley "+f.name, "memory:", f.setting)
		if err := add("parley "+f.name, "/chat", 2, p, err); err != nil {
			return nil, stop, err
		}
	}
	return lanes, stop, nil
}

// round opens streams and reads them to their ends.
func (l *lane) round(concurrent, tokens int) (streamed, error) {
	before, err := l.server.cpu()
	if err != nil {
		return streamed{}, err
	}
	r := streamed{first: make([]time.Duration, concurrent)}
	errs := make([]error, concurrent)
	var memoryErr error
	middle := time.AfterFunc(ramp+(time.Duration(tokens)*tokenEvery-ramp)/2, func() { r.memory, memoryErr = l.server.memory() })
	defer middle.Stop()
	began := time.Now()
	var streams sync.WaitGroup
	for i := range concurrent {
		streams.Go(func() {
			time.Sleep(ramp * time.Duration(i) / time.Duration(concurrent))
			r.first[i], errs[i] = l.stream(tokens)
		})
	}
	streams.Wait()
	r.elapsed = time.Since(began)
	after, err := l.server.cpu()
	r.cpu = after - before
	slices.Sort(r.first)
	return r, errors.Join(append(errs, memoryErr, err)...)
}

// stream reads one answer, and returns how long its first token took.
func (l *lane) stream(tokens int) (first time.Duration, err error) {
	conn, err := net.Dial("tcp", l.server.addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	n := counter.Add(1)
	body := fmt.Sprintf(`{"prompt": "Message %d", "session_id": "%s", "model": "bench", "stream": true, "messages": [{"role": "user", "content": "Message"}]}`, n, sessionID(n))
	began := time.Now()
	if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		l.path, l.server.addr, len(body), body); err != nil {
		return 0, err
	}
	var buf [8 << 10]byte
	seen := 0
	for {
		n, err := conn.Read(buf[:])
		seen += bytes.Count(buf[:n], []byte{tokenMark})
		if seen > 0 && first == 0 {
			first = time.Since(began)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, err
		}
		if first > 0 {
			time.Sleep(readEvery)
		}
	}
	if seen != l.copies*tokens {
		return 0, fmt.Errorf("a stream had %d tokens, want %d", seen, l.copies*tokens)
	}
	return first, nil
}

// cpu returns the seconds that a million tokens take.
func (l *lane) cpu(tokens int) float64 {
	return median(l.rounds, func(r streamed) float64 { return r.cpu.Seconds() / float64(tokens) * 1e6 })
}

// print prints a row, beside the upstream that the lane leads to.
func (l *lane) print(direct *lane, concurrent, tokens int) {
	first := func(percent int) float64 {
		return median(l.rounds, func(r streamed) float64 { return milliseconds(percentile(r.first, percent)) })
	}
	added := func(percent int) float64 {
		var differences []time.Duration
		for i, r := range l.rounds {
			differences = append(differences, percentile(r.first, percent)-percentile(direct.rounds[i].first, percent))
		}
		return median(differences, milliseconds)
	}
	memory := median(l.rounds, func(r streamed) float64 { return float64(r.memory-l.idle) / float64(concurrent) / 1e3 })
	elapsed := median(l.rounds, func(r streamed) float64 { return r.elapsed.Seconds() })
	fmt.Printf("%-22s %14.1f %9.1f KB %10.2f s %5.1f, %6.1f ms %5.1f, %6.1f ms\n", l.name, l.cpu(concurrent*tokens), memory, elapsed,
		first(50), first(99), added(50), added(99))
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

func percentile(sorted []time.Duration, percent int) time.Duration {
	return sorted[(len(sorted)-1)*percent/100]
}
