package parley_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-chat/parley"
)

// A visitor talks to a handler as the widget does.
type visitor struct {
	t       *testing.T
	handler http.Handler
	token   string
}

// newVisitor begins a session with a bot that says back what it hears.
func newVisitor(t *testing.T, cfg parley.Config) *visitor {
	t.Helper()
	if cfg.Bot == nil {
		cfg.Bot = parley.BotFunc(func(_ context.Context, turn *parley.Turn) (parley.Reply, error) {
			return parley.Text("You said: " + turn.Prompt), nil
		})
	}
	chat, err := parley.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { chat.Shutdown(context.Background()) })
	v := &visitor{t: t, handler: chat.Handler()}
	v.begin()
	return v
}

// begin gets a token of a new session.
func (v *visitor) begin() {
	v.t.Helper()
	answer := v.do("POST", "/session", `{}`, "")
	var body struct {
		Token   string    `json:"session_token"`
		Expires time.Time `json:"expires_at"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil || answer.Code != http.StatusOK || body.Token == "" {
		v.t.Fatalf("POST /session is answered with %d %s; want a token", answer.Code, answer.Body)
	}
	if until := time.Until(body.Expires); until <= 0 || until > 24*time.Hour {
		v.t.Errorf("the token expires in %v", until)
	}
	v.token = body.Token
}

func (v *visitor) do(method, path, body, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("X-Parley-Session", token)
	}
	w := httptest.NewRecorder()
	v.handler.ServeHTTP(w, r)
	return w
}

// say sends a prompt with the visitor's token and returns the status.
func (v *visitor) say(prompt string) int {
	body, _ := json.Marshal(map[string]any{"prompt": prompt, "session_id": nil})
	answer := v.do("POST", "/chat", string(body), v.token)
	if fresh := answer.Header().Get("X-Parley-Session"); fresh != "" {
		v.token = fresh
	}
	return answer.Code
}

type historyBody struct {
	Turns []struct {
		Seq    int          `json:"seq"`
		Prompt string       `json:"prompt"`
		Reply  parley.Reply `json:"reply"`
		Time   time.Time    `json:"time"`
	} `json:"turns"`
	More bool `json:"more"`
}

func (v *visitor) history(query string) historyBody {
	v.t.Helper()
	answer := v.do("GET", "/history"+query, "", v.token)
	var body historyBody
	if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil || answer.Code != http.StatusOK {
		v.t.Fatalf("GET /history%s is answered with %d %s", query, answer.Code, answer.Body)
	}
	return body
}

// prompts returns what a history holds, oldest first.
func (h historyBody) prompts() string {
	var all []string
	for _, turn := range h.Turns {
		all = append(all, turn.Prompt)
	}
	return strings.Join(all, " ")
}

func TestHistoryIsReadBackWithItsToken(t *testing.T) {
	v := newVisitor(t, parley.Config{})
	if h := v.history(""); len(h.Turns) != 0 || h.More || h.Turns == nil {
		t.Errorf("a new session has the history %+v; want an empty list", h)
	}
	for _, prompt := range []string{"one", "two", "three"} {
		if status := v.say(prompt); status != http.StatusOK {
			t.Fatalf("%q is answered with %d", prompt, status)
		}
	}
	h := v.history("")
	if h.prompts() != "one two three" || h.More || h.Turns[2].Reply.Text != "You said: three" || h.Turns[0].Seq != 1 {
		t.Errorf("the history is %+v", h)
	}
	if h := v.history("?limit=2"); h.prompts() != "two three" || !h.More {
		t.Errorf("the newest two are %+v; want two and three, and more", h)
	}
	if h := v.history("?limit=2&before=2"); h.prompts() != "one" || h.More {
		t.Errorf("before the second there is %+v; want one, and no more", h)
	}
}

func TestHistoryIsClosedWithoutItsToken(t *testing.T) {
	v := newVisitor(t, parley.Config{})
	v.say("a secret")
	other := &visitor{t: t, handler: v.handler}
	other.begin()
	if h := other.history(""); len(h.Turns) != 0 {
		t.Errorf("another session reads %+v", h)
	}
	flipped := []byte(v.token)
	flipped[10] ^= 1
	for name, token := range map[string]string{
		"no token":         "",
		"a session id":     "0b6d3c52-52a5-4c8b-9d4e-0d6a4f1b2c3d",
		"half a token":     v.token[:len(v.token)/2],
		"a longer token":   v.token + "A",
		"a changed token":  string(flipped),
		"another version":  "v2" + v.token[2:],
		"something else":   "v1.",
		"a token in token": "v1." + v.token,
	} {
		answer := v.do("GET", "/history", "", token)
		if answer.Code != http.StatusForbidden || answer.Body.String() != `{"error":"Invalid session token"}`+"\n" {
			t.Errorf("%s: GET /history is answered with %d %s; want 403", name, answer.Code, answer.Body)
		}
	}
	if answer := v.do("POST", "/chat", `{"prompt": "Hello", "session_id": null}`, string(flipped)); answer.Code != http.StatusForbidden {
		t.Errorf("a prompt with a changed token is answered with %d; want 403", answer.Code)
	}
	// Nobody continues the conversation with what the token says in the clear.
	if h := v.history(""); h.prompts() != "a secret" {
		t.Errorf("the history is %q afterwards", h.prompts())
	}
}

func TestHistoryRefusesBadPages(t *testing.T) {
	v := newVisitor(t, parley.Config{})
	for _, query := range []string{"?limit=0", "?limit=201", "?limit=-1", "?limit=many", "?before=-1", "?before=99999999999"} {
		if answer := v.do("GET", "/history"+query, "", v.token); answer.Code != http.StatusBadRequest {
			t.Errorf("GET /history%s is answered with %d %s; want 400", query, answer.Code, answer.Body)
		}
	}
}

func TestATokenLastsWhileItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisitor(t, parley.Config{})
		first := v.token
		for hour := range 20 {
			time.Sleep(50 * time.Minute)
			if status := v.say("still here"); status != http.StatusOK {
				t.Fatalf("after %d times 50 minutes a prompt is answered with %d", hour+1, status)
			}
		}
		if answer := v.do("GET", "/history", "", first); answer.Code != http.StatusForbidden {
			t.Errorf("the first token opens the history hours after it expired: %d", answer.Code)
		}
		if h := v.history(""); len(h.Turns) != 20 {
			t.Errorf("the history has %d turns; want all 20", len(h.Turns))
		}
	})
}

func TestATokenEndsAfterARestAndAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisitor(t, parley.Config{})
		v.say("Hello")
		time.Sleep(61 * time.Minute)
		if status := v.say("Hello again"); status != http.StatusForbidden {
			t.Errorf("after a rest longer than the session's a prompt is answered with %d; want 403", status)
		}
		v.begin()
		for range 47 {
			time.Sleep(30 * time.Minute)
			if status := v.say("on"); status != http.StatusOK {
				t.Fatalf("within a day a prompt is answered with %d", status)
			}
		}
		time.Sleep(31 * time.Minute)
		if status := v.say("on"); status != http.StatusForbidden {
			t.Errorf("after a day a prompt is answered with %d; want 403", status)
		}
	})
}

func TestATokensConversationIsRemembered(t *testing.T) {
	bot := parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
		messages, err := turn.History(ctx, 10)
		if err != nil || turn.Session == "" {
			return parley.Text("nothing is remembered"), err
		}
		return parley.Text(strings.Repeat("I remember. ", len(messages)+1)), nil
	})
	v := newVisitor(t, parley.Config{Bot: bot, RequireSession: true})
	v.say("one")
	v.say("two")
	if h := v.history(""); h.Turns[1].Reply.Text != "I remember. I remember. I remember. " {
		t.Errorf("the bot sees of the first turn: %q; want both of its messages", h.Turns[1].Reply.Text)
	}
}
