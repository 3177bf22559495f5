package ledger_test

import (
	"testing"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/proof/ledger"
)

// TestCompare shows each kind of wrong to the ledger, and what is right.
func TestCompare(t *testing.T) {
	// One client told "one" and then "two" to session a, and was answered both
	// times; "three" went unanswered. Another said "alone" without a session.
	const one, two, three, alone = "one", "two", "three", "alone"
	tests := []struct {
		name   string
		stored []parley.Record
		want   ledger.Verdict
		right  bool
	}{
		{"all that was acknowledged", []parley.Record{
			record("A", 1, one), record("A", 2, two), record("B", 1, alone),
		}, ledger.Verdict{Acked: 3, Stored: 3}, true},
		{"an unacknowledged one too", []parley.Record{
			record("A", 1, one), record("A", 2, two), record("A", 3, three), record("B", 1, alone),
		}, ledger.Verdict{Acked: 3, Stored: 4}, true},
		{"a turn that died", []parley.Record{
			record("A", 1, one), record("A", 2, two), {Session: "A", Seq: 3, Prompt: three}, record("B", 1, alone),
		}, ledger.Verdict{Acked: 3, Stored: 3}, true},
		{"an empty store", nil, ledger.Verdict{Acked: 3, Lost: 3}, false},
		{"an acknowledged one without its reply", []parley.Record{
			record("A", 1, one), {Session: "A", Seq: 2, Prompt: two}, record("B", 1, alone),
		}, ledger.Verdict{Acked: 3, Stored: 2, Lost: 1}, false},
		{"an acknowledged one twice", []parley.Record{
			record("A", 1, one), record("A", 2, two), record("A", 3, two), record("B", 1, alone),
		}, ledger.Verdict{Acked: 3, Stored: 4, Doubled: 1}, false},
		{"an unacknowledged one twice", []parley.Record{
			record("A", 1, one), record("A", 2, two), record("A", 3, three), record("A", 4, three), record("B", 1, alone),
		}, ledger.Verdict{Acked: 3, Stored: 5, Doubled: 1}, false},
		{"the second before the first", []parley.Record{
			record("A", 1, two), record("A", 2, one), record("B", 1, alone),
		}, ledger.Verdict{Acked: 3, Stored: 3, Reordered: 1}, false},
		{"an unacknowledged one before those that came earlier", []parley.Record{
			record("A", 1, three), record("A", 2, one), record("A", 3, two), record("B", 1, alone),
		}, ledger.Verdict{Acked: 3, Stored: 4, Reordered: 2}, false},
		{"another reply", []parley.Record{
			record("A", 1, one), {Session: "A", Seq: 2, Prompt: two, Reply: &parley.Reply{Text: "to something else"}}, record("B", 1, alone),
		}, ledger.Verdict{Acked: 3, Stored: 3, Altered: 1}, false},
		{"a prompt that nobody sent", []parley.Record{
			record("A", 1, one), record("A", 2, two), record("A", 3, "four"), record("B", 1, alone),
		}, ledger.Verdict{Acked: 3, Stored: 4, Strayed: 1}, false},
		{"a conversation torn apart", []parley.Record{
			record("A", 1, one), record("B", 1, alone), record("C", 1, two),
		}, ledger.Verdict{Acked: 3, Stored: 3, Strayed: 1}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := ledger.New()
			for _, m := range []ledger.Message{{Session: "a", Prompt: one}, {Session: "a", Prompt: two}, {Prompt: alone}} {
				l.Sent(m)
				l.Acked(m, []byte(`{"output":"to <`+m.Prompt+`>"}`+"\n"))
			}
			l.Sent(ledger.Message{Session: "a", Prompt: three})
			got := l.Compare(test.stored)
			if got.String() != test.want.String() {
				t.Errorf("the verdict is\n%v; want\n%v", got, test.want)
			}
			if right := got.Err() == nil; right != test.right {
				t.Errorf("Err returned %v; want an error only where something is wrong", got.Err())
			}
		})
	}
}

// TestAnotherAnswer has a message answered a second time, with another reply.
func TestAnotherAnswer(t *testing.T) {
	l := ledger.New()
	m := ledger.Message{Session: "a", Key: "k", Prompt: "one"}
	l.Sent(m)
	l.Acked(m, []byte(`{"output":"first"}`))
	l.Acked(m, []byte(`{"output":"second"}`))
	stored := parley.Record{Session: "A", Seq: 1, Key: "k", Prompt: "one", Reply: &parley.Reply{Text: "first"}}
	if got := l.Compare([]parley.Record{stored}); got.Altered != 1 {
		t.Errorf("the verdict is %v; want altered=1", got)
	}
}

// record returns an answered turn.
func record(session string, seq int, prompt string) parley.Record {
	return parley.Record{Session: session, Seq: seq, Prompt: prompt, Reply: &parley.Reply{Text: "to <" + prompt + ">"}}
}
