// Command bench measures what a turn costs: Parley as it is served, side by
// side and interleaved with bare servers that do the least that could be done.
//
//	go run ./bench            # CPU a request, requests a second, memory, start
//	go run ./bench -flat      # cost by stored sessions and by length of a session
//	go run ./bench -large     # time of a turn in a large store, and while it is swept
//	go run ./bench -streams   # CPU a token, memory a stream, delay of the first token
//
// Each server is a process of its own on one core (GOMAXPROCS=1), or on two for
// streams; the load comes from this process over 64 connections, or over one for
// each stream. CPU seconds are the server process's
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
	"strings"
)

func main() {
	log.SetFlags(0)
	requests := flag.Int("requests", 20_000, "requests to each server in each round")
	rounds := flag.Int("rounds", 5, "rounds; the median counts")
	connections := flag.Int("connections", 64, "connections at once")
	flat := flag.Bool("flat", false, "measure cost by stored sessions and by length of a session")
	large := flag.Bool("large", false, "measure a store that has much, beside one that has little")
	most := flag.Int("sessions", 1_000_000, "with -flat and -large: the most stored sessions")
	turns := flag.Int("turns", 20, "with -large: the turns of each session")
	databases := flag.String("databases", "", "with -large: the URLs of two empty databases, with a comma between them; without, two files of SQLite")
	streams := flag.Bool("streams", false, "measure answers that are streamed")
	concurrent := flag.Int("concurrent", 1_000, "with -streams: streams at once")
	tokens := flag.Int("tokens", 200, "with -streams: tokens of each")
	bare := flag.String("bare", "", "serve as the named bare server (the bench starts these itself)")
	flag.Parse()

	switch *bare {
	case "":
	case "upstream":
		log.Fatal(serveUpstream())
	case "proxy":
		log.Fatal(serveProxy())
	default:
		log.Fatal(serveBare(*bare))
	}
	dir, err := os.MkdirTemp("", "parley-bench-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	b := bench{dir: dir, requests: *requests, rounds: *rounds, connections: *connections, cores: 1}
	if err := b.build(); err != nil {
		log.Fatal(err)
	}
	switch {
	case *flat:
		err = b.flat(*most)
	case *large:
		err = b.large(*most, *turns, strings.FieldsFunc(*databases, func(r rune) bool { return r == ',' }))
	case *streams:
		b.cores = 2
		err = b.streams(*concurrent, *tokens)
	default:
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
	cores                         int // for each server
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
