package parleytest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-chat/parley"
)

// The tests of what happens side by side, and of calls that are called off.

func testOneSession(s *storeTest) {
	const goroutines, turns = 32, 20
	s.sideBySide(goroutines, goroutines, func(g int) error {
		for i := range turns {
			if err := s.tryAnswer(s.message("s", fmt.Sprintf("prompt %d of %d", i, g))); err != nil {
				return err
			}
			page, err := s.store.Transcript(s.Context(), parley.Page{Session: "s", Limit: 10})
			if err != nil {
				return err
			}
			if !slices.IsSortedFunc(page, func(a, b parley.Record) int { return cmp.Compare(a.Seq, b.Seq+1) }) {
				return fmt.Errorf("while others write, a page is\n%s\nwant each turn once, in ascending order", records(page))
			}
		}
		return nil
	})
	all := s.transcript("s")
	if len(all) != goroutines*turns {
		s.Fatalf("%d goroutines had %d turns each; the transcript has %d, want %d", goroutines, turns, len(all), goroutines*turns)
	}
	prompts := map[string]int{}
	for i, r := range all {
		if r.Seq != i+1 {
			s.Fatalf("turn %d of the transcript has the number %d; want no gap and no double", i+1, r.Seq)
		}
		if r.Reply == nil || r.Reply.Text != "You said: "+r.Prompt {
			s.Errorf("%s; want the reply to its prompt", record(r))
		}
		prompts[r.Prompt]++
	}
	if len(prompts) != len(all) {
		s.Errorf("the transcript has %d different prompts; want %d", len(prompts), len(all))
	}
}

// tryAnswer begins and finishes a turn that must be a new one.
func (s *storeTest) tryAnswer(m parley.NewTurn) error {
	begun, err := s.store.Begin(s.Context(), m)
	if err != nil {
		return fmt.Errorf("Begin(%s): %w", message(m), err)
	}
	if !begun.Fresh {
		return fmt.Errorf("Begin(%s) found %s; want a fresh turn", message(m), record(begun.Record))
	}
	if err := s.store.Finish(s.Context(), begun.Record, parley.Text("You said: "+m.Prompt), s.now); err != nil {
		return fmt.Errorf("Finish(%s): %w", record(begun.Record), err)
	}
	return nil
}

func testFirstMessage(s *storeTest) {
	const sessions, messages = 20, 100
	for i := range sessions {
		m := s.message(fmt.Sprint("session ", i), "Hello")
		if i%2 == 1 {
			m.Key = "k"
		}
		var fresh atomic.Int64
		s.sideBySide(messages, messages, func(int) error {
			begun, err := s.store.Begin(s.Context(), m)
			if begun.Fresh {
				fresh.Add(1)
			}
			if err == nil && begun.Seq != 1 {
				err = fmt.Errorf("Begin(%s) returned turn %d; want 1, the same for all", message(m), begun.Seq)
			}
			return err
		})
		if n := fresh.Load(); n != 1 {
			s.Fatalf("the same message came %d times side by side, and %d of them began a turn; want 1", messages, n)
		}
	}
}

func testFinishRace(s *storeTest) {
	const turns, replies = 20, 8
	for i := range turns {
		r := s.fresh("a message", s.message("s", fmt.Sprint("prompt ", i)))
		first := make(chan string, 1) // a reply that was there when Finish returned
		s.sideBySide(replies, replies, func(n int) error {
			if err := s.store.Finish(s.Context(), r, parley.Text(fmt.Sprint("reply ", n)), s.now); err != nil {
				return err
			}
			all, err := s.store.Transcript(s.Context(), parley.Page{Session: "s", From: r.Seq, Limit: 1})
			if err != nil {
				return err
			}
			if len(all) != 1 || all[0].Reply == nil {
				return fmt.Errorf("the turn runs on after Finish returned:\n%s", records(all))
			}
			select {
			case first <- all[0].Reply.Text:
			default:
			}
			return nil
		})
		all := s.transcript("s")
		if got, want := all[len(all)-1].Reply.Text, <-first; got != want {
			s.Errorf("turn %d was finished with %q, and later it was %q", r.Seq, want, got)
		}
	}
}

// testAbandonRace finishes turns and takes them back at once. One of the two
// comes too late, and who finished a turn knows which.
func testAbandonRace(s *storeTest) {
	const turns = 100
	var begun [turns]parley.Record
	for i := range begun {
		begun[i] = s.fresh("a message", s.message("s", fmt.Sprint("prompt ", i)))
	}
	var finished [turns]bool
	s.sideBySide(2*turns, 16, func(n int) error {
		r := begun[n/2]
		// Which of the two comes first is up to chance, whoever is started first.
		if (n+n/2)%2 == 0 {
			return s.store.Abandon(s.Context(), r)
		}
		finished[n/2] = s.store.Finish(s.Context(), r, parley.Text("done"), s.now) == nil
		return nil
	})
	var want []parley.Record
	for i, r := range begun {
		if finished[i] {
			r.Reply, r.Ended = &parley.Reply{Text: "done"}, s.now
			want = append(want, r)
		}
	}
	s.wantTranscript("of what was finished", "s", want...)
}

func testLongSession(s *storeTest) {
	rounds, turns := 10, 500
	if testing.Short() {
		turns = 50
	}
	for i := range rounds {
		var begun []parley.Record
		for n := range turns {
			begun = append(begun, s.fresh("a message", s.message("s", fmt.Sprint("prompt ", i*turns+n+1))))
		}
		s.sideBySide(turns, 64, func(n int) error {
			return s.store.Finish(s.Context(), begun[n], parley.Text("reply to "+begun[n].Prompt), s.now)
		})
		s.pass(time.Minute)
	}
	total := rounds * turns
	next := 1
	for next <= total {
		page := parley.Page{Session: "s", From: next, Before: next + 777, Limit: 1000}
		records := s.page(page)
		if len(records) == 0 {
			s.Fatalf("%+v is empty; want turns up to %d", page, total)
		}
		for _, r := range records {
			prompt := fmt.Sprint("prompt ", next)
			if r.Seq != next || r.Prompt != prompt || r.Reply == nil || r.Reply.Text != "reply to "+prompt {
				s.Fatalf("%s; want turn %d with its prompt and reply", record(r), next)
			}
			next++
		}
	}
	if r := s.answer(s.message("s", "the last")); r.Seq != total+1 || r.First != 1 {
		s.Errorf("the turn after %d is turn %d of stretch %d; want turn %d of stretch 1", total, r.Seq, r.First, total+1)
	}
	if newest := s.page(parley.Page{Session: "s", Limit: 20}); len(newest) != 20 || newest[19].Prompt != "the last" {
		s.Errorf("the newest page has %d turns; want 20, the last of which came last", len(newest))
	}
}

func testCancelled(s *storeTest) {
	running := s.fresh("a message", s.message("s", "running"))
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	s.wantRefused(ctx, running, "with a context that has ended")
	s.wantTranscript("after calls that were refused", "s", running)
	if found := s.submissions("", 0, 10); len(found) > 0 {
		s.Errorf("after a Submit that was refused there are %+v; want none", found)
	}
	running = s.finish(running, parley.Text("Hi"))
	s.wantTranscript("finished after all", "s", running)
}

// wantRefused calls every method but Close, and wants an error of each.
func (s *storeTest) wantRefused(ctx context.Context, running parley.Record, why string) {
	s.Helper()
	for method, call := range map[string]func() error{
		"Begin": func() error {
			_, err := s.store.Begin(ctx, s.message("s", "Hello"))
			return err
		},
		"Finish":  func() error { return s.store.Finish(ctx, running, parley.Text("Hi"), s.now) },
		"Abandon": func() error { return s.store.Abandon(ctx, running) },
		"Transcript": func() error {
			_, err := s.store.Transcript(ctx, parley.Page{Session: "s", Limit: 1})
			return err
		},
		"Submit": func() error {
			_, err := s.store.Submit(ctx, parley.Submission{ID: "id", Form: "contact", Time: s.now})
			return err
		},
		"Submissions": func() error {
			_, err := s.store.Submissions(ctx, "", 0, 1)
			return err
		},
		"Secret": func() error {
			_, err := s.store.Secret(ctx, "name")
			return err
		},
		"Sweep": func() error {
			_, err := s.store.Sweep(ctx, s.now, 1)
			return err
		},
	} {
		if call() == nil {
			s.Errorf("%s %s returned no error", method, why)
		}
	}
}

// testCancelledOnTheWay ends contexts while calls are under way. Each change
// has happened or it has not, and asking again is safe.
func testCancelledOnTheWay(s *storeTest) {
	const turns = 200
	s.sideBySide(turns, 16, func(i int) error {
		ctx, cancel := context.WithTimeout(s.Context(), time.Duration(i)*time.Microsecond)
		defer cancel()
		m := s.keyed("begun", fmt.Sprint("k", i), "Hello")
		first, err := s.store.Begin(ctx, m)
		if err != nil && ctx.Err() == nil {
			return err
		}
		again, againErr := s.store.Begin(s.Context(), m)
		if againErr == nil && err == nil && (again.Fresh || again.Seq != first.Seq) {
			return fmt.Errorf("the message began %s, and again %s, fresh: %v; want the same turn", record(first.Record), record(again.Record), again.Fresh)
		}
		return againErr
	})
	if n := len(s.transcript("begun")); n != turns {
		s.Errorf("%d turns were begun, and the transcript has %d; want all, once", turns, n)
	}

	var begun [turns]parley.Record
	for i := range begun {
		begun[i] = s.fresh("a message", s.message("s", fmt.Sprint("prompt ", i)))
	}
	var returned [turns]error
	s.sideBySide(turns, 16, func(i int) error {
		ctx, cancel := context.WithTimeout(s.Context(), time.Duration(i)*10*time.Microsecond)
		defer cancel()
		returned[i] = s.store.Finish(ctx, begun[i], parley.Text("early"), s.now)
		if returned[i] != nil && ctx.Err() == nil {
			return returned[i]
		}
		return nil
	})
	for i, r := range s.transcript("s") {
		if early := r.Reply != nil && r.Reply.Text == "early"; returned[i] == nil && !early {
			s.Errorf("%s; want it finished, as Finish said", record(r))
		}
	}
	s.sideBySide(turns, 16, func(i int) error {
		return s.store.Finish(s.Context(), begun[i], parley.Text("late"), s.now)
	})
	all := s.transcript("s")
	if len(all) != turns {
		s.Fatalf("the transcript has %d turns; want %d", len(all), turns)
	}
	for i, r := range all {
		switch {
		case r.Seq != begun[i].Seq || r.Prompt != begun[i].Prompt || r.Reply == nil:
			s.Errorf("%s; want turn %d, finished", record(r), begun[i].Seq)
		case r.Reply.Text == "early" || r.Reply.Text == "late" && returned[i] != nil:
		default:
			s.Errorf("%s, where the first Finish returned %v", record(r), returned[i])
		}
	}
}

func testClosed(s *storeTest) {
	running := s.fresh("a message", s.message("s", "running"))
	for range 2 {
		if err := s.store.Close(); err != nil {
			s.Errorf("Close: %v", err)
		}
	}
	s.wantRefused(s.Context(), running, "of a closed store")
}
