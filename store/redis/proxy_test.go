package redis_test

import (
	"bytes"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/dbtest"
	"github.com/parley-chat/parley/store/redis"
)

// A proxy is a bad way to a server.
type proxy struct {
	addr   string
	server string

	mu     sync.Mutex
	lose   int    // how many answers are lost, each with its connection
	to     string // what is in the commands whose answers are lost
	answer string // if not empty, to every command, which does not reach the server
}

func newProxy(t *testing.T, server *dbtest.RedisServer) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &proxy{addr: l.Addr().String(), server: server.Addr}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
	return p
}

// set changes the proxy's ways.
func (p *proxy) set(lose int, to, answer string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose, p.to, p.answer = lose, to, answer
}

// waysOf returns what becomes of a command.
func (p *proxy) waysOf(command []byte) (lost bool, answer string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if lost = p.lose > 0 && bytes.Contains(command, []byte(p.to)); lost {
		p.lose--
	}
	return lost, p.answer
}

// serve carries one command after the other. They are small here, and come and
// are answered in one piece.
func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	buf := make([]byte, 1<<16)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		lost, answer := p.waysOf(buf[:n])
		if answer != "" {
			client.Write([]byte(answer + "\r\n"))
			continue
		}
		server.Write(buf[:n])
		if n, err = server.Read(buf); err != nil || lost {
			return
		}
		client.Write(buf[:n])
	}
}

// A node whose answers are lost must not find its own turn to be another's.
func TestLostAnswers(t *testing.T) {
	server := dbtest.Redis(t)
	p := newProxy(t, server)
	store := open(t, redis.Config{URL: "redis://" + p.addr})
	defer store.Close()
	if err := answer(t.Context(), store, "s", "before"); err != nil { // the scripts are known from here on
		t.Fatal(err)
	}
	running, err := store.Begin(t.Context(), message("s", "running"))
	if err != nil {
		t.Fatal(err)
	}

	p.set(1, "one is lost", "")
	begun, err := store.Begin(t.Context(), message("s", "one is lost"))
	if err != nil || !begun.Fresh || begun.Seq != 3 || begun.First != 1 || begun.Behind != running.Seq {
		t.Errorf("Begin, whose first answer is lost, returned %+v, %v; want the fresh turn 3 of stretch 1, behind turn 2", begun, err)
	}
	p.set(1, "the reply", "")
	if err := store.Finish(t.Context(), begun.Record, parley.Text("the reply"), time.Now()); err != nil {
		t.Errorf("Finish, whose first answer is lost, returned %v; want nil", err)
	}
	id := parley.Submission{ID: "id", Form: "form", Time: time.Now()}
	p.set(1, "form", "")
	if kept, err := store.Submit(t.Context(), id); err != nil || kept.Seq != 1 {
		t.Errorf("Submit, whose first answer is lost, returned number %d, %v; want 1", kept.Seq, err)
	}

	heard := make(chan string, 10)
	direct := open(t, redis.Config{URL: "redis://" + server.Addr})
	defer direct.Close()
	defer direct.Listen("topic", func(note []byte) { heard <- string(note) })()
	p.set(1, "a note", "")
	wantUnavailable(t, "Notify, whose answer is lost,", store.Notify(t.Context(), "topic", []byte("a note")))
	if err := store.Notify(t.Context(), "topic", []byte("last")); err != nil {
		t.Fatal(err)
	}
	if one, two := <-heard, <-heard; one != "a note" || two != "last" {
		t.Errorf("heard %q and %q; want each note once", one, two)
	}

	// Where no answer comes, nobody answers the turn: it must not hold up others.
	p.set(2, "all are lost", "")
	_, err = store.Begin(t.Context(), message("s", "all are lost"))
	wantUnavailable(t, "Begin, whose answers are all lost,", err)
	for began := time.Now(); ; {
		records, err := store.Transcript(t.Context(), parley.Page{Session: "s", Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		if len(records) == 3 {
			break
		}
		if time.Since(began) > 5*time.Second {
			t.Fatalf("a turn that nobody answers is still there after 5 s: %+v", records)
		}
	}
}

// However many answers are lost, only so many turns are taken back at once. The
// others die in time.
func TestManyLostAnswers(t *testing.T) {
	const turns, most = 80, 64
	server := dbtest.Redis(t)
	p := newProxy(t, server)
	store, direct := open(t, redis.Config{URL: "redis://" + p.addr}), open(t, redis.Config{URL: "redis://" + server.Addr})
	defer store.Close()
	defer direct.Close()
	if err := answer(t.Context(), store, "s", "before"); err != nil { // the script is known from here on
		t.Fatal(err)
	}
	p.set(1<<30, "lost", "")
	var begins sync.WaitGroup
	for i := range turns {
		begins.Go(func() {
			if _, err := store.Begin(t.Context(), message(fmt.Sprint("lost ", i), "Hello")); err == nil {
				t.Error("Begin, whose answers are all lost, returned no error")
			}
		})
	}
	begins.Wait()
	left := func() (n int) {
		for i := range turns {
			records, err := direct.Transcript(t.Context(), parley.Page{Session: fmt.Sprint("lost ", i), Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			n += len(records)
		}
		return n
	}
	if n := left(); n != turns {
		t.Fatalf("%d turns have begun; want %d", n, turns)
	}
	p.set(0, "", "")
	for began := time.Now(); left() > turns-most && time.Since(began) < 10*time.Second; {
	}
	<-time.After(500 * time.Millisecond) // for what would be taken back beyond that
	if n := left(); n != turns-most {
		t.Errorf("%d turns that nobody answers are left; want %d, since %d are taken back at once", n, turns-most, most)
	}
}

func TestErrorsThatPass(t *testing.T) {
	p := newProxy(t, dbtest.Redis(t))
	store := open(t, redis.Config{URL: "redis://" + p.addr})
	defer store.Close()
	for _, test := range []struct {
		answer string
		passes bool
	}{
		{"-LOADING Redis is loading the dataset in memory", true},
		{"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", true},
		{"-READONLY You can't write against a read only replica.", true},
		{"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", true},
		{"-CLUSTERDOWN The cluster is down", true},
		{"-OOM command not allowed when used memory > 'maxmemory'.", true},
		{"-ERR Error running script (call to f_1): @user_script:1: @user_script: 1: -OOM command not allowed when used memory > 'maxmemory'.", true},
		{"-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", true},
		{"-ERR max number of clients reached", true},
		{"-NOREPLICAS Not enough good replicas to write.", true},
		{"-NOAUTH Authentication required.", false},
		{"-WRONGPASS invalid username-password pair or user is disabled.", false},
		{"-NOPERM this user has no permissions to run the 'evalsha' command", false},
		{"-WRONGTYPE Operation against a key holding the wrong kind of value", false},
		{"-ERR unknown command 'EVALSHA'", false},
	} {
		p.set(0, "", test.answer)
		err := answer(t.Context(), store, "s", test.answer)
		if test.passes {
			wantUnavailable(t, "Begin, answered with "+test.answer+",", err)
		} else if _, ok := err.(*parley.Error); err == nil || ok {
			t.Errorf("Begin, answered with %s, returned %v; want an error without a code", test.answer, err)
		}
	}
	p.set(0, "", "")
	awaitHealed(t, store)
}

// A server whose memory is full takes back what it has, and takes nothing more.
func TestFullMemory(t *testing.T) {
	server := dbtest.Redis(t)
	store := open(t, redis.Config{URL: server.URL(t)})
	defer store.Close()
	running, err := store.Begin(t.Context(), message("s", "Hello"))
	if err != nil {
		t.Fatal(err)
	}
	server.CLI("config", "set", "maxmemory", "1")
	wantUnavailable(t, "Finish with full memory", store.Finish(t.Context(), running.Record, parley.Text("Hi"), time.Now()))
	_, err = store.Begin(t.Context(), message("s", "next"))
	wantUnavailable(t, "Begin with full memory", err)
	_, err = store.Submit(t.Context(), parley.Submission{ID: "id", Time: time.Now()})
	wantUnavailable(t, "Submit with full memory", err)
	if n, err := store.Sweep(t.Context(), time.Now(), 10); n != 1 || err != nil {
		t.Errorf("Sweep with full memory returned %d, %v; want 1", n, err)
	}
	server.CLI("config", "set", "maxmemory", "0")
	awaitHealed(t, store)
}
