package parley_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/notes"
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

// A network is a store in memory that carries notes between the chats over it.
type network struct {
	*parley.Memory
	mu   sync.Mutex
	hub  notes.Hub
	lose func(topic string) bool // nil loses none
}

func newNetwork() *network { return &network{Memory: parley.NewMemory()} }

func (n *network) Notify(_ context.Context, topic string, note []byte) error {
	data, err := notes.Encode(topic, note)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.lose != nil && n.lose(topic) {
		return nil
	}
	return n.hub.Deliver(data)
}

func (n *network) Listen(topic string, hear func([]byte)) func() { return n.hub.Listen(topic, hear) }

// pair returns two nodes over one network, and a token for a conversation.
func pair(t *testing.T, net *network, bot parley.Bot) (one, two *parley.Chat, token string) {
	one = newChat(t, parley.Config{Store: net, Bot: bot})
	two = newChat(t, parley.Config{Store: net, Bot: bot})
	v := &visitor{t: t, handler: one.Handler()}
	v.begin()
	return one, two, v.token
}

func TestATurnIsFollowedFromAnotherNode(t *testing.T) {
	for _, test := range []struct {
		name string
		net  func() *network
	}{
		{"", newNetwork},
		{"where every third note is lost", func() *network {
			net, random := newNetwork(), rand.New(rand.NewPCG(1, 2))
			net.lose = func(string) bool { return random.IntN(3) == 0 }
			return net
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pieces := strings.SplitAfter("one two three four five six seven eight", " ")
				bot := &speaker{pieces: pieces}
				one, two, token := pair(t, test.net(), bot)
				first := watch(one.Handler(), "POST", "/chat", hello, "X-Parley-Session", token)
				time.Sleep(2500 * time.Millisecond)
				twin := watch(two.Handler(), "POST", "/chat", hello, "X-Parley-Session", token)
				window := watch(two.Handler(), "GET", "/stream", "", "X-Parley-Session", token)
				moved := watch(two.Handler(), "GET", "/stream", "", "X-Parley-Session", token, "Last-Event-ID", id(4))
				if test.name == "" { // a piece comes when it is said, not when it is asked for
					time.Sleep(4510 * time.Millisecond)
					twin.want(t, "after seven seconds", delta(8, "one two ")+delta(14, "three ")+delta(19, "four ")+delta(24, "five ")+delta(28, "six ")+delta(34, "seven "))
				}
				for _, w := range []*watched{first, twin, window, moved} {
					<-w.done
				}
				all := strings.Join(pieces, "")
				reply := event(len(all), "reply", `{"output":"`+all+`"}`)
				first.want(t, "at the end", deltas(pieces...)+reply)
				prompt := event(0, "prompt", `{"seq":1,"prompt":"Hello","time":"2000-01-01T00:00:00Z"}`)
				for _, w := range []struct {
					who   string
					saw   *watched
					begin string
					text  string
				}{
					{"a twin", twin, "", all},
					{"a window", window, prompt, all},
					{"who had seen the beginning", moved, strings.ReplaceAll(prompt, id(0), id(4)), all[4:]},
				} {
					body := w.saw.Body.String()
					_, end, _ := strings.Cut(reply, "\n") // behind its id
					if !strings.HasPrefix(body, w.begin) || !strings.HasSuffix(body, end) {
						t.Errorf("%s on the other node saw\n%s\nwant it to begin with %q and to end with %q", w.who, body, w.begin, reply)
					}
					// What was lost last may not have been asked for again.
					if got := textOf(t, body); got != w.text && (test.name == "" || !strings.HasPrefix(w.text, got) || len(got) < 12) {
						t.Errorf("%s on the other node saw the text %q, want %q", w.who, got, w.text)
					}
				}
			})
		})
	}
}

// deltas are the events of a reply that came in pieces.
func deltas(pieces ...string) string {
	var b strings.Builder
	bytes := 0
	for _, piece := range pieces {
		bytes += len(piece)
		b.WriteString(delta(bytes, piece))
	}
	return b.String()
}

// textOf joins the text of all deltas.
func textOf(t *testing.T, events string) string {
	t.Helper()
	var b strings.Builder
	for event := range strings.SplitSeq(events, "\n\n") {
		if _, data, ok := strings.Cut(event, "event: delta\ndata: "); ok {
			var delta struct{ Text string }
			if err := json.Unmarshal([]byte(data), &delta); err != nil {
				t.Fatal(err)
			}
			b.WriteString(delta.Text)
		}
	}
	return b.String()
}

// A page that moved to another node keeps the bot going there.
func TestAFollowerOnAnotherNodeKeepsTheBotGoing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bot := &speaker{pieces: strings.Split(strings.Repeat("x", 40), "")}
		one, two, token := pair(t, newNetwork(), bot)
		first := watch(one.Handler(), "POST", "/chat", hello, "X-Parley-Session", token)
		time.Sleep(2500 * time.Millisecond)
		first.leave()
		moved := watch(two.Handler(), "GET", "/stream", "", "X-Parley-Session", token)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if !bot.cancelled.IsZero() {
			t.Fatal("the bot was stopped while somebody followed it on another node")
		}
		began := time.Now()
		moved.leave()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if after := bot.cancelled.Sub(began); bot.cancelled.IsZero() || after > 6*time.Second {
			t.Errorf("the bot was stopped %v after the last follower left, want within 6 s", after)
		}
	})
}

// begunElsewhere begins a turn as a node does that is killed right then.
func begunElsewhere(t *testing.T, net *network, session, prompt string) {
	t.Helper()
	begun, err := net.Begin(t.Context(), parley.NewTurn{Session: session, Prompt: prompt, Time: time.Now(), TwinsSince: time.Now(), DeadBefore: time.Now().Add(-time.Minute)})
	if err != nil || !begun.Fresh {
		t.Fatalf("Begin returned %+v, %v; want a fresh turn", begun, err)
	}
}

func TestANodeThatWasKilledIsNotWaitedForLong(t *testing.T) {
	for _, test := range []struct{ name, prompt string }{
		{"the message, sent again", "Hello"},
		{"the next message", "Goodbye"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net, session := newNetwork(), ""
				chat := newChat(t, parley.Config{Store: net, Bot: parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
					session = turn.Session
					return sayBack(ctx, turn)
				})})
				answer(t, chat, parley.Request{Session: "s", Prompt: "first"})
				begunElsewhere(t, net, session, "Hello")
				began := time.Now()
				if got, want := answer(t, chat, parley.Request{Session: "s", Prompt: test.prompt}), "You said: "+test.prompt; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				if took := time.Since(began); took < 9*time.Second || took > 13*time.Second {
					t.Errorf("it took %v, want about 10 s", took)
				}
				began = time.Now()
				answer(t, chat, parley.Request{Session: "s", Prompt: "another"})
				if took := time.Since(began); took > 0 {
					t.Errorf("the one after it took %v, want no time: the dead is buried", took)
				}
			})
		})
	}
}

// Where notes do not arrive, nobody is taken for dead.
func TestNodesThatDoNotHearEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, bot := newNetwork(), &slowBot{takes: 30 * time.Second}
		net.lose = func(string) bool { return true }
		one, two, _ := pair(t, net, bot)
		q := parley.Request{Session: "s", Prompt: "Hello"}
		first := send(t.Context(), one, q)
		time.Sleep(time.Second)
		twin := <-send(t.Context(), two, q)
		wantText(t, "the first", <-first, "answer 1 to Hello")
		wantText(t, "the twin", twin, "answer 1 to Hello")
		bot.wantCalls(t, 1)
	})
}

// A node that cannot be heard, but lives, loses its turn to one that took it
// over: one of the two is answered, and that is what is kept.
func TestANodeThatIsTakenForDeadKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, bot := newNetwork(), &slowBot{takes: 30 * time.Second}
		net.lose = func(topic string) bool { return strings.HasPrefix(topic, "text.") }
		one, two, _ := pair(t, net, bot)
		q := parley.Request{Session: "s", Prompt: "Hello", Key: "k"}
		first := send(t.Context(), one, q)
		time.Sleep(time.Second)
		twin := <-send(t.Context(), two, q)
		if o := <-first; o.err == nil {
			t.Errorf("the node that was taken for dead answered %q, want an error", o.reply.Text)
		}
		wantText(t, "the node that took over", twin, "answer 2 to Hello")
		wantText(t, "the message once more", <-send(t.Context(), one, q), "answer 2 to Hello")
		bot.wantCalls(t, 2)
	})
}

// The bot sees what was said on another node just before.
func TestTheNextMessageOnAnotherNodeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork()
		slow := parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
			time.Sleep(5 * time.Second)
			return recite(ctx, turn)
		})
		one, two, _ := pair(t, net, slow)
		first := send(t.Context(), one, parley.Request{Session: "s", Prompt: "a"})
		time.Sleep(time.Second)
		second := <-send(t.Context(), two, parley.Request{Session: "s", Prompt: "b"})
		wantText(t, "the first", <-first, "a")
		wantText(t, "the second", second, "a, b")
	})
}

// A node that was taken for dead, and hears the others again, has its visitor
// get what the other node says.
func TestTheVisitorOfANodeThatWasTakenForDeadIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, bot, began := newNetwork(), &slowBot{takes: 30 * time.Second}, time.Now()
		net.lose = func(topic string) bool {
			return strings.HasPrefix(topic, "text.") && time.Since(began) < 20*time.Second
		}
		one, two, _ := pair(t, net, bot)
		q := parley.Request{Session: "s", Prompt: "Hello", Key: "k"}
		first := send(t.Context(), one, q)
		time.Sleep(time.Second)
		twin := send(t.Context(), two, q)
		wantText(t, "the visitor of the node that was taken for dead", <-first, "answer 2 to Hello")
		wantText(t, "the twin", <-twin, "answer 2 to Hello")
		bot.wantCalls(t, 2)
	})
}

func TestAllWhoWaitForADeadNodeAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, bot, session := newNetwork(), &slowBot{takes: 3 * time.Second}, ""
		var answers []<-chan outcome
		for range 3 {
			node := newChat(t, parley.Config{Store: net, Bot: bot})
			if session == "" {
				trace := parley.Trace{}
				if _, err := node.Answer(parley.WithTrace(t.Context(), &trace), parley.Request{Session: "s", Prompt: "first"}); err != nil {
					t.Fatal(err)
				}
				session = trace.Session
				begunElsewhere(t, net, session, "Hello")
			}
			answers = append(answers, send(t.Context(), node, parley.Request{Session: "s", Prompt: "Hello"}))
			time.Sleep(300 * time.Millisecond)
		}
		for _, a := range answers {
			wantText(t, "who waits for a dead node", <-a, "answer 2 to Hello")
		}
		bot.wantCalls(t, 2)
	})
}

// A window that follows a dead node is no reason to leave the message unanswered.
func TestAWindowDoesNotKeepAMessageFromBeingTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, key := newNetwork(), ""
		_, two, token := pair(t, net, parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
			key = turn.Session
			return sayBack(ctx, turn)
		}))
		h := two.Handler()
		post(h, "/chat", `{"prompt":"first","session_id":null}`, "X-Parley-Session", token)
		begunElsewhere(t, net, key, "Hello")
		window := watch(h, "GET", "/stream", "", "X-Parley-Session", token)
		time.Sleep(time.Second)
		wantAnswer(t, "the message", post(h, "/chat", hello, "X-Parley-Session", token), 200, `{"output":"You said: Hello"}`)
		<-window.done
	})
}

// Who has left does not keep the bot going because the next message waits.
func TestTheNextMessageDoesNotKeepTheBotGoing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bot := &speaker{pieces: strings.Split(strings.Repeat("x", 30), "")}
		one, two, token := pair(t, newNetwork(), bot)
		first := watch(one.Handler(), "POST", "/chat", `{"prompt":"a","session_id":null}`, "X-Parley-Session", token)
		time.Sleep(2500 * time.Millisecond)
		next := watch(two.Handler(), "POST", "/chat", `{"prompt":"b","session_id":null}`, "X-Parley-Session", token)
		time.Sleep(time.Second)
		left := time.Now()
		first.leave()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if after := bot.cancelled.Sub(left); bot.cancelled.IsZero() || after > 1500*time.Millisecond {
			t.Errorf("the bot was stopped %v after its visitor left; want 1.5 s or less", after)
		}
		next.leave()
		<-next.done
	})
}

// A turn waits for all that run before it, whatever becomes of those between.
func TestATurnWaitsForAllBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork()
		slow := parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
			if turn.Prompt == "slow" {
				time.Sleep(14 * time.Second)
			}
			return recite(ctx, turn)
		})
		one, two, _ := pair(t, net, slow)
		var trace parley.Trace
		if _, err := one.Answer(parley.WithTrace(t.Context(), &trace), parley.Request{Session: "s", Prompt: "first"}); err != nil {
			t.Fatal(err)
		}
		first := send(t.Context(), one, parley.Request{Session: "s", Prompt: "slow"})
		time.Sleep(time.Second)
		begunElsewhere(t, net, trace.Session, "dead")
		wantText(t, "the last", <-send(t.Context(), two, parley.Request{Session: "s", Prompt: "last"}), "first, slow, last")
		wantText(t, "the slow one", <-first, "first, slow")
	})
}

// What a stream has not begun to tell of a dead node's turn, it tells of the next.
func TestATurnThatIsTakenOverStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, bot, key := newNetwork(), &speaker{pieces: []string{"one ", "two"}}, ""
		_, two, token := pair(t, net, parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
			key = turn.Session
			return sayBack(ctx, turn)
		}))
		post(two.Handler(), "/chat", `{"prompt":"first","session_id":null}`, "X-Parley-Session", token)
		begunElsewhere(t, net, key, "Hello")
		three := newChat(t, parley.Config{Store: net, Bot: bot})
		again := watch(three.Handler(), "POST", "/chat", hello, "X-Parley-Session", token)
		<-again.done
		if got := textOf(t, again.Body.String()); got != "one two" {
			t.Errorf("the stream of a message that was sent again had the text %q, want %q; all of it:\n%s", got, "one two", again.Body)
		}
	})
}
