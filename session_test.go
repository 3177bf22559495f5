package parley_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-chat/parley"
)

const uuid = "0f0e5b2c-9a3d-4c1e-8f47-2b6d1c7a9e35"

// A session id continues a conversation for the client that began it, and for
// others where it cannot be guessed.
func TestWhoContinuesAConversation(t *testing.T) {
	const addr, origin = "192.0.2.1:1000", "http://localhost:3000"
	for _, test := range []struct {
		name, id, addr, origin string
		open, continues        bool
	}{
		{"the same client", "user-session-123", addr, origin, false, true},
		{"the same address, another port", "user-session-123", "192.0.2.1:2000", origin, false, true},
		{"another address", "user-session-123", "192.0.2.2:1000", origin, false, false},
		{"another page", "user-session-123", addr, "http://localhost:3001", false, false},
		{"no page", "user-session-123", addr, "", false, false},
		{"another address, open sessions", "user-session-123", "192.0.2.2:1000", origin, true, true},
		{"another page, open sessions", "user-session-123", addr, "http://localhost:3001", true, true},
		{"a UUID from anywhere", uuid, "198.51.100.7:1", "https://example.com", false, true},
		{"another UUID", "", addr, origin, false, false},
		{"the address as IPv6", "user-session-123", "[::ffff:192.0.2.1]:1000", origin, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newChat(t, parley.Config{Bot: parley.BotFunc(recite), OpenSessions: test.open}).Handler()
			first := test.id
			if first == "" {
				first, test.id = uuid, randomUUID(4)
			}
			say := func(prompt, id, addr, origin string) *httptest.ResponseRecorder {
				body := fmt.Sprintf(`{"prompt":%q,"session_id":%q}`, prompt, id)
				if origin == "" {
					return post(h, "/chat", body, "RemoteAddr", addr)
				}
				return post(h, "/chat", body, "RemoteAddr", addr, "Origin", origin)
			}
			wantAnswer(t, "the first prompt", say("secret", first, addr, origin), 200, `{"output":"secret"}`)
			want := `{"output":"what did I say?"}`
			if test.continues {
				want = `{"output":"secret, what did I say?"}`
			}
			wantAnswer(t, "the second prompt", say("what did I say?", test.id, test.addr, test.origin), 200, want)
		})
	}
}

func TestIPv6ClientsAreNetworksOf56Bits(t *testing.T) {
	for _, test := range []struct {
		name, one, two string
		same           bool
	}{
		{"the same address", "[2001:db8:1:100::1]:1", "[2001:db8:1:100::1]:2", true},
		{"another address of the /64", "[2001:db8:1:100::1]:1", "[2001:db8:1:100:ffff::9]:1", true},
		{"another /64 of the /56", "[2001:db8:1:100::1]:1", "[2001:db8:1:1ff::1]:1", true},
		{"another /56", "[2001:db8:1:100::1]:1", "[2001:db8:1:200::1]:1", false},
		{"another zone", "[fe80::1%eth0]:1", "[fe80::1%eth1]:1", true},
		{"an address without a port", "192.0.2.1", "192.0.2.1", true},
		{"no address", "pipe", "pipe", true},
		{"IPv4 written as IPv6", "192.0.2.1:1", "[::ffff:c000:201]:1", true},
		{"IPv4 that ends alike", "192.0.2.1:1", "[::c000:201]:1", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newChat(t, parley.Config{Bot: parley.BotFunc(recite)}).Handler()
			post(h, "/chat", `{"prompt":"a","session_id":"s"}`, "RemoteAddr", test.one)
			want := `{"output":"b"}`
			if test.same {
				want = `{"output":"a, b"}`
			}
			wantAnswer(t, "the second client", post(h, "/chat", `{"prompt":"b","session_id":"s"}`, "RemoteAddr", test.two), 200, want)
		})
	}
}

// Nothing in an answer tells whether an id is in use.
func TestAnIDInUseLooksLikeAFreshOne(t *testing.T) {
	h := newChat(t, parley.Config{Bot: parley.BotFunc(recite)}).Handler()
	post(h, "/chat", `{"prompt":"secret","session_id":"user-1"}`, "RemoteAddr", "192.0.2.1:1")
	used := post(h, "/chat", `{"prompt":"Hello","session_id":"user-1"}`, "RemoteAddr", "192.0.2.2:1")
	fresh := post(h, "/chat", `{"prompt":"Hello","session_id":"user-2"}`, "RemoteAddr", "192.0.2.2:1")
	if used.Code != fresh.Code || used.Body.String() != fresh.Body.String() || fmt.Sprint(used.Header()) != fmt.Sprint(fresh.Header()) {
		t.Errorf("an id in use answers\n%d %v %s\na fresh one\n%d %v %s\nwant no difference",
			used.Code, used.Header(), used.Body, fresh.Code, fresh.Header(), fresh.Body)
	}
}

// A forgetful store keeps the turns of the sessions that were there when it was
// told to forget, and drops those of all others, so that millions fit.
type forgetfulStore struct {
	*parley.Memory
	mu       sync.Mutex
	kept     map[string]bool
	forgets  bool
	finished atomic.Int64 // turns of kept sessions since it forgets
}

func (s *forgetfulStore) Finish(ctx context.Context, turn parley.Record, reply parley.Reply, at time.Time) error {
	s.mu.Lock()
	if !s.forgets {
		s.kept[turn.Session] = true
	}
	kept := s.kept[turn.Session]
	s.mu.Unlock()
	if !kept {
		return s.Memory.Abandon(ctx, turn)
	}
	if s.forgets {
		s.finished.Add(1)
	}
	return s.Memory.Finish(ctx, turn, reply, at)
}

// A thousand visitors with ids that can be guessed told a bot a secret, which
// it repeats to whoever continues their conversation. An attacker who knows how
// the ids are made tries a million times.
func TestGuessingSessionIDsRevealsNothing(t *testing.T) {
	guesses := 1_000_000
	if testing.Short() {
		guesses = 20_000
	}
	if leaks := guess(t, guesses, false); leaks != 0 {
		t.Errorf("%d of %d guesses revealed what somebody else said, want none", leaks, guesses)
	}
	// The control: with open sessions the same attack must succeed, or it is none.
	if leaks := guess(t, 4_000, true); leaks < 500 {
		t.Errorf("with open sessions %d of 4000 guesses revealed something; the attack is too weak to prove anything", leaks)
	}
}

// guess returns how many of n guesses revealed a secret.
func guess(t *testing.T, n int, open bool) int64 {
	const visitors, attackers = 1000, 4
	store := &forgetfulStore{Memory: parley.NewMemory(), kept: map[string]bool{}}
	chat := newChat(t, parley.Config{Store: store, Bot: parley.BotFunc(recite), OpenSessions: open})
	ids := make([]string, visitors)
	for i := range ids {
		ids[i] = fmt.Sprintf([]string{"user-session-%d", "support-%d", "visitor%d@example.com", "session_17323776%05d_k3j4h5g6x2"}[i%4], i)
		answer(t, chat, parley.Request{Session: ids[i], Prompt: "canary", Client: fmt.Sprintf("192.0.2.%d http://localhost", i%250)})
	}
	store.forgets = true
	var leaks atomic.Int64
	var wg sync.WaitGroup
	for a := range attackers {
		wg.Go(func() {
			for i := range n / attackers {
				id := ids[rand.IntN(visitors)]
				if i%2 == 1 { // half of the guesses are near misses
					id = strings.Replace(id, fmt.Sprint(i%10), fmt.Sprint(i%7), 1)
				}
				client := fmt.Sprintf("198.51.100.%d https://evil.example", i%250)
				reply, err := chat.Answer(t.Context(), parley.Request{Session: id, Prompt: fmt.Sprintf("%d %d", a, i), Client: client})
				if err != nil {
					t.Errorf("guess %d got the error %v", i, err)
					return
				}
				if strings.Contains(reply.Text, "canary") {
					leaks.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if touched := store.finished.Load(); !open && touched != 0 {
		t.Errorf("%d guesses wrote into somebody else's conversation, want none", touched)
	}
	return leaks.Load()
}

// What is stored, logged and given to bots names the session, but is not the id.
func TestBotsSeeTheKeyOfASessionNotItsID(t *testing.T) {
	var keys []string
	chat := newChat(t, parley.Config{Bot: parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
		keys = append(keys, turn.Session)
		return sayBack(ctx, turn)
	})})
	for _, id := range []string{"user-session-123", "user-session-123", uuid, "ada@example.com"} {
		answer(t, chat, parley.Request{Session: id, Prompt: fmt.Sprint("Hello ", len(keys))})
	}
	for _, key := range keys {
		if len(key) != 32 || strings.Trim(key, "0123456789abcdef") != "" {
			t.Errorf("a session is called %q, want 32 hexadecimal digits", key)
		}
	}
	if keys[0] != keys[1] || keys[0] == keys[2] || keys[2] == keys[3] {
		t.Errorf("the sessions are called %q, want the first two alike and no others", keys)
	}
}

func TestSessionsAreRequired(t *testing.T) {
	h := newChat(t, parley.Config{RequireSession: true}).Handler()
	wantAnswer(t, "no session", post(h, "/chat", `{"prompt":"Hello","session_id":null}`), 400, `{"error":"Invalid session_id"}`)
	wantAnswer(t, "a session", post(h, "/chat", hello), 200, `{"output":"You said: Hello"}`)
}
