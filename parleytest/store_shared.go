package parleytest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-chat/parley"
)

// Shared runs the suite that a [parley.SharedStore] must pass beside that of
// [Store]: what one node does holds for all. For each test, place makes room for
// one store and returns a function that opens it once more, as another node
// would.
func Shared(t *testing.T, place func(t *testing.T) (open func() parley.Store)) {
	for _, test := range []struct {
		name string
		run  func(*sharedTest)
	}{
		{"one message on several nodes", testNodesTwin},
		{"one session on several nodes", testNodesSession},
		{"a turn of another node", testNodesTurn},
		{"a turn that another node took over", testNodesTakeOver},
		{"one secret for all nodes", testNodesSecret},
		{"submissions are read in their order", testNodesSubmissions},
		{"sweeping on several nodes", testNodesSweep},
		{"one limit for all nodes", testNodesLimit},
		{"a window ends", testNodesWindow},
		{"notes reach every node", testNodesNotes},
		{"notes of several nodes", testNodesNotesFromAll},
		{"a node leaves", testNodesLeave},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(newSharedTest(t, place(t))) })
	}
}

// sharedTest is one test of the suite, with three nodes.
type sharedTest struct {
	*storeTest // on the first node
	nodes      []parley.SharedStore
}

func newSharedTest(t *testing.T, open func() parley.Store) *sharedTest {
	s := &sharedTest{}
	for i := range 3 {
		store := open()
		shared, ok := store.(parley.SharedStore)
		if !ok {
			t.Fatalf("%T is no parley.SharedStore", store)
		}
		s.nodes = append(s.nodes, shared)
		if i == 0 {
			s.storeTest = newStoreTest(t, store)
			continue
		}
		t.Cleanup(func() {
			if err := store.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	return s
}

// on returns the test as another node runs it.
func (s *sharedTest) on(node int) *storeTest {
	return &storeTest{s.T, s.nodes[node%len(s.nodes)], s.now}
}

func testNodesTwin(s *sharedTest) {
	const rounds, atOnce = 30, 12
	for round := range rounds {
		m := s.message(fmt.Sprint("s", round), "Hello")
		if round%2 == 0 {
			m.Key = "k"
		}
		begun := make([]parley.Begun, atOnce)
		s.sideBySide(atOnce, atOnce, func(i int) (err error) {
			begun[i], err = s.nodes[i%len(s.nodes)].Begin(s.Context(), m)
			return err
		})
		fresh := 0
		for _, b := range begun {
			if b.Fresh {
				fresh++
			}
			if got, want := record(b.Record), record(begun[0].Record); got != want {
				s.Errorf("the same message on several nodes is\n%s\nand\n%s\nwant one turn", got, want)
			}
		}
		if fresh != 1 {
			s.Fatalf("the same message on several nodes is fresh %d times; want once", fresh)
		}
	}
}

func testNodesSession(s *sharedTest) {
	const goroutines, turns = 9, 15
	s.sideBySide(goroutines, goroutines, func(g int) error {
		node := s.on(g)
		for i := range turns {
			if err := node.tryAnswer(s.message("s", fmt.Sprintf("prompt %d of %d", i, g))); err != nil {
				return err
			}
		}
		return nil
	})
	want := s.transcript("s")
	if len(want) != goroutines*turns {
		s.Errorf("%d turns were answered; the transcript has %d", goroutines*turns, len(want))
	}
	for i, r := range want {
		if r.Seq != i+1 || r.Reply == nil || r.Reply.Text != "You said: "+r.Prompt {
			s.Fatalf("record %d is %s; want the numbers without a gap, each with its reply", i+1, record(r))
		}
	}
	for node := range s.nodes {
		s.on(node).wantTranscript(fmt.Sprint("on node ", node), "s", want...)
	}
}

func testNodesTurn(s *sharedTest) {
	turn := s.fresh("a message", s.keyed("s", "k", "Hello"))
	s.on(1).wantTranscript("a turn that runs elsewhere", "s", turn)
	s.on(1).same("the message, sent to another node", s.keyed("s", "k", "Hello"), turn)
	s.on(1).reused("the key, sent to another node", s.keyed("s", "k", "Goodbye"))
	if behind := s.on(2).begin(s.message("s", "next")); behind.Behind != turn.Seq {
		s.Errorf("a turn begun while turn %d runs elsewhere is behind turn %d", turn.Seq, behind.Behind)
	}
	turn = s.finish(turn, parley.Text("Hi"))
	s.on(1).same("the message, once it is answered elsewhere", s.keyed("s", "k", "Hello"), turn)
	s.on(2).finish(turn, parley.Text("Something else")) // changes nothing
	s.wantRecords("finished twice", s.on(1).page(parley.Page{Session: "s", Before: turn.Seq + 1, Limit: 1}), turn)
}

func testNodesTakeOver(s *sharedTest) {
	late := s.fresh("a message", s.keyed("s", "k", "Hello"))
	s.pass(turnLife + time.Second)
	taken := s.on(1).fresh("the message of a dead node", s.keyed("s", "k", "Hello"))
	s.wantTakenBack("a turn that another node took over", late)
	s.abandon(late)
	s.on(2).wantTranscript("taken over", "s", taken)
	taken = s.on(1).finish(taken, parley.Text("in time"))
	s.wantTakenBack("a turn that another node took over and answered", late)
	s.wantTranscript("taken over and answered", "s", taken)
}

func testNodesSecret(s *sharedTest) {
	for round := range 10 {
		name := fmt.Sprint("name ", round)
		secrets := make([]string, 9)
		s.sideBySide(len(secrets), len(secrets), func(i int) error {
			secret, err := s.nodes[i%len(s.nodes)].Secret(s.Context(), name)
			secrets[i] = string(secret)
			return err
		})
		if same := slices.Compact(secrets); len(same) != 1 || len(same[0]) != 32 {
			s.Fatalf("the nodes got %d different secrets under one name; want one of 32 bytes", len(same))
		}
	}
}

// testNodesSubmissions reads on one node what the others write. Whoever reads
// on behind the last number that they saw must miss nothing.
func testNodesSubmissions(s *sharedTest) {
	const each = 60
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	var writers sync.WaitGroup
	for g := range 6 {
		writers.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d of %d", i, g)
				if _, err := s.nodes[g%2].Submit(ctx, parley.Submission{ID: id, Form: "f", Values: parley.Values{"i": id}, Time: s.now}); err != nil {
					s.Error(err)
					return
				}
			}
		})
	}
	var done atomic.Bool
	go func() {
		writers.Wait()
		done.Store(true)
	}()
	seen, after := map[string]bool{}, int64(0)
	for {
		last := done.Load() // before it reads
		found, err := s.nodes[2].Submissions(ctx, "", after, 7)
		if err != nil {
			s.Fatal(err)
		}
		for _, f := range found {
			if f.Seq <= after || seen[f.ID] {
				s.Fatalf("after number %d came %s with the number %d; want each once, in ascending order", after, f.ID, f.Seq)
			}
			seen[f.ID], after = true, f.Seq
		}
		if last && len(found) == 0 {
			break
		}
	}
	if len(seen) != 6*each {
		s.Errorf("who read along saw %d submissions, want %d", len(seen), 6*each)
	}
}

func testNodesSweep(s *sharedTest) {
	const turns = 60
	for i := range turns {
		s.answer(s.message(fmt.Sprint("s", i%7), fmt.Sprint(i)))
	}
	s.pass(time.Second)
	young := s.answer(s.message("young", "young"))
	var swept atomic.Int64
	s.sideBySide(6, 6, func(i int) error {
		for {
			n, err := s.nodes[i%len(s.nodes)].Sweep(s.Context(), young.Began, 4)
			swept.Add(int64(n))
			if n == 0 || err != nil {
				return err
			}
		}
	})
	if swept.Load() != turns {
		s.Errorf("the nodes say that they swept %d turns; want %d", swept.Load(), turns)
	}
	s.on(1).wantTranscript("swept", "s1")
	s.on(2).wantTranscript("too young", "young", young)
}

func testNodesLimit(s *sharedTest) {
	const limit, hits = 100, 360
	var counts [2]sync.Map
	for k := range counts {
		key := fmt.Sprint("chat 192.0.2.", k, "\x00")
		s.sideBySide(hits, 36, func(i int) error {
			hit, err := s.nodes[i%len(s.nodes)].Take(s.Context(), key, limit, time.Hour)
			if err != nil {
				return err
			}
			if hit.Reset <= 0 || hit.Reset > time.Hour {
				s.Errorf("the window ends in %v; want more than nothing and no more than an hour", hit.Reset)
			}
			if _, twice := counts[k].LoadOrStore(hit.Count, true); twice && hit.Count <= limit {
				return fmt.Errorf("two hits have the count %d; want each once", hit.Count)
			}
			return nil
		})
		for count := 1; count <= limit+1; count++ {
			if _, ok := counts[k].Load(count); !ok {
				s.Fatalf("of %d hits none has the count %d; want each up to %d", hits, count, limit+1)
			}
		}
	}
}

func testNodesWindow(s *sharedTest) {
	take := func(node int, key string, limit int) parley.Hit {
		s.Helper()
		hit, err := s.nodes[node].Take(s.Context(), key, limit, time.Second)
		if err != nil {
			s.Fatal(err)
		}
		return hit
	}
	first := time.Now()
	for n := range 3 {
		if hit := take(n, "k", 2); hit.Count != n+1 && time.Since(first) < time.Second {
			s.Errorf("hit %d has the count %d", n+1, hit.Count)
		}
	}
	if hit := take(0, "another", 2); hit.Count != 1 {
		s.Errorf("the first hit of another key has the count %d, want 1", hit.Count)
	}
	// Hits within a window do not make it longer.
	for n := 0; ; n++ {
		hit := take(n%3, "k", 2)
		if hit.Count == 1 {
			break
		}
		if waited := time.Since(first); waited > 2500*time.Millisecond {
			s.Fatalf("after %v the count is %d; want a new window after a second", waited, hit.Count)
		}
	}
	if waited := time.Since(first); waited < 900*time.Millisecond {
		s.Errorf("a new window began after %v, want a second", waited)
	}
}

// hears listens on a node and returns what it hears, once it hears anything:
// a node may need a moment before it does.
func (s *sharedTest) hears(node int, topic string) (heard chan string, stop func()) {
	s.Helper()
	heard = make(chan string, 10_000)
	ready := make(chan bool, 1)
	stop = s.nodes[node].Listen(topic, func(note []byte) {
		if string(note) == "ready?" {
			select {
			case ready <- true:
			default:
			}
			return
		}
		heard <- string(note)
	})
	timeout := time.After(10 * time.Second)
	for {
		if err := s.nodes[node].Notify(s.Context(), topic, []byte("ready?")); err != nil {
			s.Fatalf("Notify: %v", err)
		}
		select {
		case <-ready:
			return heard, stop
		case <-time.After(100 * time.Millisecond):
		case <-timeout:
			s.Fatal("a node hears nothing of its own notes; want it to within 10 s")
		}
	}
}

func (s *sharedTest) notify(node int, topic, note string) {
	s.Helper()
	if err := s.nodes[node].Notify(s.Context(), topic, []byte(note)); err != nil {
		s.Fatalf("Notify: %v", err)
	}
}

// next returns the next note that is heard.
func (s *sharedTest) next(heard chan string) string {
	s.Helper()
	select {
	case note := <-heard:
		return note
	case <-time.After(10 * time.Second):
		s.Fatal("no note came within 10 s")
		return ""
	}
}

func testNodesNotes(s *sharedTest) {
	anything := make([]byte, 4<<10)
	for i := range anything {
		anything[i] = byte(i)
	}
	want := []string{"one", "", "two words", "'; DROP TABLE notes; --", string(anything), strings.Repeat("\xff", 4<<10), "last"}
	topic := "a-topic.1:~!/'" + strings.Repeat("x", 80)
	var heard []chan string
	for node := range s.nodes {
		h, stop := s.hears(node, topic)
		defer stop()
		heard = append(heard, h)
	}
	other, stop := s.hears(1, "other")
	defer stop()
	gone, stop := s.hears(1, topic)
	stop()
	for _, note := range want {
		s.notify(0, topic, note)
	}
	s.notify(0, "other", "another topic")
	for node, h := range heard {
		for _, note := range want {
			if got := s.next(h); got != note {
				s.Fatalf("node %d heard %s, want %s", node, text(got), text(note))
			}
		}
	}
	if got := s.next(other); got != "another topic" {
		s.Errorf("who listens to another topic heard %s", text(got))
	}
	if len(gone) > 0 {
		s.Errorf("who does not listen any more heard %s", text(<-gone))
	}
	for node, h := range heard {
		if len(h) > 0 {
			s.Errorf("node %d heard %s, too; want each note once, and of its topic", node, text(<-h))
		}
	}
	if err := s.store.(parley.SharedStore).Notify(s.Context(), "two words", nil); err == nil {
		s.Error("a topic with a space was taken, want an error")
	}
	if err := s.store.(parley.SharedStore).Notify(s.Context(), "topic", make([]byte, 4<<10+1)); err == nil {
		s.Error("a note that is too long was taken, want an error")
	}
}

func testNodesNotesFromAll(s *sharedTest) {
	const each = 100
	heard, stop := s.hears(0, "t")
	defer stop()
	s.sideBySide(len(s.nodes), len(s.nodes), func(node int) error {
		for i := range each {
			if err := s.nodes[node].Notify(s.Context(), "t", fmt.Appendf(nil, "%d %d", node, i)); err != nil {
				return err
			}
		}
		return nil
	})
	next := make([]int, len(s.nodes))
	for range each * len(s.nodes) {
		var node, i int
		note := s.next(heard)
		if _, err := fmt.Sscanf(note, "%d %d", &node, &i); err != nil {
			s.Fatalf("heard %q: %v", note, err)
		}
		if i != next[node] {
			s.Fatalf("of node %d came note %d, want note %d: each once and in order", node, i, next[node])
		}
		next[node]++
	}
}

func testNodesLeave(s *sharedTest) {
	turn := s.on(1).fresh("a message", s.message("s", "Hello"))
	heard, stop := s.hears(0, "t")
	defer stop()
	if err := s.nodes[1].Close(); err != nil {
		s.Fatalf("Close: %v", err)
	}
	if _, err := s.nodes[1].Take(s.Context(), "k", 1, time.Second); err == nil {
		s.Error("a closed store counted a hit, want an error")
	}
	if err := s.nodes[1].Notify(s.Context(), "t", nil); err == nil {
		s.Error("a closed store sent a note, want an error")
	}
	s.notify(2, "t", "still there")
	if got := s.next(heard); got != "still there" {
		s.Errorf("heard %q", got)
	}
	s.pass(turnLife + time.Second)
	s.wantTranscript("what it left", "s", turn)
	s.answer(s.message("s", "Hello")) // takes it over
}
