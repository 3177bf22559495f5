package nodes_test

import (
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// A link is a node's way to its database, which can be disturbed. It is as good
// as none at first.
type link struct {
	url string // of the database, seen through the link
	to  string

	mu     sync.Mutex
	conns  map[net.Conn]bool // of both sides
	delay  time.Duration     // of what the database says
	down   bool              // whoever connects is sent away
	silent bool              // nothing comes through, and nothing says so
}

// newLink returns a link to the database at an address. It ends with the test.
func newLink(t *testing.T, database string) *link {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{to: u.Host, conns: map[net.Conn]bool{}}
	u.Host = listener.Addr().String()
	l.url = u.String()
	t.Cleanup(func() {
		listener.Close()
		l.cut()
	})
	go func() {
		for {
			node, err := listener.Accept()
			if err != nil {
				return
			}
			go l.connect(node)
		}
	}()
	return l
}

// connect carries what a node and the database say to each other.
func (l *link) connect(node net.Conn) {
	database, err := net.Dial("tcp", l.to)
	if err != nil {
		reset(node)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		reset(node)
		database.Close()
		return
	}
	l.conns[node], l.conns[database] = true, true
	go l.carry(database, node, false)
	go l.carry(node, database, true)
}

// carry carries what one side says until either side ends.
func (l *link) carry(to, from net.Conn, delayed bool) {
	defer l.forget(to, from)
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		l.mu.Lock()
		delay, silent := l.delay, l.silent
		l.mu.Unlock()
		if delayed {
			time.Sleep(delay)
		}
		if silent {
			continue // it is lost, and so is the connection once there is no silence
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (l *link) forget(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(l.conns, c)
	}
}

// reset ends a connection as a broken network would.
func reset(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// slow delays each thing that the database says.
func (l *link) slow(delay time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = delay
}

// tear resets all connections that there are.
func (l *link) tear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		reset(c)
	}
}

// cut resets all connections, and every one that is made from now on.
func (l *link) cut() {
	l.mu.Lock()
	l.down = true
	l.mu.Unlock()
	l.tear()
}

// part lets nothing through any more.
func (l *link) part() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent = true
}

// heal makes the link good. Connections from which something is missing end.
func (l *link) heal() {
	l.mu.Lock()
	lost := l.silent
	l.delay, l.down, l.silent = 0, false, false
	l.mu.Unlock()
	if lost {
		l.tear()
	}
}
