package main

import (
	"net"
	"net/http"
	"sync"
)

// freshConns are connections on which nothing was said yet. Browsers open some
// in advance; [http.Server.Shutdown] would wait for them for seconds.
type freshConns struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
}

// track is for [http.Server.ConnState].
func (f *freshConns) track(conn net.Conn, state http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if state == http.StateNew {
		f.conns[conn] = true
	} else {
		delete(f.conns, conn)
	}
}

// close closes them. It is for [http.Server.RegisterOnShutdown], which calls it
// when no more connections are accepted.
func (f *freshConns) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for conn := range f.conns {
		conn.Close()
	}
}
