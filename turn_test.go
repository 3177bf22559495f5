package parley_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-chat/parley"
)

// The tests of this file run in bubbles of testing/synctest: time is exact and
// costs nothing, and a goroutine that is left over fails the test.

func TestTwinJoinsTheCallInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bot := &slowBot{takes: 5 * time.Second}
		chat := newChat(t, parley.Config{Bot: bot})
		q := parley.Request{Session: "s", Prompt: "Hello"}
		first := send(t.Context(), chat, q)
		time.Sleep(3 * time.Second)
		twin := send(t.Context(), chat, q)
		a, b := <-first, <-twin
		wantText(t, "the first", a, "answer 1 to Hello")
		wantText(t, "its twin", b, "answer 1 to Hello")
		if b.after != 2*time.Second {
			t.Errorf("the twin waited %v, want the 2s that were left", b.after)
		}
		bot.wantCalls(t, 1)
	})
}

func TestTwinWindowCountsFromTheEndOfTheTurn(t *testing.T) {
	for _, test := range []struct {
		name  string
		after time.Duration // from the end of the first
		calls int64
	}{
		{"at once", 0, 1},
		{"the widget's retry", 150 * time.Millisecond, 1},
		{"just within two seconds", 1999 * time.Millisecond, 1},
		{"just after two seconds", 2001 * time.Millisecond, 2},
		{"a minute later", time.Minute, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bot := &slowBot{takes: 30 * time.Second}
				chat := newChat(t, parley.Config{Bot: bot})
				q := parley.Request{Session: "s", Prompt: "yes"}
				answer(t, chat, q)
				time.Sleep(test.after)
				if got, want := answer(t, chat, q), fmt.Sprintf("answer %d to yes", test.calls); got != want {
					t.Errorf("the second message got %q, want %q", got, want)
				}
				bot.wantCalls(t, test.calls)
			})
		})
	}
}

// A retry that has to queue behind another prompt of its session is still the
// retry that it was when it came.
func TestTwinWindowCountsUntilTheTwinArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bot := &slowBot{takes: 10 * time.Second}
		chat := newChat(t, parley.Config{Bot: bot})
		answer(t, chat, parley.Request{Session: "s", Prompt: "one"})
		time.Sleep(time.Second)
		other := send(t.Context(), chat, parley.Request{Session: "s", Prompt: "two"})
		synctest.Wait()
		twin := send(t.Context(), chat, parley.Request{Session: "s", Prompt: "one"})
		wantText(t, "the other prompt", <-other, "answer 2 to two")
		wantText(t, "the twin", <-twin, "answer 1 to one")
		bot.wantCalls(t, 2)
	})
}

func TestMessagesThatAreNoTwins(t *testing.T) {
	first := parley.Request{Session: "s", Prompt: "Hello", Client: "192.0.2.1"}
	for _, test := range []struct {
		name   string
		second parley.Request
	}{
		{"another prompt", parley.Request{Session: "s", Prompt: "Hello!", Client: "192.0.2.1"}},
		{"white space more", parley.Request{Session: "s", Prompt: "Hello ", Client: "192.0.2.1"}},
		{"another case", parley.Request{Session: "s", Prompt: "hello", Client: "192.0.2.1"}},
		{"another session", parley.Request{Session: "t", Prompt: "Hello", Client: "192.0.2.1"}},
		{"another client with the same guessable session", parley.Request{Session: "s", Prompt: "Hello", Client: "192.0.2.2"}},
		{"no session", parley.Request{Prompt: "Hello", Client: "192.0.2.1"}},
		{"a key", parley.Request{Session: "s", Prompt: "Hello", Client: "192.0.2.1", Key: "k"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bot := &slowBot{takes: time.Second}
				chat := newChat(t, parley.Config{Bot: bot})
				a := send(t.Context(), chat, first)
				b := send(t.Context(), chat, test.second)
				<-a
				<-b
				bot.wantCalls(t, 2)
			})
		})
	}
}

func TestTwinsWithoutASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bot := &slowBot{takes: time.Second}
		chat := newChat(t, parley.Config{Bot: bot})
		q := parley.Request{Prompt: "Hello", Client: "192.0.2.1"}
		a, b := send(t.Context(), chat, q), send(t.Context(), chat, q)
		<-a
		<-b
		bot.wantCalls(t, 1)
		if q.Client = "192.0.2.2"; answer(t, chat, q) != "answer 2 to Hello" {
			t.Error("another client got the first one's answer")
		}
	})
}

// A thousand lost answers, each sent again at a random moment while the first
// is in flight or up to two seconds after its end.
func TestAThousandTwinsAreAThousandTurns(t *testing.T) {
	testPairs(t, 1, func(takes time.Duration) time.Duration {
		return time.Duration(rand.Int64N(int64(takes + 2*time.Second)))
	})
}

// A thousand visitors say the same thing again on purpose, more than two
// seconds after the answer.
func TestNoHonestRepeatIsSwallowed(t *testing.T) {
	testPairs(t, 2, func(takes time.Duration) time.Duration {
		return takes + 2*time.Second + 1 + time.Duration(rand.Int64N(int64(10*time.Second)))
	})
}

// testPairs sends a thousand prompts twice, the second time after offset, and
// wants calls of the bot for each.
func testPairs(t *testing.T, calls int, offset func(takes time.Duration) time.Duration) {
	const pairs = 1000
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		called := map[string]int{}
		takes := map[string]time.Duration{}
		for i := range pairs {
			takes[fmt.Sprintf("prompt %d", i)] = time.Duration(rand.Int64N(int64(3 * time.Second)))
		}
		store := parley.NewMemory()
		keys := map[string]string{}
		chat := newChat(t, parley.Config{Store: store, Bot: parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
			mu.Lock()
			called[turn.Prompt]++
			n, d := called[turn.Prompt], takes[turn.Prompt]
			keys[turn.Prompt] = turn.Session
			mu.Unlock()
			time.Sleep(d)
			return parley.Text(fmt.Sprint(n)), nil
		})})
		var wg sync.WaitGroup
		for i := range pairs {
			q := parley.Request{Session: fmt.Sprintf("session-%d", i), Prompt: fmt.Sprintf("prompt %d", i)}
			wg.Go(func() {
				first := send(t.Context(), chat, q)
				time.Sleep(offset(takes[q.Prompt]))
				second := <-send(t.Context(), chat, q)
				wantText(t, "the first", <-first, "1")
				wantText(t, "the second", second, fmt.Sprint(calls))
			})
		}
		wg.Wait()
		for prompt, n := range called {
			if n != calls {
				t.Errorf("%s: the bot was called %d times, want %d", prompt, n, calls)
			}
			records, err := store.Transcript(t.Context(), parley.Page{Session: keys[prompt], Limit: 10})
			if err != nil || len(records) != calls {
				t.Errorf("%s: %d turns are stored, %v; want %d", prompt, len(records), err, calls)
			}
		}
		if len(called) != pairs {
			t.Errorf("the bot heard %d prompts, want %d", len(called), pairs)
		}
	})
}

func TestTurnsOfASessionRunOneByOneInOrder(t *testing.T) {
	const prompts = 50
	synctest.Test(t, func(t *testing.T) {
		var running atomic.Int64
		var heard []string // the bot never runs twice at once, so no lock: the race detector would tell
		chat := newChat(t, parley.Config{Bot: parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
			if n := running.Add(1); n > 1 {
				t.Errorf("%d turns of one session run at once", n)
			}
			defer running.Add(-1)
			if heard = append(heard, turn.Prompt); turn.Seq != len(heard) {
				t.Errorf("%q is turn %d, want %d", turn.Prompt, turn.Seq, len(heard))
			}
			time.Sleep(time.Second)
			return recite(ctx, turn)
		})})
		var want []string
		var outcomes []<-chan outcome
		for i := range prompts {
			want = append(want, fmt.Sprintf("prompt %d", i))
			outcomes = append(outcomes, send(t.Context(), chat, parley.Request{Session: "s", Prompt: want[i]}))
			time.Sleep(time.Millisecond)
		}
		for i, o := range outcomes {
			if o := <-o; o.err != nil {
				t.Errorf("prompt %d got the error %v, want an answer", i, o.err)
			}
		}
		if !slices.Equal(heard, want) {
			t.Errorf("the bot heard %q, want the order of arrival", heard)
		}
	})
}

func TestSessionsDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chat := newChat(t, parley.Config{Bot: &slowBot{takes: time.Second}})
		began := time.Now()
		var outcomes []<-chan outcome
		for i := range 100 {
			outcomes = append(outcomes, send(t.Context(), chat, parley.Request{Session: fmt.Sprint("session-", i), Prompt: "Hello"}))
		}
		for _, o := range outcomes {
			<-o
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("a hundred sessions took %v, want the second that each takes", took)
		}
	})
}

func TestOneOfTwoWaitersLeaves(t *testing.T) {
	for _, leaves := range []string{"first", "twin"} {
		t.Run(leaves, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bot := &slowBot{takes: 30 * time.Second}
				chat := newChat(t, parley.Config{Bot: bot})
				q := parley.Request{Session: "s", Prompt: "Hello"}
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				stay := t.Context()
				contexts := map[string][2]context.Context{"first": {ctx, stay}, "twin": {stay, ctx}}[leaves]
				first := send(contexts[0], chat, q)
				synctest.Wait()
				twin := send(contexts[1], chat, q)
				time.Sleep(time.Second)
				leave()
				a, b := <-first, <-twin
				left, stayed := a, b
				if leaves == "twin" {
					left, stayed = b, a
				}
				wantCode(t, "the one that left", left.err, parley.CodeUnavailable)
				wantText(t, "the one that stayed", stayed, "answer 1 to Hello")
				if n := bot.cancelled.Load(); n != 0 {
					t.Errorf("the bot was told to stop %d times, want 0: somebody waited", n)
				}
			})
		})
	}
}

func TestBotIsStoppedASecondAfterTheLastClientLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bot := &slowBot{takes: 30 * time.Second}
		chat := newChat(t, parley.Config{Bot: bot})
		ctx, leave := context.WithCancel(t.Context())
		first := send(ctx, chat, parley.Request{Session: "s", Prompt: "Hello"})
		time.Sleep(time.Second)
		leave()
		if o := <-first; o.after != time.Second {
			t.Errorf("Answer returned after %v, want the second after which the client left", o.after)
		}
		time.Sleep(999 * time.Millisecond)
		synctest.Wait()
		if n := bot.cancelled.Load(); n != 0 {
			t.Fatal("the bot was told to stop within the second of grace")
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if n := bot.cancelled.Load(); n != 1 {
			t.Errorf("the bot was told to stop %d times a second after the client left, want 1", n)
		}
	})
}

func TestRetryWithinTheGraceJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bot := &slowBot{takes: 30 * time.Second}
		chat := newChat(t, parley.Config{Bot: bot})
		q := parley.Request{Session: "s", Prompt: "Hello"}
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		<-send(ctx, chat, q)
		time.Sleep(900 * time.Millisecond)
		wantText(t, "the retry", <-send(t.Context(), chat, q), "answer 1 to Hello")
		bot.wantCalls(t, 1)
	})
}

// Each leave begins a grace of its own, whatever was left of the one before.
func TestGraceBeginsAgainWhenARetryLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bot := &slowBot{takes: 30 * time.Second}
		chat := newChat(t, parley.Config{Bot: bot})
		q := parley.Request{Session: "s", Prompt: "Hello"}
		stay := func(d time.Duration) {
			ctx, leave := context.WithTimeout(t.Context(), d)
			defer leave()
			<-send(ctx, chat, q)
		}
		stay(time.Second)
		time.Sleep(800 * time.Millisecond)
		stay(100 * time.Millisecond)
		time.Sleep(800 * time.Millisecond)
		wantText(t, "the third try", <-send(t.Context(), chat, q), "answer 1 to Hello")
		bot.wantCalls(t, 1)
	})
}

// A bot may take a while to stop. Who comes back meanwhile waits for a turn of
// its own, and not for the end of the one that was given up.
func TestRetryDoesNotJoinATurnThatIsBeingStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		chat := newChat(t, parley.Config{Bot: parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
			if calls++; calls > 1 {
				return sayBack(ctx, turn)
			}
			<-ctx.Done()
			time.Sleep(5 * time.Second)
			return parley.Reply{}, ctx.Err()
		})})
		q := parley.Request{Session: "s", Prompt: "Hello"}
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		<-send(ctx, chat, q)
		time.Sleep(2 * time.Second)
		wantText(t, "the retry", <-send(t.Context(), chat, q), "You said: Hello")
	})
}

func TestRetryAfterTheGraceIsANewTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bot := &slowBot{takes: 30 * time.Second}
		chat := newChat(t, parley.Config{Bot: bot})
		q := parley.Request{Session: "s", Prompt: "Hello"}
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		<-send(ctx, chat, q)
		time.Sleep(1100 * time.Millisecond)
		wantText(t, "the retry", <-send(t.Context(), chat, q), "answer 2 to Hello")
		bot.wantCalls(t, 2)
	})
}

func TestFailedTurnLeavesNothingBehind(t *testing.T) {
	for _, test := range []struct {
		name string
		fail func() (parley.Reply, error)
		code parley.Code
	}{
		{"an error", func() (parley.Reply, error) { return parley.Reply{}, errors.New("boom") }, parley.CodeInternal},
		{"a panic", func() (parley.Reply, error) { panic("boom") }, parley.CodeInternal},
		{"an empty reply", func() (parley.Reply, error) { return parley.Reply{}, nil }, parley.CodeInternal},
		{"an error for the visitor", func() (parley.Reply, error) {
			return parley.Reply{}, fmt.Errorf("budget: %w", &parley.Error{Code: parley.CodeRateLimited, Message: "Enough for today"})
		}, parley.CodeRateLimited},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := parley.NewMemory()
				calls, session := 0, ""
				chat := newChat(t, parley.Config{Store: store, Bot: parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
					calls++
					session = turn.Session
					if calls == 1 {
						return test.fail()
					}
					return recite(ctx, turn)
				})})
				q := parley.Request{Session: "s", Prompt: "Hello"}
				_, err := chat.Answer(t.Context(), q)
				wantCode(t, "the first try", err, test.code)
				if got, want := answer(t, chat, q), "Hello"; got != want {
					t.Errorf("the second try got %q, want %q: the first must not be remembered", got, want)
				}
				records, err := store.Transcript(t.Context(), parley.Page{Session: session, Limit: 10})
				if err != nil || len(records) != 1 || records[0].Seq != 1 {
					t.Errorf("stored are %+v, %v; want one turn", records, err)
				}
			})
		})
	}
}

func TestAnswerTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bot := &slowBot{takes: time.Hour}
		chat := newChat(t, parley.Config{Bot: bot, AnswerTimeout: 5 * time.Second})
		o := <-send(t.Context(), chat, parley.Request{Session: "s", Prompt: "Hello"})
		wantCode(t, "the prompt", o.err, parley.CodeUnavailable)
		if o.after != 5*time.Second || bot.cancelled.Load() != 1 {
			t.Errorf("it took %v and %d cancelled calls; want 5s and 1", o.after, bot.cancelled.Load())
		}
	})
}

func TestDefaultAnswerTimeoutIsAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chat := newChat(t, parley.Config{Bot: &slowBot{takes: time.Hour}})
		if o := <-send(t.Context(), chat, parley.Request{Session: "s", Prompt: "Hello"}); o.after != time.Minute {
			t.Errorf("the prompt waited %v, want a minute", o.after)
		}
	})
}

func TestABotThatDoesNotStopIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bot := deafBot{make(chan struct{})}
		chat := newChat(t, parley.Config{Bot: bot, AnswerTimeout: 5 * time.Second})
		head := send(t.Context(), chat, parley.Request{Session: "s", Prompt: "one"})
		time.Sleep(2 * time.Second)
		queued := send(t.Context(), chat, parley.Request{Session: "s", Prompt: "two"})
		for what, o := range map[string]outcome{"the head of the queue": <-head, "the one behind it": <-queued} {
			wantCode(t, what, o.err, parley.CodeUnavailable)
			if o.after != 6*time.Second { // the timeout and a second for the bot to stop
				t.Errorf("%s was answered after %v, want 6s", what, o.after)
			}
		}
		close(bot.release)
		synctest.Wait()
		if got := answer(t, chat, parley.Request{Session: "s", Prompt: "three"}); got != "at last: three" {
			t.Errorf("the session got %q afterwards, want an answer", got)
		}
	})
}

func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chat := newChat(t, parley.Config{Bot: &slowBot{takes: 10 * time.Second}, MaxTurns: 2})
		one := send(t.Context(), chat, parley.Request{Session: "s", Prompt: "one"})
		two := send(t.Context(), chat, parley.Request{Session: "s", Prompt: "two"})
		synctest.Wait()
		refused := <-send(t.Context(), chat, parley.Request{Session: "t", Prompt: "three"})
		wantCode(t, "one prompt too many", refused.err, parley.CodeUnavailable)
		if refused.after != 0 {
			t.Errorf("it was refused after %v, want at once", refused.after)
		}
		twin := send(t.Context(), chat, parley.Request{Session: "s", Prompt: "one"})
		for what, o := range map[string]outcome{"the first": <-one, "its twin": <-twin, "the second": <-two} {
			if o.err != nil {
				t.Errorf("%s got the error %v, want an answer", what, o.err)
			}
		}
		if o := <-send(t.Context(), chat, parley.Request{Session: "t", Prompt: "three"}); o.err != nil {
			t.Errorf("when there was room again, a prompt got the error %v", o.err)
		}
	})
}

func TestShutdownFinishesWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chat := newChat(t, parley.Config{Bot: &slowBot{takes: 10 * time.Second}})
		running := send(t.Context(), chat, parley.Request{Session: "s", Prompt: "one"})
		queued := send(t.Context(), chat, parley.Request{Session: "s", Prompt: "two"})
		time.Sleep(time.Second)
		down := make(chan error, 1)
		go func() { down <- chat.Shutdown(t.Context()) }()
		synctest.Wait()
		refused := <-send(t.Context(), chat, parley.Request{Session: "t", Prompt: "three"})
		wantCode(t, "a new prompt", refused.err, parley.CodeUnavailable)
		twin := send(t.Context(), chat, parley.Request{Session: "s", Prompt: "one"})
		for what, o := range map[string]outcome{"the turn that ran": <-running, "its twin": <-twin, "the turn behind it": <-queued} {
			if o.err != nil {
				t.Errorf("%s got the error %v, want an answer", what, o.err)
			}
		}
		if err := <-down; err != nil {
			t.Errorf("Shutdown returned %v, want nil", err)
		}
		if err := chat.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown again returned %v, want nil", err)
		}
	})
}

func TestShutdownGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chat := newChat(t, parley.Config{Bot: &slowBot{takes: 30 * time.Second}})
		running := send(t.Context(), chat, parley.Request{Session: "s", Prompt: "one"})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		if err := chat.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 5*time.Second {
			t.Errorf("Shutdown returned %v after %v, want a deadline error after 5s", err, time.Since(began))
		}
		wantCode(t, "the turn that ran on", (<-running).err, parley.CodeUnavailable)
		if time.Since(began) > 6*time.Second {
			t.Errorf("the turn ran on until %v after the signal; want it cancelled", time.Since(began))
		}
	})
}

func TestOneSessionCannotTakeAllPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chat := newChat(t, parley.Config{Bot: &slowBot{takes: 30 * time.Second}, MaxTurns: 100})
		ctx, leave := context.WithCancel(t.Context())
		refused := 0
		var waiting []<-chan outcome
		for i := range 90 {
			waiting = append(waiting, send(ctx, chat, parley.Request{Session: "greedy", Prompt: fmt.Sprint("prompt ", i)}))
		}
		synctest.Wait()
		for _, w := range waiting {
			select {
			case o := <-w:
				wantCode(t, "one too many", o.err, parley.CodeUnavailable)
				refused++
			default:
			}
		}
		if refused != 90-64 {
			t.Errorf("%d of 90 messages of one session were refused; want all beyond 64", refused)
		}
		// When their clients leave, what has not begun gives its places back.
		leave()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for i := range 99 {
			o := send(t.Context(), chat, parley.Request{Session: fmt.Sprint("s", i), Prompt: "one"})
			synctest.Wait()
			select {
			case got := <-o:
				t.Fatalf("another session's message was refused: %v", got.err)
			default:
			}
		}
	})
}

func TestASlowCommitIsTakenBackAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slowCommits{Store: parley.NewMemory()}
		chat := newChat(t, parley.Config{Bot: &slowBot{}, Store: store})
		first := <-send(t.Context(), chat, parley.Request{Session: "s", Prompt: "one"})
		wantCode(t, "a message whose commit hangs", first.err, parley.CodeUnavailable)
		store.healed.Store(true)
		began := time.Now()
		if o := <-send(t.Context(), chat, parley.Request{Session: "s", Prompt: "one"}); o.err != nil || time.Since(began) > time.Second {
			t.Errorf("the retry got %v after %v; want an answer at once", o.err, time.Since(began))
		}
	})
}

// A slowCommits does not finish turns until it is healed.
type slowCommits struct {
	parley.Store
	healed atomic.Bool
}

func (s *slowCommits) Finish(ctx context.Context, turn parley.Record, reply parley.Reply, at time.Time) error {
	if !s.healed.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.Store.Finish(ctx, turn, reply, at)
}

// A panickyStore breaks when a turn begins.
type panickyStore struct{ parley.Store }

func (panickyStore) Begin(context.Context, parley.NewTurn) (parley.Begun, error) {
	panic("out of luck")
}

func TestAPanicOfAStoreEndsTheTurnOnly(t *testing.T) {
	chat := newChat(t, parley.Config{Bot: &slowBot{}, Store: panickyStore{parley.NewMemory()}})
	for range 2 { // the lane is free again
		_, err := chat.Answer(t.Context(), parley.Request{Session: "s", Prompt: "one"})
		wantCode(t, "a message", err, parley.CodeInternal)
	}
}
