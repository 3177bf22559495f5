package providers_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/providertest"
)

const (
	// visitors talk at once: enough to open a breaker in one go.
	visitors = 6
	// firstText and wholeAnswer are the deadlines of each model, and deadline is
	// that of a turn, in which both models may use up theirs.
	firstText   = 1500 * time.Millisecond
	wholeAnswer = 2 * time.Second
	deadline    = 6 * time.Second
	// openFast is how long a turn may take where a breaker keeps a provider from
	// being asked: the 99th percentile of a batch, the best of so many. A busy
	// machine only ever adds to it.
	openFast = 50 * time.Millisecond
	batches  = 5
	// recoversSoon is how long a provider that is well again may be left alone.
	recoversSoon = 15 * time.Second

	firstSays  = "The first one answers."
	secondSays = "The second one answers."
	apology    = "I'm having trouble processing your request. Please try again."
)

// failures are the ways in which a provider may fail, and in which it may not.
func failures() []providertest.Mode {
	return append(providertest.Modes(), providertest.Refused)
}

// fateOf returns what becomes of a failure. One that asking again cannot help is
// none of the breaker's business.
func fateOf(mode providertest.Mode) fate {
	switch mode {
	case providertest.OK, providertest.Length:
		return fate{says: firstSays}
	case providertest.Refusal:
		return fate{says: providertest.RefusalText}
	case providertest.Huge, providertest.Filtered, providertest.Empty, providertest.NoStream, providertest.Redirect, providertest.Refused:
		return fate{}
	}
	return fate{opens: true}
}

// A fate is what becomes of a provider's failure.
type fate struct {
	opens bool   // the breaker opens
	says  string // what the visitor reads; empty where the next bot is asked
}

// script is how a provider fails.
func script(mode providertest.Mode, says string) providertest.Script {
	s := providertest.Script{Mode: mode, Pieces: strings.SplitAfter(says, " "), Status: http.StatusUnauthorized}
	switch mode {
	case providertest.RateLimited:
		s.RetryAfter = "7"
	case providertest.Drip: // ten times as long as an answer may take
		s.Pieces, s.Delay = slices.Repeat([]string{"word "}, 100), wholeAnswer/10
	}
	return s
}

// A trouble is a scene in which a provider fails, or both do.
type trouble struct {
	*scene
	mode     providertest.Mode
	fate     fate
	fallback bool // the second provider is well
	sent     atomic.Int64
	sessions [visitors]string

	mu         sync.Mutex
	complaints []string
}

func newTrouble(t testing.TB, mode providertest.Mode, fallback bool, arrange arrangement) *trouble {
	t.Helper()
	tr := &trouble{scene: open(t, deadline, arrange), mode: mode, fate: fateOf(mode), fallback: fallback}
	tr.first.Set(script(mode, firstSays))
	tr.second.Set(script(mode, secondSays))
	if fallback {
		tr.second.Set(script(providertest.OK, secondSays))
	}
	for i := range tr.sessions {
		tr.sessions[i] = uuid.NewString()
	}
	return tr
}

// wants returns what visitors read while the first provider fails.
func (tr *trouble) wants() string {
	switch {
	case tr.fate.says != "":
		return tr.fate.says
	case tr.fallback:
		return secondSays
	}
	return apology
}

// talk has the visitors take a number of turns, half of them streamed, and
// returns how long each took.
func (tr *trouble) talk(ctx context.Context, turns int) []time.Duration {
	var left atomic.Int64
	left.Store(int64(turns))
	took := make(chan time.Duration, turns)
	var talking sync.WaitGroup
	for visitor := range visitors {
		talking.Go(func() {
			for left.Add(-1) >= 0 {
				a, text := tr.turn(ctx, visitor)
				took <- a.took
				if text != tr.wants() {
					tr.complain("a turn is answered with %q, want %q", text, tr.wants())
				}
			}
		})
	}
	talking.Wait()
	close(took)
	var all []time.Duration
	for d := range took {
		all = append(all, d)
	}
	return all
}

// turn takes one turn and returns what the visitor read.
func (tr *trouble) turn(ctx context.Context, visitor int) (answer, string) {
	n := tr.sent.Add(1)
	m := message{session: tr.sessions[visitor], prompt: fmt.Sprintf("Where is order %d?", n), stream: n%2 == 0}
	a, err := tr.ask(ctx, m)
	var text string
	if err == nil {
		text, err = a.text()
	}
	if err != nil {
		tr.complain("%q: %v", m.prompt, err)
	}
	if a.took > deadline {
		tr.complain("%q took %v, want %v at most", m.prompt, a.took, deadline)
	}
	return a, text
}

// checkCalls holds the number of calls against the number of turns.
func (tr *trouble) checkCalls() {
	for name, server := range map[string]*providertest.Server{"first": tr.first, "second": tr.second} {
		if turns := tr.sent.Load(); int64(server.Count())*10 > turns*11 {
			tr.complain("the %s provider got %d calls for %d turns, want 1.1 a turn at most", name, server.Count(), turns)
		}
	}
}

func (tr *trouble) complain(format string, args ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.complaints = append(tr.complaints, fmt.Sprintf(format, args...))
}

// report fails the test where there are complaints.
func (tr *trouble) report(t *testing.T) {
	t.Helper()
	for i, c := range tr.complaints {
		if i == 3 {
			t.Errorf("%s: and %d complaints more", tr.name(), len(tr.complaints)-i)
			break
		}
		t.Errorf("%s: %s", tr.name(), c)
	}
	tr.complaints = nil
}

func (tr *trouble) name() string {
	if tr.fallback {
		return string(tr.mode) + ", the next one answers"
	}
	return string(tr.mode) + ", everybody fails"
}

func percentile(of []time.Duration, percent int) time.Duration {
	slices.Sort(of)
	return of[(len(of)-1)*percent/100]
}

// TestFailingProvider takes 500 turns with each failure: half of them where the
// second provider is well, and half where it fails in the same way. Then all
// providers are well again.
func TestFailingProvider(t *testing.T) {
	var troubles []*trouble
	for _, mode := range failures() {
		for _, fallback := range []bool{true, false} {
			troubles = append(troubles, newTrouble(t, mode, fallback, guarded(firstText, wholeAnswer)))
		}
	}
	for both := range slices.Chunk(troubles, 2) {
		t.Run(string(both[0].mode), func(t *testing.T) { fail(t, both) })
	}
	t.Run("recovery", func(t *testing.T) { recoverAll(t, troubles) })
}

// fail takes the turns of troubles with one failure.
func fail(t *testing.T, troubles []*trouble) {
	turns := short(500) / len(troubles)
	opening := max(turns/5, 2*visitors) // enough for a breaker to open
	all := make([][]time.Duration, len(troubles))
	best := make([]time.Duration, len(troubles))
	var failing sync.WaitGroup
	for i, tr := range troubles {
		failing.Go(func() {
			all[i] = tr.talk(t.Context(), opening)
			var open []time.Duration
			open, best[i] = tr.talkOn(t.Context(), turns-opening)
			all[i] = append(all[i], open...)
			tr.checkCalls()
		})
		if !tr.fate.opens { // it keeps the processors busy, and not the clock
			failing.Wait()
		}
	}
	failing.Wait()
	calls := 0
	for _, tr := range troubles {
		tr.report(t)
		calls += tr.first.Count()
	}
	took := slices.Concat(all...)
	t.Logf("turns=%d calls of the first=%d took: p50=%v p99=%v max=%v; last turns: best p99=%v", len(took), calls,
		percentile(took, 50), percentile(took, 99), percentile(took, 100), slices.Max(best))
}

// talkOn takes turns in batches, when a breaker should be open. It returns how
// long each took, and the best batch's 99th percentile.
func (tr *trouble) talkOn(ctx context.Context, turns int) (all []time.Duration, best time.Duration) {
	before := tr.first.Count()
	best = time.Hour
	for range batches {
		took := tr.talk(ctx, turns/batches)
		best = min(best, percentile(took, 99))
		all = append(all, took...)
	}
	// If this takes long, the breaker tries the provider again; one that begins an
	// answer, and does not end it, is then asked by some more.
	if more := tr.first.Count() - before; tr.fate.opens && more > len(all)/5 {
		tr.complain("the first provider got %d calls in the last %d turns, want an open breaker", more, len(all))
	}
	if tr.fate.opens && best > openFast {
		tr.complain("with an open breaker, the 99th percentile of a turn is %v at best; want %v at most", best, openFast)
	}
	return all, best
}

// recoverAll heals all first providers at once, and waits until each answers.
func recoverAll(t *testing.T, troubles []*trouble) {
	took := make([]time.Duration, len(troubles))
	var recovering sync.WaitGroup
	for i, tr := range troubles {
		recovering.Go(func() {
			tr.turn(t.Context(), 0) // finds that it is still away, where it may try
			tr.first.Set(script(providertest.OK, firstSays))
			took[i] = tr.recover(t.Context())
		})
	}
	recovering.Wait()
	for i, tr := range troubles {
		tr.report(t)
		if took[i] > recoversSoon {
			t.Errorf("%s: the provider was asked again after %v, want %v at most", tr.name(), took[i], recoversSoon)
		}
	}
	t.Logf("providers=%d recovered in: p50=%v max=%v", len(took), percentile(took, 50), percentile(took, 100))
}

// recover returns how long it takes until the first provider answers. It gives
// up after twice the time that it may take.
func (tr *trouble) recover(ctx context.Context) time.Duration {
	well := time.Now()
	for time.Since(well) < 2*recoversSoon {
		switch _, text := tr.turn(ctx, 0); text {
		case firstSays:
			return time.Since(well)
		case tr.wants():
		default:
			tr.complain("after the provider was well again, a turn was answered with %q", text)
		}
		time.Sleep(200 * time.Millisecond)
	}
	return time.Since(well)
}

// TestFindsFlaws is the control: chains that lack what a guard does.
func TestFindsFlaws(t *testing.T) {
	for _, test := range []struct {
		name    string
		arrange arrangement
		mode    providertest.Mode
		turns   int
		want    string
	}{
		{"no deadline", unguarded, providertest.HangBefore, visitors, "answered with 503"},
		{"its own retries", stubborn, providertest.Failing, 5 * visitors, "1.1 a turn at most"},
	} {
		t.Run(test.name, func(t *testing.T) {
			tr := newTrouble(t, test.mode, true, test.arrange)
			tr.talk(t.Context(), test.turns)
			tr.checkCalls()
			if found := strings.Join(tr.complaints, "\n"); !strings.Contains(found, test.want) {
				t.Errorf("the complaints are %q, want one with %q", found, test.want)
			}
		})
	}
}

func unguarded(_ testing.TB, model parley.Bot) parley.Bot { return model }

// stubborn asks a model three times, as the SDKs do unless they are told not to.
func stubborn(_ testing.TB, model parley.Bot) parley.Bot {
	return botFunc(func(ctx context.Context, turn *parley.Turn, emit func(string)) (reply parley.Reply, err error) {
		for range 3 {
			if reply, err = model.Reply(ctx, turn, emit); err == nil {
				break
			}
		}
		return reply, err
	})
}
