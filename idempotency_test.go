package parley_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-chat/parley"
)

// post sends a JSON body to a handler. Headers are names and values in turn.
func post(h http.Handler, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		switch name, value := headers[i], headers[i+1]; name {
		case "RemoteAddr":
			r.RemoteAddr = value
		case "Host":
			r.Host = value
		default:
			r.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// wantAnswer checks the status and the exact body of an answer.
func wantAnswer(t *testing.T, what string, w *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if got := strings.TrimSuffix(w.Body.String(), "\n"); w.Code != status || got != body {
		t.Errorf("%s got %d %s\nwant %d %s", what, w.Code, got, status, body)
	}
}

const hello = `{"prompt":"Hello","session_id":"s"}`

func TestSameKeyReplaysTheSameBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		chat := newChat(t, parley.Config{Bot: parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
			calls++
			return parley.Reply{Text: fmt.Sprintf("<%d> \"&\" \u2028 😀", calls), Content: &parley.QuickReplies{
				Responses: []parley.QuickReply{{ID: "a", Text: "A&B"}},
			}}, nil
		})})
		h := chat.Handler()
		first := post(h, "/chat", hello, "Idempotency-Key", "k1")
		for _, wait := range []time.Duration{0, 3 * time.Second, time.Hour, 22*time.Hour + 59*time.Minute} {
			time.Sleep(wait)
			again := post(h, "/chat", hello, "Idempotency-Key", "k1")
			wantAnswer(t, fmt.Sprintf("the key, %v later,", wait), again, 200, strings.TrimSuffix(first.Body.String(), "\n"))
		}
		if calls != 1 {
			t.Errorf("the bot was called %d times within a day, want once", calls)
		}
		time.Sleep(2 * time.Minute)
		if post(h, "/chat", hello, "Idempotency-Key", "k1"); calls != 2 {
			t.Errorf("the bot was called %d times after a day, want twice: the key has expired", calls)
		}
	})
}

func TestSameKeyJoinsTheCallInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bot := &slowBot{takes: 5 * time.Second}
		chat := newChat(t, parley.Config{Bot: bot})
		q := parley.Request{Session: "s", Prompt: "Hello", Key: "k"}
		first := send(t.Context(), chat, q)
		time.Sleep(time.Second)
		second := send(t.Context(), chat, q)
		wantText(t, "the first", <-first, "answer 1 to Hello")
		wantText(t, "the second", <-second, "answer 1 to Hello")
		bot.wantCalls(t, 1)
	})
}

func TestKeyWithAnotherPromptIsRefused(t *testing.T) {
	const refused = `{"error":"Idempotency-Key was used with another request"}`
	other := `{"prompt":"Goodbye","session_id":"s"}`
	synctest.Test(t, func(t *testing.T) {
		bot := &slowBot{takes: 5 * time.Second}
		h := newChat(t, parley.Config{Bot: bot}).Handler()
		var wg sync.WaitGroup
		wg.Go(func() {
			wantAnswer(t, "the first", post(h, "/chat", hello, "Idempotency-Key", "k"), 200, `{"output":"answer 1 to Hello"}`)
		})
		time.Sleep(time.Second)
		wantAnswer(t, "another prompt while the first is in flight", post(h, "/chat", other, "Idempotency-Key", "k"), 422, refused)
		wg.Wait()
		wantAnswer(t, "another prompt afterwards", post(h, "/chat", other, "Idempotency-Key", "k"), 422, refused)
		wantAnswer(t, "another prompt without a session", post(h, "/chat", `{"prompt":"a","session_id":null}`, "Idempotency-Key", "n"), 200, `{"output":"answer 2 to a"}`)
		wantAnswer(t, "a second prompt without a session", post(h, "/chat", `{"prompt":"b","session_id":null}`, "Idempotency-Key", "n"), 422, refused)
		bot.wantCalls(t, 2)
	})
}

func TestKeysBelongToTheirSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bot := &slowBot{}
		h := newChat(t, parley.Config{Bot: bot}).Handler()
		for i, test := range []struct{ name, body, addr string }{
			{"a session", `{"prompt":"Hello","session_id":"s"}`, "192.0.2.1:1"},
			{"another session", `{"prompt":"Hello","session_id":"t"}`, "192.0.2.1:1"},
			{"the same session of another client", `{"prompt":"Hello","session_id":"s"}`, "192.0.2.2:1"},
			{"no session", `{"prompt":"Hello","session_id":null}`, "192.0.2.1:1"},
			{"no session of another client", `{"prompt":"Hello","session_id":null}`, "192.0.2.2:1"},
		} {
			want := fmt.Sprintf(`{"output":"answer %d to Hello"}`, i+1)
			wantAnswer(t, test.name, post(h, "/chat", test.body, "Idempotency-Key", "k", "RemoteAddr", test.addr), 200, want)
			wantAnswer(t, test.name+" again", post(h, "/chat", test.body, "Idempotency-Key", "k", "RemoteAddr", test.addr), 200, want)
		}
		bot.wantCalls(t, 5)
	})
}

func TestAKeyInQuotesIsTheSameKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bot := &slowBot{}
		h := newChat(t, parley.Config{Bot: bot}).Handler()
		post(h, "/chat", hello, "Idempotency-Key", `"k"`)
		time.Sleep(time.Hour)
		wantAnswer(t, "the bare key", post(h, "/chat", hello, "Idempotency-Key", "k"), 200, `{"output":"answer 1 to Hello"}`)
		bot.wantCalls(t, 1)
	})
}

// Two keys are two messages, whatever they say; so are a key and none.
func TestOtherKeysAreOtherMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bot := &slowBot{takes: time.Second}
		chat := newChat(t, parley.Config{Bot: bot})
		var outcomes []<-chan outcome
		for _, key := range []string{"", "k1", "k2"} {
			outcomes = append(outcomes, send(t.Context(), chat, parley.Request{Session: "s", Prompt: "yes", Key: key}))
		}
		for _, o := range outcomes {
			<-o
		}
		bot.wantCalls(t, 3)
	})
}

func TestFailedKeyMayBeTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		chat := newChat(t, parley.Config{Bot: parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
			if calls++; calls == 1 {
				panic("boom")
			}
			return parley.Text("done"), nil
		})})
		q := parley.Request{Session: "s", Prompt: "Hello", Key: "k"}
		_, err := chat.Answer(t.Context(), q)
		wantCode(t, "the first try", err, parley.CodeInternal)
		if got := answer(t, chat, q); got != "done" {
			t.Errorf("the second try got %q, want %q", got, "done")
		}
	})
}

// Ten thousand messages, each sent three times at random moments within a
// minute with its key: one call each.
func TestKeysUnderRaces(t *testing.T) {
	messages := 10_000
	if testing.Short() {
		messages = 1_000
	}
	synctest.Test(t, func(t *testing.T) {
		bot := &slowBot{takes: 700 * time.Millisecond}
		chat := newChat(t, parley.Config{Bot: bot, MaxTurns: messages})
		var wg sync.WaitGroup
		for i := range messages {
			q := parley.Request{Session: fmt.Sprint("session-", i), Prompt: "Hello", Key: fmt.Sprint("key-", i)}
			var replies [3]string
			var pair sync.WaitGroup
			for n := range replies {
				pair.Go(func() {
					time.Sleep(time.Duration(rand.Int64N(int64(time.Minute))))
					reply, err := chat.Answer(t.Context(), q)
					if err != nil {
						t.Errorf("message %d got the error %v", i, err)
					}
					replies[n] = reply.Text
				})
			}
			wg.Go(func() {
				if pair.Wait(); replies[0] != replies[1] || replies[1] != replies[2] {
					t.Errorf("message %d got different answers: %q", i, replies)
				}
			})
		}
		wg.Wait()
		bot.wantCalls(t, int64(messages))
	})
}
