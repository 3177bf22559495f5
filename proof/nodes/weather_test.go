package nodes_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/proof/ledger"
	"github.com/parley-chat/parley/proof/load"
	"github.com/parley-chat/parley/proof/server"
)

// healTime is how soon a node answers once its database is there again.
const healTime = 5 * time.Second

// probe is what messages begin with that are in nobody's ledger.
const probe = "Are you there? "

// firstAnswers asks each node until it answers, and returns how long that took.
func (s *scene) firstAnswers(address string) []time.Duration {
	took := make([]time.Duration, len(s.nodes))
	var asking sync.WaitGroup
	began := time.Now()
	for i, n := range s.nodes {
		asking.Go(func() {
			for time.Since(began) < 4*healTime {
				if s.sendFrom(address, n, probe+uuid.NewString()) == http.StatusOK {
					break
				}
				time.Sleep(20 * time.Millisecond)
			}
			took[i] = time.Since(began)
		})
	}
	asking.Wait()
	return took
}

// A spell is a time of bad weather between the nodes and their database.
type spell struct {
	name string
	away bool          // nothing can be answered meanwhile
	last time.Duration // 0 where it is left out
	// begin makes the weather bad and returns what ends it.
	begin func(s *scene) (end func())
}

func spells() []spell {
	all := func(s *scene, do func(*link)) {
		for _, n := range s.nodes {
			do(n.link)
		}
	}
	return []spell{
		{"latency of 50 ms", false, short(2*time.Second, 0), func(s *scene) func() {
			all(s, func(l *link) { l.slow(50 * time.Millisecond) })
			return func() { all(s, (*link).heal) }
		}},
		{"resets", false, short(3*time.Second, time.Second), func(s *scene) func() {
			done := make(chan bool)
			go func() {
				for {
					select {
					case <-done:
						return
					case <-time.After(100 * time.Millisecond):
						s.nodes[rand.IntN(nodes)].link.tear()
					}
				}
			}()
			return func() { close(done) }
		}},
		{"a partition", true, short(3*time.Second, 0), func(s *scene) func() {
			all(s, (*link).part)
			return func() { all(s, (*link).heal) }
		}},
		{"the database stopped", true, short(10*time.Second, time.Second), func(s *scene) func() {
			s.db.Stop()
			return s.db.Start
		}},
	}
}

// TestWeather disturbs the way between three nodes and their database while a
// crowd talks to them.
func TestWeather(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) {
		var s *scene
		if testing.Short() {
			s = open(t, db, sound(t), linked, nil)
		} else {
			s = open(t, db, build(t, "flawed", flaws...), linked, nil) // for the number of its goroutines
			for _, n := range s.nodes {
				n.countGoroutines(s)
			}
		}
		crowd := load.NewOf(visitors, conversations, patience)
		ctx, leave := context.WithTimeout(t.Context(), short(2*time.Second, 500*time.Millisecond))
		defer leave()
		crowd.Talk(ctx, s.urls()...)
		crowd.Wait()
		before := s.calm(crowd)
		ctx, leave = context.WithCancel(t.Context())
		defer leave()
		crowd.Talk(ctx, s.urls()...)
		time.Sleep(500 * time.Millisecond)
		for _, spell := range spells() {
			if spell.last > 0 {
				s.weather(spell, crowd)
			}
		}
		leave()
		crowd.Wait()
		after := s.calm(crowd)
		for try := 0; try < 2 && after.p99 > before.slow(); try++ {
			t.Logf("calm after, measured again: %v", after)
			after = s.calm(crowd)
		}
		t.Logf("calm before: %v", before)
		t.Logf("calm after: %v", after)
		before.compare(t, after, nodes*db.mostConnections)
		verdict := crowd.Ledger.Compare(slices.DeleteFunc(db.records(t), func(r parley.Record) bool { return strings.HasPrefix(r.Prompt, probe) }))
		t.Logf("refused=%d %v longest wait=%v", crowd.Refused(), verdict, crowd.Longest().Round(time.Millisecond))
		if err := verdict.Err(); err != nil {
			t.Error(err)
		}
		if complaints := crowd.Complaints(); len(complaints) > 0 {
			t.Errorf("the visitors complain:\n\t%s\n%s", strings.Join(complaints, "\n\t"), s.logs())
		}
	})
}

// weather has a spell of bad weather and checks what the nodes say of it.
func (s *scene) weather(sp spell, crowd *load.Crowd) {
	s.Helper()
	refused, acked := crowd.Refused(), len(crowd.Ledger.Answered())
	watch := s.watch()
	end := sp.begin(s)
	time.Sleep(sp.last)
	seen := watch()
	end()
	healed := slices.Max(s.firstAnswers("192.0.2.1"))
	ready := s.awaitReady()
	s.Logf("%s for %v: answered=%d refused=%d, health: %v, ready: %v; answers again after %v, ready after %v", sp.name, sp.last,
		len(crowd.Ledger.Answered())-acked, crowd.Refused()-refused, seen.health, seen.ready, healed.Round(time.Millisecond), ready.Round(time.Millisecond))
	if len(seen.health) != 1 || seen.health[http.StatusOK] == 0 {
		s.Errorf("%s: /health was answered with %v; want 200 always", sp.name, seen.health)
	}
	if sp.away && seen.last != [nodes]int{503, 503, 503} {
		s.Errorf("%s: in the end /ready was answered with %v; want 503 on each node", sp.name, seen.last)
	}
	for status := range seen.ready {
		if status != http.StatusOK && status != http.StatusServiceUnavailable {
			s.Errorf("%s: /ready was answered with %d; want 200 or 503", sp.name, status)
		}
	}
	if healed > healTime || ready > healTime {
		s.Errorf("%s: %v after its end each node has answered, and after %v is ready; want %v at most", sp.name, healed, ready, healTime)
	}
}

// What nodes say of themselves: how often which status, and of /ready the last of
// each node.
type seen struct {
	health, ready map[int]int
	last          [nodes]int
}

// watch asks all nodes how they are until it is stopped.
func (s *scene) watch() (stop func() seen) {
	done := make(chan bool)
	var mu sync.Mutex
	what := seen{health: map[int]int{}, ready: map[int]int{}}
	var watching sync.WaitGroup
	for i, n := range s.nodes {
		watching.Go(func() {
			for {
				health, ready := n.get("/health"), n.get("/ready")
				mu.Lock()
				what.health[health]++
				what.ready[ready]++
				what.last[i] = ready
				mu.Unlock()
				select {
				case <-done:
					return
				case <-time.After(50 * time.Millisecond):
				}
			}
		})
	}
	return func() seen {
		close(done)
		watching.Wait()
		return what
	}
}

// awaitReady waits until all nodes are ready, and returns how long that took.
func (s *scene) awaitReady() time.Duration {
	began := time.Now()
	for _, n := range s.nodes {
		for n.get("/ready") != http.StatusOK && time.Since(began) < 4*healTime {
			time.Sleep(10 * time.Millisecond)
		}
	}
	return time.Since(began)
}

// A calm is what is measured while the weather is good.
type calm struct {
	median, p99 time.Duration // of an answer
	connections int           // at the database
	goroutines  []int         // of each node
}

func (c calm) String() string {
	return fmt.Sprintf("answer: p50=%v p99=%v connections=%d goroutines=%v",
		c.median.Round(time.Millisecond), c.p99.Round(time.Millisecond), c.connections, c.goroutines)
}

// slow is what the 99th of 100 answers may take afterwards. What takes a few
// milliseconds takes twice as long now and then.
func (before calm) slow() time.Duration { return max(2*before.p99, 100*time.Millisecond) }

// compare checks that after is as good.
func (before calm) compare(t *testing.T, after calm, mostConnections int) {
	t.Helper()
	// A node keeps up to 64 goroutines for turns, and more connections to its
	// visitors and to the model when more was to do.
	const spare = 64
	if after.p99 > before.slow() {
		t.Errorf("the 99th of 100 answers takes %v, and took %v before; want twice as long at most", after.p99, before.p99)
	}
	if after.connections > mostConnections {
		t.Errorf("there are %d connections, and were %d before; want %d at most", after.connections, before.connections, mostConnections)
	}
	for i, n := range after.goroutines {
		if n > before.goroutines[i]+spare {
			t.Errorf("node %d has %d goroutines, and had %d before; want no more", i+1, n, before.goroutines[i])
		}
	}
}

// calm waits until nothing runs any more, has a crowd of eight ask 400 questions,
// and measures.
func (s *scene) calm(crowd *load.Crowd) calm {
	s.Helper()
	time.Sleep(short(3*time.Second, time.Second))
	const each = 50
	var mu sync.Mutex
	var took []time.Duration
	ask := func(each int) {
		var asking sync.WaitGroup
		for range 8 {
			asking.Go(func() {
				for i := range each {
					m := ledger.Message{Prompt: uuid.NewString(), Session: uuid.NewString()}
					crowd.Ledger.Sent(m)
					began := time.Now()
					status, err := crowd.Post(s.Context(), s.nodes[i%nodes].URL, m)
					if err != nil || status != http.StatusOK {
						s.Errorf("while nothing is wrong a message is answered with %d, %v; want 200", status, err)
					}
					mu.Lock()
					took = append(took, time.Since(began))
					mu.Unlock()
				}
			})
		}
		asking.Wait()
	}
	ask(each / 2) // so that connections and the like are there
	took = nil
	ask(each)
	c := calm{connections: s.db.connections(s.T)}
	for _, n := range s.nodes {
		if n.settings["GOROUTINES"] != "" {
			c.goroutines = append(c.goroutines, n.goroutines(s))
		}
	}
	slices.Sort(took)
	c.median, c.p99 = took[len(took)/2], took[len(took)*99/100]
	return c
}

// countGoroutines starts a node again, which then tells how many goroutines it has.
func (n *node) countGoroutines(s *scene) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.Fatal(err)
	}
	n.settings["GOROUTINES"] = l.Addr().String()
	l.Close()
	s.restart(n)
}

func (n *node) goroutines(s *scene) int {
	s.Helper()
	answer, err := http.Get("http://" + n.settings["GOROUTINES"])
	if err != nil {
		s.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.Fatal(err)
	}
	count, err := strconv.Atoi(string(text))
	if err != nil {
		s.Fatal(err)
	}
	return count
}

// TestDatabaseComesLater starts nodes before their database.
func TestDatabaseComesLater(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) {
		program := sound(t)
		db.Stop()
		n := &node{program: program, settings: server.Settings{"DATABASE_URL": db.url, "BOTS": "text", "ACCESS_LOG": "false"}}
		if err := n.start(); err != nil {
			t.Fatal(err)
		}
		defer func() { n.Kill() }()
		began := time.Now()
		for n.get("/health") != http.StatusOK {
			if time.Since(began) > healTime {
				t.Fatalf("/health is not answered after %v\n%s", healTime, n.Log())
			}
			time.Sleep(10 * time.Millisecond)
		}
		up := time.Since(began)
		for time.Since(began) < short(3*time.Second, time.Second) {
			if health, ready := n.get("/health"), n.get("/ready"); health != http.StatusOK || ready != http.StatusServiceUnavailable {
				t.Fatalf("without a database /health is answered with %d and /ready with %d; want 200 and 503", health, ready)
			}
			time.Sleep(50 * time.Millisecond)
		}
		s := &scene{T: t, db: db, nodes: []*node{n}}
		if status := s.sendFrom("192.0.2.1", n, "Hello"); status != http.StatusServiceUnavailable {
			t.Errorf("without a database a message is answered with %d; want 503", status)
		}
		const away = "the database is away"
		if told := strings.Count(n.Log(), away+";"); told != 1 {
			t.Errorf("the log says %d times that %s; want once\n%s", told, away, n.Log())
		}
		db.Start()
		ready, answers := s.awaitReady(), slices.Max(s.firstAnswers("192.0.2.1"))
		t.Logf("up after %v; with the database there, ready after %v", up.Round(time.Millisecond), ready.Round(time.Millisecond))
		if ready > healTime || answers > healTime {
			t.Errorf("with the database there, the node is ready after %v and answers after %v; want %v at most\n%s", ready, answers, healTime, n.Log())
		}
	})
}
