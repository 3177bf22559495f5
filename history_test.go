package parley_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-chat/parley"
)

// historyBot answers "re: " and the prompt, after it looked at its history.
func historyBot(turns int, saw *[]parley.Message) parley.BotFunc {
	return func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
		var err error
		*saw, err = turn.History(ctx, turns)
		return parley.Text("re: " + turn.Prompt), err
	}
}

// lines writes messages as "role: content".
func lines(messages []parley.Message) []string {
	var out []string
	for _, m := range messages {
		out = append(out, fmt.Sprintf("%s: %s", m.Role, m.Content))
	}
	return out
}

func wantHistory(t *testing.T, saw []parley.Message, want ...string) {
	t.Helper()
	if got := lines(saw); !slices.Equal(got, want) {
		t.Errorf("the bot remembers\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestHistoryIsInOrderAndLimited(t *testing.T) {
	for _, test := range []struct {
		turns int
		want  []string
	}{
		{-1, nil},
		{0, nil},
		{1, []string{"user: c", "assistant: re: c"}},
		{2, []string{"user: b", "assistant: re: b", "user: c", "assistant: re: c"}},
		{3, []string{"user: a", "assistant: re: a", "user: b", "assistant: re: b", "user: c", "assistant: re: c"}},
		{100, []string{"user: a", "assistant: re: a", "user: b", "assistant: re: b", "user: c", "assistant: re: c"}},
	} {
		t.Run(fmt.Sprint(test.turns, " turns"), func(t *testing.T) {
			var saw []parley.Message
			chat := newChat(t, parley.Config{Bot: historyBot(test.turns, &saw)})
			for _, prompt := range []string{"a", "b", "c", "d"} {
				answer(t, chat, parley.Request{Session: "s", Prompt: prompt})
			}
			wantHistory(t, saw, test.want...)
		})
	}
}

func TestHistoryHasTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var saw []parley.Message
		chat := newChat(t, parley.Config{Bot: parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
			time.Sleep(3 * time.Second)
			return historyBot(1, &saw)(ctx, turn)
		})})
		began := time.Now()
		answer(t, chat, parley.Request{Session: "s", Prompt: "a"})
		answer(t, chat, parley.Request{Session: "s", Prompt: "b"})
		if asked, answered := saw[0].Time.Sub(began), saw[1].Time.Sub(began); asked != 0 || answered != 3*time.Second {
			t.Errorf("the prompt was said after %v and answered after %v; want 0s and 3s", asked, answered)
		}
	})
}

// An interactive reply is remembered as the text that a model can read.
func TestHistoryHasContentAsText(t *testing.T) {
	var saw []parley.Message
	chat := newChat(t, parley.Config{Bot: parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
		if _, err := historyBot(1, &saw)(ctx, turn); err != nil {
			return parley.Reply{}, err
		}
		return parley.Reply{Text: "Read this:", Content: &parley.Articles{{Title: "Help", Description: "How to", Link: "/help"}}}, nil
	})})
	answer(t, chat, parley.Request{Session: "s", Prompt: "a"})
	answer(t, chat, parley.Request{Session: "s", Prompt: "b"})
	wantHistory(t, saw, "user: a", "assistant: Read this:\n- Help: How to (/help)")
}

func TestConversationEndsWithARest(t *testing.T) {
	for _, test := range []struct {
		name string
		rest time.Duration
		want []string
	}{
		{"just within the hour", time.Hour - time.Millisecond, []string{"user: a", "assistant: re: a"}},
		{"just after the hour", time.Hour + time.Millisecond, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var saw []parley.Message
				chat := newChat(t, parley.Config{Bot: historyBot(10, &saw)})
				answer(t, chat, parley.Request{Session: "s", Prompt: "a"})
				time.Sleep(test.rest)
				answer(t, chat, parley.Request{Session: "s", Prompt: "b"})
				wantHistory(t, saw, test.want...)
			})
		})
	}
}

// The hour counts from the last message: a conversation that goes on lives on.
func TestConversationThatGoesOnIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var saw []parley.Message
		chat := newChat(t, parley.Config{Bot: historyBot(100, &saw)})
		for i := range 13 {
			answer(t, chat, parley.Request{Session: "s", Prompt: fmt.Sprint(i)})
			time.Sleep(50 * time.Minute)
		}
		if len(saw) != 24 || saw[0].Content != "0" {
			t.Errorf("after ten hours the bot remembers %d messages: %q; want all 24", len(saw), lines(saw))
		}
	})
}

func TestSessionTTLIsConfigurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var saw []parley.Message
		chat := newChat(t, parley.Config{Bot: historyBot(10, &saw), SessionTTL: time.Minute})
		answer(t, chat, parley.Request{Session: "s", Prompt: "a"})
		time.Sleep(59 * time.Second)
		answer(t, chat, parley.Request{Session: "s", Prompt: "b"})
		wantHistory(t, saw, "user: a", "assistant: re: a")
		time.Sleep(61 * time.Second)
		answer(t, chat, parley.Request{Session: "s", Prompt: "c"})
		wantHistory(t, saw)
	})
}

func TestWithoutASessionNothingIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var saw []parley.Message
		var turns []parley.Turn
		chat := newChat(t, parley.Config{Bot: parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
			turns = append(turns, *turn)
			return historyBot(10, &saw)(ctx, turn)
		})})
		for range 3 {
			answer(t, chat, parley.Request{Prompt: "Hello", Client: "192.0.2.1"})
			wantHistory(t, saw)
			time.Sleep(time.Minute)
		}
		for i, turn := range turns {
			if turn.Session != "" || turn.Seq != 1 {
				t.Errorf("turn %d has the session %q and is the %dth; want none and 1", i, turn.Session, turn.Seq)
			}
		}
		if len(turns) != 3 {
			t.Errorf("the bot was called %d times, want 3", len(turns))
		}
	})
}

// In the store, too, such a message is a conversation of its own.
func TestWithoutASessionEachTurnIsAConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := parley.NewMemory()
		chat := newChat(t, parley.Config{Store: store})
		var trace parley.Trace
		for range 2 {
			if _, err := chat.Answer(parley.WithTrace(t.Context(), &trace), parley.Request{Prompt: "Hello"}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		records, err := store.Transcript(t.Context(), parley.Page{Session: trace.Session, Limit: 10})
		if err != nil || len(records) != 2 || records[0].First != 1 || records[1].First != 2 {
			t.Errorf("stored are %+v, %v; want two turns, each the first of its stretch", records, err)
		}
	})
}

// A turn that another node began and has not finished is no part of history.
func TestHistorySkipsTurnsWithoutAnAnswer(t *testing.T) {
	store := parley.NewMemory()
	var saw []parley.Message
	session := ""
	chat := newChat(t, parley.Config{Store: store, Bot: parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
		session = turn.Session
		return historyBot(10, &saw)(ctx, turn)
	})})
	answer(t, chat, parley.Request{Session: "s", Prompt: "a"})
	if _, err := store.Begin(t.Context(), parley.NewTurn{Session: session, Prompt: "elsewhere", Time: time.Now()}); err != nil {
		t.Fatal(err)
	}
	answer(t, chat, parley.Request{Session: "s", Prompt: "b"})
	wantHistory(t, saw, "user: a", "assistant: re: a")
}

func TestRecordsAreSweptAfterTheirRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := parley.NewMemory()
		session := ""
		chat := newChat(t, parley.Config{Store: store, Retention: 10 * time.Hour, Bot: parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
			session = turn.Session
			return sayBack(ctx, turn)
		})})
		answer(t, chat, parley.Request{Session: "s", Prompt: "a"})
		kept := func() int {
			records, err := store.Transcript(t.Context(), parley.Page{Session: session, Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			return len(records)
		}
		time.Sleep(10*time.Hour - time.Minute)
		if n := kept(); n != 1 {
			t.Errorf("%d records are there within the retention, want 1", n)
		}
		time.Sleep(15 * time.Minute)
		if n := kept(); n != 0 {
			t.Errorf("%d records are there after the retention, want 0", n)
		}
	})
}

// A bot that reads that nobody had an answer would learn to say so.
func TestHistoryHasNoApologies(t *testing.T) {
	var saw []parley.Message
	passes := true
	chat := newChat(t, parley.Config{Bot: parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
		if passes {
			return parley.Reply{}, parley.ErrPass
		}
		return historyBot(10, &saw)(ctx, turn)
	})})
	answer(t, chat, parley.Request{Session: "s", Prompt: "a"})
	passes = false
	answer(t, chat, parley.Request{Session: "s", Prompt: "b"})
	answer(t, chat, parley.Request{Session: "s", Prompt: "c"})
	wantHistory(t, saw, "user: b", "assistant: re: b")
}
