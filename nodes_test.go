package parley_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-chat/parley"
)

// Two chats over one store are two nodes.

func TestTwinOnAnotherNodeWaitsForTheAnswer(t *testing.T) {
	for _, key := range []string{"", "k"} {
		t.Run("key "+key, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, bot := parley.NewMemory(), &slowBot{takes: 5 * time.Second}
				one := newChat(t, parley.Config{Store: store, Bot: bot})
				two := newChat(t, parley.Config{Store: store, Bot: bot})
				q := parley.Request{Session: "s", Prompt: "Hello", Key: key}
				first := send(t.Context(), one, q)
				time.Sleep(time.Second)
				twin := <-send(t.Context(), two, q)
				wantText(t, "the first", <-first, "answer 1 to Hello")
				wantText(t, "the twin", twin, "answer 1 to Hello")
				if most := 4100 * time.Millisecond; twin.after > most {
					t.Errorf("the twin waited %v, want at most %v", twin.after, most)
				}
				wantText(t, "a third", <-send(t.Context(), two, q), "answer 1 to Hello")
				bot.wantCalls(t, 1)
			})
		})
	}
}

func TestKeyReusedOnAnotherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, bot := parley.NewMemory(), &slowBot{takes: 5 * time.Second}
		one := newChat(t, parley.Config{Store: store, Bot: bot})
		two := newChat(t, parley.Config{Store: store, Bot: bot})
		first := send(t.Context(), one, parley.Request{Session: "s", Prompt: "Hello", Key: "k"})
		time.Sleep(time.Second)
		o := <-send(t.Context(), two, parley.Request{Session: "s", Prompt: "Goodbye", Key: "k"})
		wantCode(t, "the key with another prompt", o.err, parley.CodeKeyReused)
		<-first
	})
}

// A node that waits for another's turn must not take the answer to whatever
// came next under the same number.
func TestTurnOfAnotherNodeThatIsTakenBack(t *testing.T) {
	for _, test := range []struct {
		name string
		next string // what the other node is asked right after it failed
	}{
		{"and nothing follows", ""},
		{"and another prompt takes its number", "two"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := parley.NewMemory()
				one := newChat(t, parley.Config{Store: store, Bot: parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
					if turn.Prompt == "one" {
						time.Sleep(1010 * time.Millisecond)
						return parley.Reply{}, errors.New("boom")
					}
					return sayBack(ctx, turn)
				})})
				two := newChat(t, parley.Config{Store: store})
				first := send(t.Context(), one, parley.Request{Session: "s", Prompt: "one"})
				synctest.Wait()
				twin := send(t.Context(), two, parley.Request{Session: "s", Prompt: "one"})
				wantCode(t, "the first", (<-first).err, parley.CodeInternal)
				if test.next != "" {
					answer(t, one, parley.Request{Session: "s", Prompt: test.next})
				}
				if o := <-twin; o.err == nil {
					t.Errorf("the twin got %q, want an error: its turn was taken back", o.reply.Text)
				} else {
					wantCode(t, "the twin", o.err, parley.CodeUnavailable)
				}
			})
		})
	}
}

// What a node left unfinished when it died is done again.
func TestTurnOfADeadNodeIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, session := parley.NewMemory(), ""
		chat := newChat(t, parley.Config{Store: store, Bot: parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
			session = turn.Session
			return sayBack(ctx, turn)
		})})
		answer(t, chat, parley.Request{Session: "s", Prompt: "a"})
		if _, err := store.Begin(t.Context(), parley.NewTurn{Session: session, Prompt: "b", Time: time.Now()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(80 * time.Second) // longer than any turn may take
		if got := answer(t, chat, parley.Request{Session: "s", Prompt: "b"}); got != "You said: b" {
			t.Errorf("the prompt got %q, want an answer", got)
		}
		records, err := store.Transcript(t.Context(), parley.Page{Session: session, Limit: 10})
		if err != nil || len(records) != 2 || records[1].Reply == nil {
			t.Errorf("stored are %+v, %v; want two answered turns", records, err)
		}
	})
}

func TestNodesShareTheSessionSecret(t *testing.T) {
	store := parley.NewMemory()
	one := newChat(t, parley.Config{Store: store, Bot: parley.BotFunc(recite)})
	two := newChat(t, parley.Config{Store: store, Bot: parley.BotFunc(recite)})
	answer(t, one, parley.Request{Session: "s", Prompt: "a"})
	if got, want := answer(t, two, parley.Request{Session: "s", Prompt: "b"}), "a, b"; got != want {
		t.Errorf("the second node remembers %q, want %q", got, want)
	}
}
