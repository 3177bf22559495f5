package parleytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/parley-chat/parley"
)

// The tests of what becomes of one turn, and of the turns of a session.

func testTurn(s *storeTest) {
	first := s.fresh("the first message", s.keyed("s", "k", "Hello"))
	want := parley.Record{Session: "s", Seq: 1, First: 1, Key: "k", Prompt: "Hello", Began: s.now}
	s.wantRecords("begun", []parley.Record{first}, want)
	s.wantTranscript("while the turn runs", "s", want)

	s.pass(time.Second)
	want = s.finish(first, parley.Text("Hi"))
	s.wantTranscript("once it is finished", "s", want)

	s.pass(time.Second)
	s.finish(first, parley.Text("Something else"))
	s.wantTranscript("finished a second time", "s", want)

	s.wantTakenBack("a turn that never was", parley.Record{Session: "s", Seq: 2, Began: time.Now()})
	s.wantTakenBack("a turn of an unknown session", parley.Record{Session: "nobody", Seq: 1, Began: time.Now()})
	s.wantTranscript("after that", "s", want)
	s.wantTranscript("after that", "nobody")
}

// wantTakenBack finishes a turn that is not there, or not any more.
func (s *storeTest) wantTakenBack(what string, r parley.Record) {
	s.Helper()
	if err := s.store.Finish(s.Context(), r, parley.Text("late"), s.now); !errors.Is(err, parley.ErrTakenBack) {
		s.Errorf("finishing %s returned %v; want parley.ErrTakenBack, since its reply is not kept", what, err)
	}
}

// testTimes begins and ends a turn between two milliseconds.
func testTimes(s *storeTest) {
	s.now = s.now.In(time.FixedZone("far away", -11*60*60))
	s.pass(123_456 * time.Nanosecond)
	began := s.now
	m := s.keyed("s", "k", "Hello")
	begun := s.begin(m)
	s.pass(time.Second + 765_432*time.Nanosecond)
	ended := s.now
	s.finish(begun.Record, parley.Text("Hi"))
	near := func(got, want time.Time) bool { return got.Sub(want).Abs() < time.Millisecond }
	if !near(begun.Began, began) {
		s.Errorf("Begin returned a turn that began at %v; want %v, to the millisecond", begun.Began, began)
	}
	for _, r := range append(s.transcript("s"), s.begin(m).Record) {
		if !r.Began.Equal(begun.Began) {
			s.Errorf("the turn began at %v; want %v, the same from Begin on", r.Began, begun.Began)
		}
		if !near(r.Ended, ended) {
			s.Errorf("the turn ended at %v; want %v, to the millisecond", r.Ended, ended)
		}
	}
}

// wireReplies are replies of every kind, in the wire format.
var wireReplies = []string{
	`{"output":"Hello"}`,
	`{"output":"<b>&amp;</b> https://example.com/?a=1&b=2"}`,
	`{"content":"Read","content_type":"article","content_attributes":{"items":[{"title":"T","description":"D","link":"/a?b=1&c=2"}]}}`,
	`{"content":"Buy","content_type":"card","content_attributes":{"cards":{"title":"C","cards":[{"title":"T","description":"D","image":"/i.png","price":"€ 5"}]}}}`,
	`{"content":"Fill in","content_type":"form","content_attributes":{"form":{"title":"F","submitUrl":"/forms/f","fields":[{"id":"a","type":"select","label":"A","required":true,"options":[{"value":"1","label":"One"}],"validation":{"pattern":"^\\d+$","message":"M"}}]}}}`,
	`{"content":"Choose","content_type":"quick_reply","content_attributes":{"responses":{"responses":[{"id":"y","text":"Yes","value":"yes"}]}}}`,
	`{"content":"Choose","content_type":"canned_response","content_attributes":{"responses":{"responses":[{"id":"y","text":"Yes"}]}}}`,
	`{"content":"Hm","content_type":"of_tomorrow","content_attributes":{"x":[1,2.5,null,{"y":"z"}]}}`,
}

func testReplies(s *storeTest) {
	var want []parley.Record
	for _, wire := range wireReplies {
		var reply parley.Reply
		if err := json.Unmarshal([]byte(wire), &reply); err != nil {
			s.Fatal(err)
		}
		r := s.fresh("a message", s.message("s", wire))
		want = append(want, s.finish(r, reply))
	}
	s.wantTranscript("a turn of each kind", "s", want...)
	for _, r := range want {
		s.same("sent again", s.message("s", r.Prompt), r)
	}
}

func testAbandon(s *storeTest) {
	first := s.fresh("the first message", s.keyed("s", "k", "one"))
	s.abandon(first)
	s.wantTranscript("abandoned", "s")
	s.abandon(first)
	if err := s.store.Abandon(s.Context(), parley.Record{Session: "nobody", Seq: 7, Began: time.Now()}); err != nil {
		s.Errorf("abandoning an unknown turn: %v; want nil", err)
	}

	again := s.answer(s.keyed("s", "k", "another")) // the key is free
	s.abandon(again)
	s.wantTranscript("abandoned once it is finished", "s", again)

	two := s.fresh("a twin of nobody", s.message("s", "two"))
	three := s.fresh("the turn after it", s.message("s", "three"))
	s.abandon(two)
	s.wantTranscript("abandoned with a turn behind it", "s", again, three)
	two = s.fresh("sent again once it is abandoned", s.message("s", "two"))
	if two.Seq <= three.Seq {
		s.Errorf("a turn begun after turn %d has the number %d; want a higher one", three.Seq, two.Seq)
	}
	s.wantTranscript("begun again", "s", again, three, two)
}

// testTakenBack has a turn come back after its number went to another: its node
// was away for so long that others took it for dead.
func testTakenBack(s *storeTest) {
	late := s.fresh("a message", s.message("s", "late"))
	s.abandon(late)
	s.pass(time.Second)
	other := s.fresh("another message", s.message("s", "other"))
	late.Seq = other.Seq // in a store that gives every number once
	s.wantTakenBack("a turn that was taken back", late)
	s.abandon(late)
	s.wantTranscript("after the one that was taken back", "s", other)
	other = s.finish(other, parley.Text("done"))
	s.wantTakenBack("a turn that was taken back, whose number is that of a finished one", late)
	s.wantTranscript("after both", "s", other)
}

func testBehind(s *storeTest) {
	behind := func(what string, begun parley.Begun, want int) {
		s.Helper()
		if begun.Behind != want {
			s.Errorf("%s: turn %d is behind turn %d; want %d", what, begun.Seq, begun.Behind, want)
		}
	}
	first := s.begin(s.message("s", "first"))
	behind("the first turn", first, 0)
	s.pass(time.Millisecond)
	second := s.begin(s.message("s", "second"))
	behind("with one that runs", second, first.Seq)
	s.finish(second.Record, parley.Text("done"))
	s.pass(time.Millisecond)
	third := s.begin(s.message("s", "third"))
	behind("with one that runs before one that is finished", third, first.Seq)
	s.pass(time.Millisecond)
	behind("with two that run", s.begin(s.message("s", "fourth")), third.Seq)
	behind("in another session", s.begin(s.message("other", "first")), 0)
	s.pass(turnLife + time.Second)
	behind("with none but dead ones", s.begin(s.message("s", "fifth")), 0)
}

func testOrder(s *storeTest) {
	one := s.fresh("a message", s.message("s", "one"))
	s.pass(time.Millisecond)
	two := s.fresh("a message", s.message("s", "two"))
	other := s.fresh("a message of another session", s.message("other", "two"))
	s.pass(time.Millisecond)
	three := s.fresh("a message", s.message("s", "three"))
	for i, r := range []parley.Record{one, two, three} {
		if r.Seq != i+1 {
			s.Errorf("message %d has the number %d; want %d", i+1, r.Seq, i+1)
		}
	}
	if other.Seq != 1 {
		s.Errorf("the first message of another session has the number %d; want 1", other.Seq)
	}
	// They end in another order than they began in.
	s.pass(time.Millisecond)
	three = s.finish(three, parley.Text("3"))
	s.wantTranscript("with one finished", "s", one, two, three)
	s.pass(time.Millisecond)
	one = s.finish(one, parley.Text("1"))
	s.pass(time.Millisecond)
	two = s.finish(two, parley.Text("2"))
	s.wantTranscript("with all finished", "s", one, two, three)
	four := s.answer(s.message("s", "four"))
	s.wantTranscript("with one more", "s", one, two, three, four)
	s.wantTranscript("of the other session", "other", other)
}

func testUnknownSession(s *storeTest) {
	s.wantTranscript("of an unknown session", "nobody")
	s.answer(s.message("s", "Hello"))
	s.wantTranscript("of an unknown session", "nobody")
	s.wantTranscript("of one with a longer name", "ss")
	s.wantTranscript("of one with another case", "S")
}

func testPages(s *storeTest) {
	const turns = 25
	var all []parley.Record
	for i := range turns - 1 {
		all = append(all, s.answer(s.message("s", fmt.Sprint("prompt ", i))))
		s.answer(s.message("other", fmt.Sprint("prompt ", i)))
	}
	all = append(all, s.fresh("the last message", s.message("s", "running")))
	for _, test := range []struct {
		from, before, limit int
		first, last         int // the numbers wanted
	}{
		{0, 0, 100, 1, 25},
		{0, 0, 25, 1, 25},
		{0, 0, 24, 2, 25},
		{0, 0, 1, 25, 25},
		{1, 0, 100, 1, 25},
		{25, 0, 100, 25, 25},
		{26, 0, 100, 1, 0},
		{10, 0, 100, 10, 25},
		{10, 0, 3, 23, 25},
		{0, 10, 100, 1, 9},
		{0, 10, 3, 7, 9},
		{0, 1, 100, 1, 0},
		{0, 26, 2, 24, 25},
		{0, 1000, 2, 24, 25},
		{5, 10, 100, 5, 9},
		{5, 10, 2, 8, 9},
		{5, 6, 1, 5, 5},
		{25, 26, 1, 25, 25},
		{5, 5, 100, 1, 0},
		{10, 5, 100, 1, 0},
	} {
		page := parley.Page{Session: "s", From: test.from, Before: test.before, Limit: test.limit}
		s.wantRecords(fmt.Sprintf("%+v", page), s.page(page), all[test.first-1:test.last]...)
	}
}

func testStretches(s *storeTest) {
	stretch := func(what string, r parley.Record, first int) {
		s.Helper()
		if r.First != first {
			s.Errorf("%s: turn %d belongs to stretch %d; want %d", what, r.Seq, r.First, first)
		}
	}
	stretch("the first turn", s.answer(s.message("s", "one")), 1)
	s.pass(time.Minute)
	two := s.fresh("a message", s.message("s", "two"))
	s.pass(30 * time.Second)
	two = s.finish(two, parley.Text("2"))
	stretch("a turn soon after", two, 1)

	s.pass(sessionLife)
	stretch("a turn exactly so long after the end", s.answer(s.message("s", "three")), 1)
	s.pass(sessionLife + time.Millisecond)
	stretch("a turn after a rest", s.answer(s.message("s", "four")), 4)
	s.pass(time.Minute)
	stretch("the turn after that", s.answer(s.message("s", "five")), 4)

	s.pass(sessionLife + time.Millisecond)
	six := s.fresh("a message", s.message("s", "six"))
	stretch("a turn after a rest", six, 6)
	s.pass(time.Second)
	seven := s.fresh("a message", s.message("s", "seven"))
	stretch("a turn while another runs", seven, 6)
	s.abandon(seven)
	s.pass(sessionLife)
	late := s.fresh("a message", s.message("s", "late"))
	stretch("a turn long after one that runs began", late, late.Seq)
	s.abandon(late)
	s.finish(six, parley.Text("6"))
	stretch("a turn soon after a long one", s.answer(s.message("s", "eight")), 6)

	m := s.message("s", "forgetful")
	m.RestSince = m.Time.Add(time.Millisecond)
	forgetful := s.answer(m)
	stretch("a turn of a session that remembers nothing", forgetful, forgetful.Seq)
	if all := s.transcript("s"); len(all) > 0 {
		last := all[len(all)-1]
		stretch("the same, read", last, last.Seq)
	}
}
