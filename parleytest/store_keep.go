package parleytest

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-chat/parley"
)

// The tests of what is swept, and of what is kept beside turns.

func testSweep(s *storeTest) {
	// The three begin in one order and end in another, in sessions of their own.
	one := s.fresh("a message", s.keyed("s1", "k", "one"))
	s.pass(time.Millisecond)
	two := s.fresh("a message", s.keyed("s2", "k", "two"))
	s.pass(time.Millisecond)
	middle := s.now
	three := s.fresh("a message", s.keyed("s3", "k", "three"))
	s.pass(time.Second)
	three, two, one = s.finish(three, parley.Text("3")), s.finish(two, parley.Text("2")), s.finish(one, parley.Text("1"))

	s.sweep(one.Began, 100, 0)
	s.wantTranscript("with nothing older", "s1", one)
	s.sweep(middle.Add(time.Hour), 1, 1)
	s.wantTranscript("the oldest, swept", "s1")
	s.wantTranscript("the second, past the limit", "s2", two)
	s.wantTranscript("the third, past the limit", "s3", three)
	s.sweep(middle, 100, 1)
	s.wantTranscript("the second, swept", "s2")
	s.wantTranscript("the third, not old enough", "s3", three)
	s.sweep(middle, 100, 0)
	s.same("the third, sent again", s.keyed("s3", "k", "three"), three)

	// Nodes have clocks of their own: the oldest need not have come first.
	s.pass(time.Minute)
	late := s.message("late", "late")
	young := s.answer(s.message("young", "young"))
	late.Time = s.now.Add(-time.Second)
	old := s.answer(late)
	s.wantTranscript("the older of two", "late", old)
	s.sweep(s.now, 100, 2) // the third of above, and the older one
	s.wantTranscript("the older of two, swept", "late")
	s.wantTranscript("the younger of two", "young", young)

	// What is swept is forgotten, keys and stretches included.
	again := s.fresh("a swept message, sent again", s.keyed("s1", "k", "another prompt"))
	if again.First != again.Seq {
		s.Errorf("%s; want a stretch of its own, since nothing is left of the session", record(again))
	}
	s.abandon(again)

	// The rest of a session is left as it is.
	var all []parley.Record
	for i := range 10 {
		s.pass(time.Millisecond)
		all = append(all, s.answer(s.keyed("long", fmt.Sprint("k", i), fmt.Sprint(i))))
	}
	s.sweep(all[4].Began, 100, 5) // the younger of above, and four of these
	s.wantTranscript("swept in part", "long", all[4:]...)
	s.same("what is left, sent again", s.keyed("long", "k4", "4"), all[4])
	s.fresh("what was swept, sent again", s.keyed("long", "k3", "3"))
}

func testSweepDead(s *storeTest) {
	dead := s.fresh("a message", s.message("s", "dead"))
	s.pass(time.Millisecond)
	old := s.answer(s.message("s", "old"))
	s.pass(time.Millisecond)
	running := s.fresh("a message", s.message("s", "running"))
	s.sweep(old.Began, 3, 1)
	s.wantTranscript("without the dead one", "s", old, running)
	s.wantTakenBack("a swept turn", dead)
	s.sweep(running.Began, 3, 1)
	s.wantTranscript("without the old one", "s", running)
	running = s.finish(running, parley.Text("done"))
	s.wantTranscript("finished", "s", running)
}

// A submission of each form, with every kind of value.
func submissionsOf(at time.Time) []parley.Submission {
	return []parley.Submission{
		{ID: "a", Form: "contact", Values: parley.Values{"name": "Ada", "message": "Hello\n\"Hello\""}, Time: at},
		{ID: "b", Form: "feedback", Values: parley.Values{"agree": true, "topics": []string{"one", "two"}}, Time: at},
		{ID: "c", Form: "contact", Values: parley.Values{}, Time: at.Add(-time.Hour)},
		{ID: "d", Form: "feedback", Values: parley.Values{"none": []string{}, "no": false}, Time: at.Add(time.Hour)},
	}
}

func testSubmissions(s *storeTest) {
	s.wantSubmissions("of an empty store", s.submissions("", 0, 10))
	all := submissionsOf(s.now)
	last := int64(0)
	for i := range all {
		kept := s.submit(all[i])
		if kept.Seq <= last {
			s.Errorf("submission %d has the number %d; want more than %d", i+1, kept.Seq, last)
		}
		all[i].Seq, last = kept.Seq, kept.Seq
		s.wantSubmissions("as returned", []parley.Submission{kept}, all[i])
	}
	a, b, c, d := all[0], all[1], all[2], all[3]

	again := s.submit(parley.Submission{ID: "a", Form: "feedback", Values: parley.Values{"name": "Eve"}, Time: s.now})
	s.wantSubmissions("submitted with an ID that is there", []parley.Submission{again}, a)

	s.sweep(s.now.Add(24*time.Hour), 100, 0)
	for _, test := range []struct {
		form  string
		after int64
		limit int
		want  []parley.Submission
	}{
		{"", 0, 10, all},
		{"", 0, 4, all},
		{"", 0, 2, all[:2]},
		{"", a.Seq, 10, all[1:]},
		{"", b.Seq, 1, all[2:3]},
		{"", d.Seq, 10, nil},
		{"", -1, 10, all},
		{"contact", 0, 10, []parley.Submission{a, c}},
		{"contact", 0, 1, []parley.Submission{a}},
		{"contact", a.Seq, 10, []parley.Submission{c}},
		{"feedback", 0, 10, []parley.Submission{b, d}},
		{"feedback", d.Seq, 10, nil},
		{"Contact", 0, 10, nil},
		{"unknown", 0, 10, nil},
	} {
		s.wantSubmissions(fmt.Sprintf("of %q after %d, up to %d", test.form, test.after, test.limit),
			s.submissions(test.form, test.after, test.limit), test.want...)
	}
}

func (s *storeTest) wantSubmissions(what string, got []parley.Submission, want ...parley.Submission) {
	s.Helper()
	if !slices.EqualFunc(got, want, sameSubmission) {
		s.Errorf("the submissions %s are\n%+v\nwant\n%+v", what, got, want)
	}
}

func sameSubmission(a, b parley.Submission) bool {
	same := a.Time.Equal(b.Time) && reflect.DeepEqual(a.Values, b.Values)
	a.Time, a.Values, b.Time, b.Values = time.Time{}, nil, time.Time{}, nil
	return same && reflect.DeepEqual(a, b)
}

// testSubmissionsSideBySide has a reader follow what others submit: nothing may
// appear behind its back.
func testSubmissionsSideBySide(s *storeTest) {
	const goroutines, each = 16, 25
	var submitting sync.WaitGroup
	submitting.Add(goroutines)
	var followed []string
	var mu sync.Mutex
	numbers := map[string]int64{} // by ID
	s.sideBySide(goroutines+1, goroutines+1, func(g int) (err error) {
		if g == goroutines {
			followed, err = s.follow(&submitting)
			return err
		}
		defer submitting.Done()
		for i := range each {
			id := fmt.Sprintf("%d of %d", i, g/2) // two goroutines submit it
			kept, err := s.store.Submit(s.Context(), parley.Submission{ID: id, Form: "f", Values: parley.Values{"by": fmt.Sprint(g)}, Time: s.now})
			if err != nil {
				return err
			}
			mu.Lock()
			if seq, ok := numbers[id]; ok && seq != kept.Seq {
				err = fmt.Errorf("submission %q has the number %d, and %d when it is submitted again", id, seq, kept.Seq)
			}
			numbers[id] = kept.Seq
			mu.Unlock()
			if err != nil {
				return err
			}
		}
		return nil
	})

	want := slices.SortedFunc(maps.Keys(numbers), func(a, b string) int { return cmp.Compare(numbers[a], numbers[b]) })
	if !slices.Equal(followed, want) {
		s.Errorf("a reader that followed the submissions saw %d of them, in this order:\n%q\nwant all %d, by their numbers:\n%q", len(followed), followed, len(want), want)
	}
}

// follow reads submissions as they come, and returns their IDs once it has seen
// everything that was there when nobody was submitting any more.
func (s *storeTest) follow(submitting *sync.WaitGroup) (ids []string, err error) {
	var ended atomic.Bool
	go func() {
		submitting.Wait()
		ended.Store(true)
	}()
	for last := int64(0); ; {
		over := ended.Load()
		found, err := s.store.Submissions(s.Context(), "", last, 7)
		if err != nil {
			return ids, fmt.Errorf("read what came after submission %d: %w", last, err)
		}
		for _, f := range found {
			ids, last = append(ids, f.ID), f.Seq
		}
		if over && len(found) == 0 {
			return ids, nil
		}
	}
}

func testSecrets(s *storeTest) {
	const names, each = 10, 20
	var mu sync.Mutex
	secrets := map[string]string{}
	s.sideBySide(names*each, 64, func(i int) error {
		name := fmt.Sprint("name ", i%names)
		secret, err := s.store.Secret(s.Context(), name)
		if err != nil {
			return err
		}
		if len(secret) != 32 {
			return fmt.Errorf("Secret(%q) is %d bytes long; want 32", name, len(secret))
		}
		mu.Lock()
		defer mu.Unlock()
		if before, ok := secrets[name]; ok && before != string(secret) {
			return fmt.Errorf("Secret(%q) returned two secrets; want one", name)
		}
		secrets[name] = string(secret)
		clear(secret) // it is the caller's own
		return nil
	})
	different := map[string]bool{}
	for name, secret := range secrets {
		different[secret] = true
		if got := s.secret(name); got != secret {
			s.Errorf("Secret(%q) returned %x, and later %x", name, secret, got)
		}
	}
	if len(different) != names {
		s.Errorf("%d names have %d different secrets; want one each", names, len(different))
	}
}
