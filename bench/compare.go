package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// compare measures the four servers in turns, so that whatever else the machine
// does hits all of them alike.
func (b bench) compare() error {
	start := []func() (*process, error){
		func() (*process, error) { return b.startBare("http") },
		func() (*process, error) { return b.startParley("parley memory", "memory:") },
		func() (*process, error) { return b.startBare("sqlite") },
		func() (*process, error) {
			return b.startParley("parley sqlite", "sqlite:"+filepath.Join(b.dir, "bench.db"))
		},
	}
	var servers []*process
	for _, s := range start {
		p, err := s()
		if err != nil {
			return err
		}
		defer p.stop()
		servers = append(servers, p)
	}
	idle := make([]int64, len(servers))
	for i, p := range servers {
		var err error
		if idle[i], err = p.memory(); err != nil {
			return err
		}
	}

	results := make([][]result, len(servers))
	for round := range b.rounds + 1 {
		for i, p := range servers {
			r, err := p.load(b.requests, b.connections, spread)
			if err != nil {
				return err
			}
			if round > 0 { // the first warms up
				results[i] = append(results[i], r)
			}
		}
	}

	fmt.Printf("%d rounds of %d requests over %d connections, median; each server on one core\n\n", b.rounds, b.requests, b.connections)
	fmt.Printf("%-15s %22s %12s %12s %14s\n", "", "CPU s/100,000 requests", "requests/s", "idle memory", "start to ready")
	cpu := make([]float64, len(servers))
	for i, p := range servers {
		cpu[i] = median(results[i], func(r result) float64 { return r.cpu.Seconds() / float64(b.requests) * 100_000 })
		rate := median(results[i], func(r result) float64 { return float64(b.requests) / r.elapsed.Seconds() })
		fmt.Printf("%-15s %22.2f %12.0f %9.1f MB %11d ms\n", p.name, cpu[i], rate, float64(idle[i])/1e6, p.start/time.Millisecond)
	}
	fmt.Printf("\nCPU, parley memory : bare http    %.2f\n", cpu[1]/cpu[0])
	fmt.Printf("CPU, parley sqlite : bare sqlite  %.2f\n", cpu[3]/cpu[2])
	return nil
}

func median[T any](results []T, of func(T) float64) float64 {
	values := make([]float64, len(results))
	for i, r := range results {
		values[i] = of(r)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
