// Command bench measures what a turn costs: Parley as it is served, side by
// side and interleaved with bare servers that do the least that could be done.
//
//	go run ./bench            # CPU a request, requests a second, memory, start
//	go run ./bench -flat      # cost by stored sessions and by length of a session
//
// Each server is a process of its own on one core (GOMAXPROCS=1); the load comes
// from this process over 64 connections. CPU seconds are the server process's
// own, user and system, as Linux accounts them. Compare the ratios of one run,
// not the figures of two.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	requests := flag.Int("requests", 20_000, "requests to each server in each round")
	rounds := flag.Int("rounds", 5, "rounds; the median counts")
	connections := flag.Int("connections", 64, "connections at once")
	flat := flag.Bool("flat", false, "measure cost by stored sessions and by length of a session")
	most := flag.Int("sessions", 1_000_000, "with -flat: the most stored sessions")
	bare := flag.String("bare", "", "serve as the named bare server (the bench starts these itself)")
	flag.Parse()

	if *bare != "" {
		log.Fatal(serveBare(*bare))
	}
	dir, err := os.MkdirTemp("", "parley-bench-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	b := bench{dir: dir, requests: *requests, rounds: *rounds, connections: *connections}
	if err := b.build(); err != nil {
		log.Fatal(err)
	}
	if *flat {
		err = b.flat(*most)
	} else {
		err = b.compare()
	}
	if err != nil {
		log.Print(err)
		os.RemoveAll(dir)
		os.Exit(1)
	}
}

type bench struct {
	dir                           string
	requests, rounds, connections int
}

// build compiles the server that is measured.
func (b bench) build() error {
	cmd := exec.Command("go", "build", "-o", b.binary(), "./cmd/parley")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build cmd/parley: %v\n%s", err, out)
	}
	return nil
}

func (b bench) binary() string { return filepath.Join(b.dir, "parley") }
