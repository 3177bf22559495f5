package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A message makes the body of the n-th request.
type message func(n int64) string

// spread sends each request to one of 1,000 sessions, with a prompt of its own.
func spread(n int64) string {
	return fmt.Sprintf(`{"prompt": "Hello, this is message %d and I have a question", "session_id": "%s"}`, n, sessionID(n%1000))
}

// sessionID returns an id with the shape of 128 random bits.
func sessionID(n int64) string { return fmt.Sprintf("0190a6f0-1111-4222-8333-%012x", n) }

// A result is what one round measured.
type result struct {
	cpu     time.Duration // of the server, for all requests of the round
	elapsed time.Duration
}

// counter numbers the requests of the whole run, so that no prompt comes twice.
var counter atomic.Int64

// load sends requests over connections that stay open, and fails on any answer
// but 200.
func (p *process) load(requests, connections int, body message) (result, error) {
	before, err := p.cpu()
	if err != nil {
		return result{}, err
	}
	var left atomic.Int64
	left.Store(int64(requests))
	errs := make(chan error, connections)
	began := time.Now()
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() { errs <- p.connection(&left, body) })
	}
	wg.Wait()
	elapsed := time.Since(began)
	for range connections {
		if err := <-errs; err != nil {
			return result{}, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	after, err := p.cpu()
	return result{cpu: after - before, elapsed: elapsed}, err
}

// connection sends one request after the other. It speaks just enough HTTP/1.1
// itself: the load must not cost more than the server.
func (p *process) connection(left *atomic.Int64, body message) error {
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	var out bytes.Buffer
	for left.Add(-1) >= 0 {
		text := body(counter.Add(1))
		out.Reset()
		fmt.Fprintf(&out, "POST /chat HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", p.addr, len(text), text)
		if _, err := conn.Write(out.Bytes()); err != nil {
			return err
		}
		if err := readAnswer(in); err != nil {
			return err
		}
	}
	return nil
}

func readAnswer(in *bufio.Reader) error {
	status, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200")) {
		return fmt.Errorf("the server answered %s", bytes.TrimSpace(status))
	}
	length := -1
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			break
		}
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("an answer has no Content-Length")
	}
	_, err = io.CopyN(io.Discard, in, int64(length))
	return err
}
