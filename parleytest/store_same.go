package parleytest

import (
	"time"

	"github.com/parley-chat/parley"
)

// The tests of what is the same message sent again.

func testKeys(s *storeTest) {
	one := s.fresh("a message", s.keyed("s", "k", "Hello"))
	s.same("while it runs", s.keyed("s", "k", "Hello"), one)
	s.reused("while it runs, another prompt", s.keyed("s", "k", "Goodbye"))
	s.fresh("the key in another session", s.keyed("other", "k", "Goodbye"))
	two := s.fresh("another key", s.keyed("s", "K", "Hello"))
	three := s.fresh("no key", s.message("s", "Hello"))

	s.pass(time.Second)
	one = s.finish(one, parley.Text("Hi"))
	s.same("once it is finished", s.keyed("s", "k", "Hello"), one)
	s.reused("once it is finished, another prompt", s.keyed("s", "k", "Goodbye"))
	s.same("the other key", s.keyed("s", "K", "Hello"), two)
	s.same("no key, again", s.message("s", "Hello"), three)

	s.finish(two, parley.Text("Hi"))
	s.finish(three, parley.Text("Hi"))
	s.pass(time.Hour)
	four := s.answer(s.message("s", "four"))
	s.same("much later", s.keyed("s", "k", "Hello"), one)
	s.reused("much later, another prompt", s.keyed("s", "k", "Goodbye"))
	s.fresh("a key with the prompt of a finished turn without", s.keyed("s", "k4", four.Prompt))
	s.fresh("no key, with the prompt of a finished turn with one", s.message("s", "Hello"))
}

func testOldKeys(s *storeTest) {
	one := s.fresh("a message", s.keyed("s", "k", "Hello"))
	s.pass(time.Minute)
	one = s.finish(one, parley.Text("Hi"))
	s.pass(keyLife - time.Minute)
	s.same("as old as a key may be", s.keyed("s", "k", "Hello"), one)
	s.reused("as old as a key may be, another prompt", s.keyed("s", "k", "Goodbye"))
	s.pass(time.Millisecond)
	two := s.fresh("an old key", s.keyed("s", "k", "Goodbye"))
	s.same("the key again, while it runs", s.keyed("s", "k", "Goodbye"), two)
	s.reused("the key again, with the old prompt", s.keyed("s", "k", "Hello"))
	two = s.finish(two, parley.Text("Bye"))
	s.same("the key again", s.keyed("s", "k", "Goodbye"), two)
	s.reused("the key again, with the old prompt", s.keyed("s", "k", "Hello"))
	s.wantTranscript("with a key used twice", "s", one, two)

	m := s.keyed("s", "k", "Hello")
	m.KeysSince = m.Time.Add(time.Millisecond)
	s.fresh("a key of which nothing is remembered", m)
}

func testTwins(s *storeTest) {
	one := s.fresh("a message", s.message("s", "Hello"))
	s.pass(30 * time.Second)
	s.same("while it runs", s.message("s", "Hello"), one)
	two := s.fresh("another prompt", s.message("s", "Goodbye"))
	s.same("while it runs, after another prompt", s.message("s", "Hello"), one)
	s.fresh("the prompt in another session", s.message("other", "Hello"))

	one = s.finish(one, parley.Text("Hi"))
	s.same("right after its end", s.message("s", "Hello"), one)
	s.finish(two, parley.Text("Bye"))
	s.same("after another turn's end", s.message("s", "Hello"), one)
	s.pass(twinWindow)
	s.same("as long after its end as may be", s.message("s", "Hello"), one)
	s.pass(time.Millisecond)
	three := s.fresh("too long after its end", s.message("s", "Hello"))
	s.same("the next, while it runs", s.message("s", "Hello"), three)
	s.pass(time.Second)
	three = s.finish(three, parley.Text("Hello again"))
	s.same("the next, right after its end", s.message("s", "Hello"), three)
	s.fresh("the prompt in another case", s.message("s", "hello"))

	s.pass(time.Hour)
	slow := s.fresh("a message", s.message("s", "slow"))
	s.pass(time.Second)
	s.answer(s.message("s", "quick"))
	s.pass(time.Minute)
	s.same("while it runs, long after a later turn's end", s.message("s", "slow"), slow)
	for range 50 {
		s.answer(s.keyed("s", s.now.String(), "many more"))
		s.pass(time.Millisecond)
	}
	s.same("while it runs, many turns later", s.message("s", "slow"), slow)
	slow = s.finish(slow, parley.Text("done"))
	for range 50 {
		s.answer(s.keyed("s", s.now.String(), "many more"))
		s.pass(time.Millisecond)
	}
	s.same("soon after its end, many turns later", s.message("s", "slow"), slow)

	m := s.message("s", "slow")
	m.TwinsSince = m.Time.Add(time.Millisecond)
	s.fresh("the same prompt where nothing is a twin", m)
}

func testDead(s *storeTest) {
	for _, key := range []string{"", "k"} {
		session := "s" + key
		before := s.answer(s.message(session, "before"))
		died := s.fresh("a message", s.keyed(session, key, "Hello"))
		s.pass(turnLife)
		s.same("as long as a turn may run", s.keyed(session, key, "Hello"), died)
		s.wantTranscript("as long as a turn may run", session, before, died)
		s.pass(time.Millisecond)
		again := s.fresh("longer than a turn may run", s.keyed(session, key, "Hello"))
		s.wantTranscript("taken back", session, before, again)
		s.same("the new turn", s.keyed(session, key, "Hello"), again)
		s.pass(time.Second)
		again = s.finish(again, parley.Text("Hi"))
		s.wantTranscript("finished", session, before, again)
		s.pass(time.Second)
		s.same("the new turn, finished", s.keyed(session, key, "Hello"), again)
	}

	// What is finished does not die.
	done := s.answer(s.keyed("done", "k", "Hello"))
	s.pass(turnLife + time.Second)
	s.same("finished long ago", s.keyed("done", "k", "Hello"), done)

	// The dead lie behind the living, too.
	died := s.fresh("a message", s.message("d", "Hello"))
	s.pass(turnLife + time.Second)
	newer := s.answer(s.message("d", "newer"))
	again := s.fresh("longer than a turn may run, behind another", s.message("d", "Hello"))
	s.wantTranscript("taken back from behind another", "d", newer, again)
	if again.Seq == died.Seq {
		s.Errorf("the new turn has the number %d, which is before that of the turn in between", again.Seq)
	}
}
