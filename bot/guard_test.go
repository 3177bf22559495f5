package bot_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/bot"
	"github.com/parley-chat/parley/parleytest"
)

// A service is a bot made of what it does at each call, which counts its calls.
type service struct {
	do    func(ctx context.Context, call int, emit func(string)) error
	calls atomic.Int64
}

func (s *service) Reply(ctx context.Context, _ *parley.Turn, emit func(string)) (parley.Reply, error) {
	if err := s.do(ctx, int(s.calls.Add(1)), emit); err != nil {
		return parley.Reply{}, err
	}
	return parley.Text("hello"), nil
}

func (s *service) wantCalls(t *testing.T, want int64) {
	t.Helper()
	if got := s.calls.Swap(0); got != want {
		t.Errorf("the service was asked %d times; want %d", got, want)
	}
}

var (
	errAway   = &parley.Failure{Err: errors.New("away"), Temporary: true}
	errRefuse = &parley.Failure{Err: errors.New("refused")}
)

func newGuard(t testing.TB, b parley.Bot) *bot.Guard {
	t.Helper()
	guard, err := bot.NewGuard(bot.GuardConfig{Name: "service", Bot: b, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

func ask(ctx context.Context, b parley.Bot) error {
	_, err := b.Reply(ctx, turnOf("Hi"), func(string) {})
	return err
}

// hang waits until it is told to stop.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestGuardKeepsTheBotsContract(t *testing.T) {
	parleytest.Bot(t, newGuard(t, emitter{"hello", nil}), "Hi")
}

func TestGuardDeadlines(t *testing.T) {
	drip := func(every time.Duration, times int) func(context.Context, int, func(string)) error {
		return func(ctx context.Context, _ int, emit func(string)) error {
			for range times {
				time.Sleep(every)
				emit("a")
			}
			return ctx.Err()
		}
	}
	for _, test := range []struct {
		name  string
		do    func(ctx context.Context, call int, emit func(string)) error
		leave time.Duration // when the caller leaves; 0 for never
		want  string        // part of the error; empty for an answer
		after time.Duration
	}{
		{"an answer at once", drip(0, 0), 0, "", 0},
		{"an answer in the last second", drip(14*time.Second, 2), 0, "", 28 * time.Second},
		{"no text", func(ctx context.Context, _ int, emit func(string)) error { emit(""); return hang(ctx) }, 0, "service: no text within 15s, its time to begin", 15 * time.Second},
		{"text, and no end", func(ctx context.Context, _ int, emit func(string)) error { emit("a"); return hang(ctx) }, 0, "service: no more text within 15s", 15 * time.Second},
		{"text, and no end after a while", func(ctx context.Context, _ int, emit func(string)) error {
			drip(14*time.Second, 2)(ctx, 0, emit)
			return hang(ctx)
		}, 0, "service: no more text within 15s", 43 * time.Second},
		{"a drip without end", drip(time.Second, 46), 0, "service: no whole answer within 45s, its time to end", 46 * time.Second},
		{"the caller leaves", func(ctx context.Context, _ int, emit func(string)) error { return hang(ctx) }, time.Second, "context canceled", time.Second},
		{"the caller leaves before a retry", func(context.Context, int, func(string)) error { return errAway }, 50 * time.Millisecond, "context canceled", 50 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if test.leave > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithCancel(ctx)
					time.AfterFunc(test.leave, cancel)
				}
				began := time.Now()
				s := &service{do: test.do}
				err := ask(ctx, newGuard(t, s))
				if took := time.Since(began); took != test.after {
					t.Errorf("Reply took %v; want %v", took, test.after)
				}
				s.wantCalls(t, 1)
				if test.want == "" {
					if err != nil {
						t.Errorf("Reply = %v; want an answer", err)
					}
					return
				}
				var failure *parley.Failure
				failed := errors.As(err, &failure) && failure.Temporary
				if wantFailure := test.leave == 0; err == nil || err.Error() != test.want || failed != wantFailure || errors.Is(err, parley.ErrPass) != wantFailure {
					t.Errorf("Reply = %v; want %q, a temporary failure: %v", err, test.want, wantFailure)
				}
			})
		})
	}
}

// begin says one word and hangs.
func begin(ctx context.Context, _ int, emit func(string)) error {
	emit("Well")
	return hang(ctx)
}

// TestChainEndsWithinTheTurnsDeadline has every service stall in its answer.
func TestChainEndsWithinTheTurnsDeadline(t *testing.T) {
	for name, last := range map[string][]parley.Bot{"with a text": {emitter{"Sorry.", nil}}, "without one": nil} {
		for _, services := range []int{1, 2, 3, 5} {
			synctest.Test(t, func(t *testing.T) {
				var chain []parley.Bot
				for range services {
					guard, err := bot.NewGuard(bot.GuardConfig{Name: "service", Bot: &service{do: begin}, Answer: 2250 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
					if err != nil {
						t.Fatal(err)
					}
					chain = append(chain, guard)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				reply, err := bot.FirstOf(append(chain, last...)...).Reply(ctx, turnOf("Hi"), func(string) {})
				if last != nil && (err != nil || reply.Text != "Sorry.") || last == nil && !errors.Is(err, parley.ErrPass) {
					t.Errorf("%s, behind %d services: Reply = %q, %v; want the text, or a pass", name, services, reply.Text, err)
				}
				if ctx.Err() != nil {
					t.Errorf("%s, behind %d services: it ended after the turn's deadline; want time to be left", name, services)
				}
				if services > 2 && last == nil && !strings.Contains(err.Error(), "service: not asked, because the turn's deadline is near") {
					t.Errorf("Reply = %v; want the reason why the last service was not asked", err)
				}
			})
		}
	}
}

// A service that had less time than it is meant to have is not blamed.
func TestGuardBlamesNoServiceForTheTurnsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{do: begin}
		guard := newGuard(t, s)
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := ask(ctx, guard); !errors.Is(err, parley.ErrPass) || !strings.Contains(err.Error(), "no whole answer within 900ms, because the turn's deadline is near") {
				t.Errorf("Reply = %v; want a pass that names the deadline", err)
			}
			cancel()
		}
		s.wantCalls(t, 10)
	})
}

func TestGuardWaitsForNoRetryAfterWhereAServiceIsNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{do: func(_ context.Context, call int, _ func(string)) error {
			if call == 1 {
				return &parley.Failure{Err: errors.New("busy"), Temporary: true, RetryAfter: time.Second}
			}
			return nil
		}}
		began := time.Now()
		if err := ask(t.Context(), newGuardBefore(t, s)); !errors.Is(err, parley.ErrPass) || time.Since(began) > 0 {
			t.Errorf("Reply = %v after %v; want a pass at once", err, time.Since(began))
		}
		s.wantCalls(t, 1)
	})
}

// newGuardBefore returns a guard behind which another service is asked.
func newGuardBefore(t *testing.T, b parley.Bot) *bot.Guard {
	t.Helper()
	guard, err := bot.NewGuard(bot.GuardConfig{Name: "service", Bot: b, HasNext: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

func TestGuardTriesAgain(t *testing.T) {
	after := func(d time.Duration) *parley.Failure {
		return &parley.Failure{Err: errors.New("busy"), Temporary: true, RetryAfter: d}
	}
	for _, test := range []struct {
		name     string
		errs     []error // of one call after the other
		text     string  // emitted before each
		calls    int64
		err      error
		min, max time.Duration
	}{
		{"an answer", []error{nil}, "", 1, nil, 0, 0},
		{"a temporary failure", []error{errAway, nil}, "", 2, nil, 100 * time.Millisecond, 300 * time.Millisecond},
		{"two of them", []error{errAway, errAway, nil}, "", 2, errAway, 100 * time.Millisecond, 300 * time.Millisecond},
		{"a failure that stays", []error{errRefuse, nil}, "", 1, errRefuse, 0, 0},
		{"a temporary failure after text", []error{errAway, nil}, "Well, ", 1, errAway, 0, 0},
		{"a bot that passes", []error{parley.ErrPass, nil}, "", 1, parley.ErrPass, 0, 0},
		{"an error", []error{context.Canceled, nil}, "", 1, context.Canceled, 0, 0},
		{"a failure that asks for a rest", []error{after(5 * time.Second), nil}, "", 2, nil, 5 * time.Second, 5 * time.Second},
		{"a failure that asks for a long rest", []error{after(6 * time.Second), nil}, "", 1, parley.ErrPass, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{do: func(_ context.Context, call int, emit func(string)) error {
					emit(test.text)
					return test.errs[call-1]
				}}
				began := time.Now()
				err := ask(t.Context(), newGuard(t, s))
				if !errors.Is(err, test.err) {
					t.Errorf("Reply = %v; want %v", err, test.err)
				}
				if took := time.Since(began); took < test.min || took > test.max {
					t.Errorf("Reply took %v; want %v to %v", took, test.min, test.max)
				}
				s.wantCalls(t, test.calls)
			})
		})
	}
}

// TestGuardRetriesWithinABudget asks a service whose every other call fails, so
// that the breaker never opens.
func TestGuardRetriesWithinABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{do: func(_ context.Context, call int, _ func(string)) error {
			if call%2 == 1 {
				return errAway
			}
			return nil
		}}
		guard := newGuard(t, s)
		const turns = 1000
		calls := [turns + 1]int64{} // before each turn
		for i := range turns {
			if i == 400 {
				s.do = func(context.Context, int, func(string)) error { return nil } // good times, in which retries are earned
			}
			if i == 600 {
				s.do = func(_ context.Context, call int, _ func(string)) error {
					if call%2 == 1 {
						return errAway
					}
					return nil
				}
			}
			ask(t.Context(), guard)
			calls[i+1] = s.calls.Load()
		}
		if retries := calls[turns] - turns; retries < turns/40 {
			t.Errorf("%d of %d turns were tried again; want some", retries, turns)
		}
		for from := range calls {
			for to := from + 100; to < len(calls); to++ {
				if n, most := calls[to]-calls[from], float64(to-from)*1.1; float64(n) > most {
					t.Fatalf("turns %d to %d made %d calls; want %.1f at most", from, to, n, most)
				}
			}
		}
	})
}

// downFor makes a service that answers again after a while.
func downFor(outage time.Duration, how func(context.Context) error) *service {
	up := time.Now().Add(outage)
	return &service{do: func(ctx context.Context, _ int, _ func(string)) error {
		if time.Now().Before(up) {
			return how(ctx)
		}
		return nil
	}}
}

func away(context.Context) error { return errAway }

func TestGuardDoesNotAskAServiceThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := downFor(time.Hour, away)
		guard := newGuard(t, s)
		for range 3 {
			ask(t.Context(), guard) // and again: 5 calls, and a sixth that is not made
		}
		s.wantCalls(t, 5)

		began := time.Now()
		for range 100 {
			if err := ask(t.Context(), guard); !errors.Is(err, parley.ErrPass) || !strings.Contains(err.Error(), "service is not asked until") {
				t.Fatalf("Reply = %v; want a pass that says until when", err)
			}
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("it passed after %v; want at once", took)
		}
		s.wantCalls(t, 0)

		time.Sleep(5 * time.Second)
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() { ask(t.Context(), guard) })
		}
		group.Wait()
		s.wantCalls(t, 1)
		time.Sleep(9 * time.Second)
		ask(t.Context(), guard)
		s.wantCalls(t, 0)
		time.Sleep(time.Second)
		ask(t.Context(), guard)
		s.wantCalls(t, 1)
	})
}

func TestGuardSendsOneProbeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := downFor(time.Minute, away)
		guard := newGuard(t, s)
		for range 3 {
			ask(t.Context(), guard)
		}
		time.Sleep(time.Minute)
		s.calls.Store(0)
		s.do = func(context.Context, int, func(string)) error { time.Sleep(3 * time.Second); return nil }

		probe := make(chan error)
		go func() { probe <- ask(t.Context(), guard) }()
		synctest.Wait()
		if err := ask(t.Context(), guard); !errors.Is(err, parley.ErrPass) {
			t.Errorf("while a probe is out, Reply = %v; want a pass", err)
		}
		if err := <-probe; err != nil {
			t.Errorf("the probe got %v; want the answer", err)
		}
		if err := ask(t.Context(), guard); err != nil {
			t.Errorf("after the probe, Reply = %v; want an answer", err)
		}
		s.wantCalls(t, 2)
	})
}

// TestGuardFindsAServiceThatIsBack measures how long turns are without answers
// after outages of many lengths.
func TestGuardFindsAServiceThatIsBack(t *testing.T) {
	for name, how := range map[string]func(context.Context, func(string)) error{
		"away":             func(ctx context.Context, _ func(string)) error { return away(ctx) },
		"hangs":            func(ctx context.Context, _ func(string)) error { return hang(ctx) },
		"hangs after text": func(ctx context.Context, emit func(string)) error { emit("a"); return hang(ctx) },
		"drips without end": func(ctx context.Context, emit func(string)) error {
			for ctx.Err() == nil {
				emit("a")
				time.Sleep(time.Second)
			}
			return ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for range 50 {
					outage := rand.N(3 * time.Minute)
					back := time.Now().Add(outage)
					guard := newGuard(t, &service{do: func(ctx context.Context, _ int, emit func(string)) error {
						if time.Now().Before(back) {
							return how(ctx, emit)
						}
						return nil
					}})
					var found atomic.Int64
					var group sync.WaitGroup
					for time.Since(back) < 20*time.Second {
						group.Go(func() {
							if ask(t.Context(), guard) == nil {
								found.CompareAndSwap(0, time.Now().UnixNano())
							}
						})
						time.Sleep(200 * time.Millisecond)
					}
					group.Wait()
					if took := time.Unix(0, found.Load()).Sub(back); found.Load() == 0 || took > 15*time.Second+200*time.Millisecond {
						t.Errorf("after an outage of %v the service was found %v after it was back; want 15s at most", outage, took)
					}
				}
			})
		})
	}
}

// downGuard returns a guard whose breaker a service has opened, at a time when
// the next call is a probe.
func downGuard(t *testing.T) (*bot.Guard, *service) {
	t.Helper()
	s := downFor(time.Minute, away)
	guard := newGuard(t, s)
	for range 3 {
		ask(t.Context(), guard)
	}
	time.Sleep(time.Minute)
	s.calls.Store(0)
	return guard, s
}

// The first text of a probe makes room for the next one, and its answer for all.
func TestGuardSendsTheNextProbeAfterTheFirstTextOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard, s := downGuard(t)
		s.do = func(_ context.Context, _ int, emit func(string)) error {
			time.Sleep(time.Second)
			emit("Well, ")
			time.Sleep(10 * time.Second)
			return nil
		}
		began := time.Now()
		var group sync.WaitGroup
		for _, step := range []struct {
			at    time.Duration
			turns int
			calls int64
		}{
			{0, 2, 1}, {time.Second - 1, 2, 1}, {time.Second + 1, 2, 2}, {2*time.Second + 2, 2, 3}, // one after the other
			{3*time.Second + 3, 2, 3}, {11*time.Second - 1, 2, 3}, // but three at once
			{11*time.Second + 1, 20, 23},
		} {
			time.Sleep(step.at - time.Since(began))
			for range step.turns {
				group.Go(func() { ask(t.Context(), guard) })
			}
			synctest.Wait()
			if got := s.calls.Load(); got != step.calls {
				t.Errorf("after %v the service was asked %d times; want %d", step.at, got, step.calls)
			}
		}
		group.Wait()
	})
}

// Probes that hang are given up after 15s, and bar others for 10s only.
func TestGuardSendsAnotherProbeWhereOneHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard, s := downGuard(t)
		s.do = func(ctx context.Context, call int, _ func(string)) error {
			if call <= 2 {
				return hang(ctx)
			}
			return nil
		}
		began := time.Now()
		var group sync.WaitGroup
		for _, step := range []struct {
			at    time.Duration
			calls int64
		}{{0, 1}, {10*time.Second - 1, 1}, {10 * time.Second, 2}, {15*time.Second + 1, 2}, {20*time.Second - 1, 2}, {20 * time.Second, 3}, {20*time.Second + 1, 4}} {
			time.Sleep(step.at - time.Since(began))
			group.Go(func() { ask(t.Context(), guard) })
			synctest.Wait()
			if got := s.calls.Load(); got != step.calls {
				t.Errorf("after %v the service was asked %d times; want %d", step.at, got, step.calls)
			}
		}
		group.Wait()
		if err := ask(t.Context(), guard); err != nil {
			t.Errorf("after all probes, Reply = %v; want an answer", err)
		}
	})
}

// A service that begins every answer and ends none is asked no more often for it.
func TestGuardStaysOpenUntilAProbeIsAnswered(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(ctx context.Context, _ int, emit func(string)) error
		want int64 // calls in a minute of five turns a second
	}{
		{"it breaks off at once", func(_ context.Context, _ int, emit func(string)) error { emit("a"); return errAway }, 6},
		{"it breaks off after a while", func(_ context.Context, _ int, emit func(string)) error {
			time.Sleep(time.Second)
			emit("a")
			time.Sleep(1500 * time.Millisecond)
			return errAway
		}, 15},
		{"it hangs", func(ctx context.Context, _ int, emit func(string)) error { emit("a"); return hang(ctx) }, 13},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				guard, s := downGuard(t)
				s.do = test.do
				var group sync.WaitGroup
				for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(200 * time.Millisecond) {
					group.Go(func() { ask(t.Context(), guard) })
				}
				s.wantCalls(t, test.want)
				group.Wait()
			})
		})
	}
}

// The first text of a probe says nothing of the one that began after it.
func TestGuardWaitsForTheNewestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard, s := downGuard(t)
		s.do = func(ctx context.Context, call int, emit func(string)) error {
			if call == 1 {
				time.Sleep(12 * time.Second)
				emit("a")
			}
			return hang(ctx)
		}
		var group sync.WaitGroup
		for _, after := range []time.Duration{0, 10 * time.Second, 3 * time.Second} {
			time.Sleep(after)
			group.Go(func() { ask(t.Context(), guard) })
		}
		synctest.Wait()
		s.wantCalls(t, 2)
		group.Wait()
	})
}

// A call that began before the service failed says nothing of it now.
func TestGuardIsNotClosedByAnOlderCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{do: func(ctx context.Context, call int, _ func(string)) error {
			switch {
			case call == 1:
				time.Sleep(6 * time.Second)
				return nil
			case call <= 6:
				return errAway
			}
			return hang(ctx)
		}}
		guard := newGuard(t, s)
		var group sync.WaitGroup
		group.Go(func() { ask(t.Context(), guard) })
		synctest.Wait()
		for range 3 {
			ask(t.Context(), guard)
		}
		group.Wait()
		s.calls.Store(6)
		for range 5 {
			group.Go(func() { ask(t.Context(), guard) })
		}
		synctest.Wait()
		if got := s.calls.Load() - 6; got != 1 {
			t.Errorf("the service was asked %d times; want one probe", got)
		}
		group.Wait()
	})
}

// One probe's answer does not end the rest that the service asked another for.
func TestGuardRestsThoughAnOlderProbeIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard, s := downGuard(t)
		s.do = func(_ context.Context, call int, _ func(string)) error {
			if call == 1 {
				time.Sleep(12 * time.Second)
				return nil
			}
			return &parley.Failure{Err: errors.New("busy"), Temporary: true, RetryAfter: time.Minute}
		}
		var group sync.WaitGroup
		group.Go(func() { ask(t.Context(), guard) })
		time.Sleep(10 * time.Second)
		ask(t.Context(), guard)
		group.Wait()
		s.wantCalls(t, 2)
		time.Sleep(58*time.Second - 1)
		ask(t.Context(), guard)
		s.wantCalls(t, 0)
	})
}

// What cannot be tried again is passed on at once, and costs no retry.
func TestGuardDoesNotTryAgainWhereTheServiceIsNotAskedThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := downFor(time.Hour, away)
		guard := newGuard(t, s)
		ask(t.Context(), guard)
		ask(t.Context(), guard) // each twice, so that two of five retries are spent
		for name, rest := range []time.Duration{0, time.Minute, time.Minute, time.Minute} {
			time.Sleep(rest)
			began := time.Now()
			ask(t.Context(), guard)
			if took := time.Since(began); took > 0 {
				t.Errorf("failure %d, of which the first opens the breaker and the others are probes, was passed on after %v; want at once", name, took)
			}
		}
		time.Sleep(time.Hour)
		s.calls.Store(0)
		s.do = func(_ context.Context, call int, _ func(string)) error {
			if call%2 == 0 { // the first is a probe
				return errAway
			}
			return nil
		}
		for turn := range 4 {
			if err := ask(t.Context(), guard); err != nil {
				t.Errorf("turn %d: Reply = %v; want an answer, three of them to a retry", turn, err)
			}
		}
		s.wantCalls(t, 7)
	})
}

// TestGuardBlamesTheServiceForItsOwnFailuresOnly has many calls end without a
// temporary failure, and expects the next one to be made.
func TestGuardBlamesTheServiceForItsOwnFailuresOnly(t *testing.T) {
	for name, do := range map[string]func(context.Context, int, func(string)) error{
		"refused prompts that ask for a rest": func(context.Context, int, func(string)) error {
			return &parley.Failure{Err: errors.New("too long"), RetryAfter: time.Hour}
		},
		"refused prompts":    func(context.Context, int, func(string)) error { return errRefuse },
		"passes":             func(context.Context, int, func(string)) error { return parley.ErrPass },
		"errors":             func(context.Context, int, func(string)) error { return errors.New("no history") },
		"callers that leave": func(ctx context.Context, _ int, _ func(string)) error { return hang(ctx) },
		"failures between answers": func(_ context.Context, call int, _ func(string)) error {
			if call%5 > 0 {
				return errAway
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{do: do}
				guard := newGuard(t, s)
				for range 20 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					ask(ctx, guard)
					cancel()
				}
				s.calls.Store(0)
				s.do = func(context.Context, int, func(string)) error { return nil }
				if err := ask(t.Context(), guard); err != nil {
					t.Errorf("Reply = %v; want the service to be asked", err)
				}
			})
		})
	}
}

// A probe that says nothing about the service makes room for the next one.
func TestGuardSendsAnotherProbeWhereOneWasCalledOff(t *testing.T) {
	for name, probe := range map[string]func(t *testing.T, s *service, guard *bot.Guard){
		"the caller left": func(t *testing.T, s *service, guard *bot.Guard) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			s.do = func(ctx context.Context, _ int, _ func(string)) error { return hang(ctx) }
			ask(ctx, guard)
		},
		"the bot panicked": func(t *testing.T, s *service, guard *bot.Guard) {
			defer func() {
				if recover() == nil {
					t.Error("the panic was lost; want it to reach the engine")
				}
			}()
			s.do = func(context.Context, int, func(string)) error { panic("out of order") }
			ask(t.Context(), guard)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := downFor(time.Minute, away)
				guard := newGuard(t, s)
				for range 3 {
					ask(t.Context(), guard)
				}
				time.Sleep(time.Minute)
				probe(t, s, guard)
				s.calls.Store(0)
				s.do = func(context.Context, int, func(string)) error { return nil }
				if err := ask(t.Context(), guard); err != nil {
					t.Errorf("Reply = %v; want the next probe's answer", err)
				}
				s.wantCalls(t, 1)
			})
		})
	}
}

func TestGuardObeysRetryAfter(t *testing.T) {
	for _, test := range []struct{ says, rests time.Duration }{
		{4 * time.Second, 4 * time.Second},
		{8 * time.Second, 8 * time.Second},
		{5 * time.Minute, 5 * time.Minute},
		{24 * time.Hour, 10 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &service{do: func(context.Context, int, func(string)) error {
				return &parley.Failure{Err: errors.New("busy"), Temporary: true, RetryAfter: test.says}
			}}
			guard := newGuardBefore(t, s)
			ask(t.Context(), guard)
			s.wantCalls(t, 1)
			for range 3 { // each time that it says so
				time.Sleep(test.rests - time.Nanosecond)
				ask(t.Context(), guard)
				s.wantCalls(t, 0)
				time.Sleep(time.Nanosecond)
				ask(t.Context(), guard)
				s.wantCalls(t, 1)
			}
		})
	}
}

// A service that wants to be left alone for minutes is, whatever comes later of
// calls that began before.
func TestGuardObeysTheLongestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{do: func(_ context.Context, call int, _ func(string)) error {
			switch {
			case call == 1:
				time.Sleep(time.Second)
				return &parley.Failure{Err: errors.New("busy"), Temporary: true, RetryAfter: 5 * time.Minute}
			case call == 2:
				time.Sleep(2 * time.Second)
				return &parley.Failure{Err: errors.New("busy"), Temporary: true, RetryAfter: time.Second}
			case call <= 10:
				time.Sleep(3 * time.Second)
				return errAway
			}
			return nil
		}}
		guard := newGuard(t, s)
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() { ask(t.Context(), guard) })
		}
		group.Wait()
		s.wantCalls(t, 10)
		time.Sleep(5*time.Minute - 2*time.Second - 1)
		ask(t.Context(), guard)
		s.wantCalls(t, 0)
		time.Sleep(time.Nanosecond)
		ask(t.Context(), guard)
		s.wantCalls(t, 1)
	})
}

func TestGuardLogsAnOutageInAFewLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := downFor(time.Minute, away)
		guard, err := bot.NewGuard(bot.GuardConfig{Name: "service", Bot: s, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			ask(t.Context(), guard)
			time.Sleep(100 * time.Millisecond)
		}
		for line, want := range map[string]int{
			"level=": 9,
			`level=WARN msg="a bot failed" bot=service error=away left_out=`:              7, // the first and six probes
			`level=WARN msg="a bot failed" bot=service error=away left_out=4`:             1,
			`level=WARN msg="a bot is not asked for now" bot=service error=away until=20`: 1,
			`level=INFO msg="a bot answers again" bot=service`:                            1,
		} {
			if got := strings.Count(log.String(), line); got != want {
				t.Errorf("the log has %d times %s; want %d", got, line, want)
			}
		}
		if t.Failed() {
			t.Logf("the log:\n%s", &log)
		}
	})
}

func TestNewGuardTellsAllProblems(t *testing.T) {
	for _, test := range []struct {
		cfg  bot.GuardConfig
		want []string // paths
	}{
		{bot.GuardConfig{}, []string{"Name", "Bot"}},
		{bot.GuardConfig{Name: "a", Bot: emitter{}, FirstText: -1, Answer: -1}, []string{"Answer", "FirstText"}},
		{bot.GuardConfig{Name: "a", Bot: emitter{}, FirstText: time.Minute}, []string{"FirstText"}},
		{bot.GuardConfig{Name: "a", Bot: emitter{}, Gap: time.Minute}, []string{"Gap"}},
		{bot.GuardConfig{Name: "a", Bot: emitter{}, Gap: -1}, []string{"Gap"}},
		{bot.GuardConfig{Name: "a", Bot: emitter{}, Answer: time.Second}, nil},
	} {
		_, err := bot.NewGuard(test.cfg)
		if got := pathsOf(err); !reflect.DeepEqual(got, test.want) {
			t.Errorf("NewGuard(%+v): problems at %q; want %q", test.cfg, got, test.want)
		}
	}
}

// pathsOf returns where an error finds problems.
func pathsOf(err error) (paths []string) {
	var problems parley.Problems
	errors.As(err, &problems)
	for _, p := range problems {
		paths = append(paths, p.Path)
	}
	return paths
}

func BenchmarkGuardWhileTheServiceIsDown(b *testing.B) {
	guard := newGuard(b, downFor(time.Hour, away))
	for range 5 {
		ask(b.Context(), guard)
	}
	turn := turnOf("Hi")
	for b.Loop() {
		guard.Reply(b.Context(), turn, nil)
	}
}
