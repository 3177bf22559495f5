package bot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/parley-chat/parley"
)

// GuardConfig says what a [Guard] watches over. Name and Bot are required.
type GuardConfig struct {
	// Name is what the log calls the bot.
	Name string
	// Bot is asked. It must leave retries to the guard.
	Bot parley.Bot
	// FirstText is the most time until the bot emits its first text, or answers.
	// 0 means 15 seconds, or Answer if that is shorter. For a bot that may answer in
	// one piece, such as a [Relay], it should be as long as Answer.
	FirstText time.Duration
	// Gap is the most time from one text that the bot emits to the next one, or to
	// the answer. 0 means 15 seconds, or Answer if that is shorter.
	Gap time.Duration
	// Answer is the most time that the whole answer may take, a retry included.
	// 0 means 45 seconds. Keep it below [parley.Config.AnswerTimeout], so that
	// time is left for the next bot.
	Answer time.Duration
	// HasNext says that another service is asked where this one passes. Then the
	// guard does not wait for a Retry-After: the next one answers sooner.
	HasNext bool
	// Logger gets the failures. Nil means [slog.Default].
	Logger *slog.Logger
}

// A Guard is a bot around a bot that asks a service, such as a model's
// provider. It sees to it that a service in trouble costs little time and few
// calls, and that the next bot of a chain is asked soon:
//
//   - Deadlines. A bot that takes too long is cancelled, and the guard passes
//     with a temporary [parley.Failure]. It has no more than nine tenths of what
//     is left of the turn's own deadline, and 100 milliseconds less at least, so
//     that those behind it can answer in time, or the visitor is told that nobody
//     does. Where nearly nothing is left, it is not asked. A bot that was cancelled
//     only because the turn's deadline was near is not blamed.
//   - A circuit breaker. After 5 temporary failures in a row the service is not
//     asked for 5 seconds; the guard passes at once. Then one turn every 10
//     seconds tries whether it is back. Once such a try has its first text, the
//     next one may begin, up to three at once; the first that is answered lets
//     all turns ask again. So no more than 15 seconds go by until a service that
//     is back is asked again, whatever the deadlines, unless it wants to be left
//     alone for longer.
//   - Retry-After. Where a temporary failure says for how long the service wants
//     to be left alone, it is, for that long and for 10 minutes at most.
//   - Retries, of which it is the one owner. A temporary failure before any text
//     is followed by one more try a moment later, or after a Retry-After of 5
//     seconds at most where no other service is next, if the service may be asked
//     then and at least as much time is left for it. No more than one turn in ten
//     is tried twice, over any 100 turns.
//
// A failure that is not temporary, such as a prompt that a provider refuses,
// comes from a service that is well: it is passed on as it is and counts for
// nothing, with a Retry-After or without, or a visitor with bad manners could
// close the service to all others.
//
// Each failure is logged, one a second at most, and when the breaker opens and
// closes.
//
// The guard waits for its bot to return. A bot that does not stop when its
// context ends breaks its contract; a goroutine for each turn would only hide
// that, and leave the turn and the connection behind.
type Guard struct {
	name      string
	bot       parley.Bot
	firstText time.Duration
	gap       time.Duration
	answer    time.Duration
	hasNext   bool
	log       *slog.Logger
	noText    error // why a bot was cancelled
	noMore    error
	noAnswer  error
	breaker   breaker
	retries   retryBudget
	logged    atomic.Int64 // when a failure was last logged, in seconds
	unlogged  atomic.Int64 // failures since
}

// NewGuard returns a guard, or every [parley.Problem] of cfg at once.
func NewGuard(cfg GuardConfig) (*Guard, error) {
	var ps parley.Problems
	if cfg.Name == "" {
		ps.Add("Name", "is missing; write what the log should call the bot")
	}
	if cfg.Bot == nil {
		ps.Add("Bot", "is missing")
	}
	if cfg.Answer < 0 {
		ps.Add("Answer", "%v is negative", cfg.Answer)
	}
	cfg.Answer = cmp.Or(cfg.Answer, 45*time.Second)
	for _, silence := range []struct {
		name string
		most *time.Duration
	}{{"FirstText", &cfg.FirstText}, {"Gap", &cfg.Gap}} {
		switch {
		case *silence.most < 0:
			ps.Add(silence.name, "%v is negative", *silence.most)
		case *silence.most > cfg.Answer && cfg.Answer > 0:
			ps.Add(silence.name, "%v is longer than the %v for the whole answer", *silence.most, cfg.Answer)
		}
		*silence.most = cmp.Or(*silence.most, min(15*time.Second, cfg.Answer))
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if err := ps.Err(); err != nil {
		return nil, err
	}
	return &Guard{
		name: cfg.Name, bot: cfg.Bot, firstText: cfg.FirstText, gap: cfg.Gap, answer: cfg.Answer, hasNext: cfg.HasNext, log: cfg.Logger,
		noText:   fmt.Errorf("no text within %v, its time to begin", cfg.FirstText),
		noMore:   fmt.Errorf("no more text within %v", cfg.Gap),
		noAnswer: fmt.Errorf("no whole answer within %v, its time to end", cfg.Answer),
	}, nil
}

// Reply implements [parley.Bot].
func (g *Guard) Reply(ctx context.Context, turn *parley.Turn, emit func(string)) (parley.Reply, error) {
	g.retries.earn()
	most, late := g.answer, g.noAnswer
	switch share := shareOf(ctx); {
	case share < leastShare:
		failure := &parley.Failure{Err: fmt.Errorf("not asked, because %w", errDeadline), Temporary: true}
		g.logFailure(failure)
		return parley.Reply{}, fmt.Errorf("%s: %w", g.name, failure)
	case share < most:
		most, late = share, fmt.Errorf("no whole answer within %v, because %w", share.Round(time.Millisecond), errDeadline)
	}
	c, err := g.breaker.enter()
	if err != nil {
		return parley.Reply{}, &parley.Failure{Err: fmt.Errorf("%s %w", g.name, err), Temporary: true}
	}
	within, cancel := context.WithTimeoutCause(ctx, most, late)
	defer cancel()
	within, giveUp := context.WithCancelCause(within)
	defer giveUp(nil)
	var emitted atomic.Bool
	silence := time.AfterFunc(g.firstText, func() {
		if emitted.Load() {
			giveUp(g.noMore)
		} else {
			giveUp(g.noText)
		}
	})
	defer silence.Stop()

	try := func(c call) (parley.Reply, error) {
		return g.try(ctx, within, c, turn, func(text string) {
			if text != "" {
				if !emitted.Swap(true) {
					g.breaker.hear(c)
				}
				silence.Reset(g.gap)
			}
			emit(text)
		})
	}
	reply, err := try(c)
	wait, worth := g.backoff(err, min(g.firstText, most)-time.Since(c.began))
	if emitted.Load() || !worth || !g.breaker.wouldEnter(time.Now().Add(wait)) || !g.retries.spend() {
		return reply, err
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return parley.Reply{}, ctx.Err()
	}
	if c, refused := g.breaker.enter(); refused == nil {
		return try(c)
	}
	return reply, err
}

const (
	// leastReserve is the least that a bot leaves of the turn's time to those behind
	// it, and leastShare the least time that a bot is asked for at all.
	leastReserve = 100 * time.Millisecond
	leastShare   = 100 * time.Millisecond
)

var errDeadline = errors.New("the turn's deadline is near")

// shareOf returns how much of the time until a context's deadline a bot may take.
func shareOf(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return math.MaxInt64
	}
	left := time.Until(deadline)
	return left - max(left/10, leastReserve)
}

// try calls the bot once. It tells the breaker how that went, and the log.
func (g *Guard) try(ctx, within context.Context, c call, turn *parley.Turn, emit func(string)) (reply parley.Reply, err error) {
	var h health
	var failure *parley.Failure
	defer func() { g.leave(c, h, failure) }() // also where the bot panics

	reply, err = g.bot.Reply(within, turn, emit)
	switch {
	case err == nil:
		h = healthy
		return reply, nil
	case ctx.Err() != nil: // nobody waits any more; the service is not to blame
		return parley.Reply{}, ctx.Err()
	case within.Err() != nil:
		failure = &parley.Failure{Err: context.Cause(within), Temporary: true}
		err = failure
	case !errors.As(err, &failure):
		if errors.Is(err, parley.ErrPass) {
			h = healthy
		}
		return parley.Reply{}, err
	}
	switch {
	case errors.Is(err, errDeadline): // it may have been about to answer
	case failure.Temporary:
		h = failing
	default:
		h = healthy
	}
	return parley.Reply{}, fmt.Errorf("%s: %w", g.name, err)
}

// leave ends a call, with a failure or nil.
func (g *Guard) leave(c call, h health, failure *parley.Failure) {
	var rest time.Duration
	if failure != nil {
		g.logFailure(failure)
		if failure.Temporary {
			rest = failure.RetryAfter
		}
	}
	switch opened, closed, until := g.breaker.leave(c, h, rest); {
	case opened: // which only a failure does
		g.log.Warn("a bot is not asked for now", "bot", g.name, "error", failure.Err, "until", until)
	case closed:
		g.log.Info("a bot answers again", "bot", g.name)
	}
}

// logFailure logs a failure, once a second at most, and how many were left out
// since the last one.
func (g *Guard) logFailure(failure *parley.Failure) {
	now, last := time.Now().Unix(), g.logged.Load()
	if now == last || !g.logged.CompareAndSwap(last, now) {
		g.unlogged.Add(1)
		return
	}
	g.log.Warn("a bot failed", "bot", g.name, "error", failure.Err, "left_out", g.unlogged.Swap(0))
}

// longestWait bounds how long a visitor waits for a retry.
const longestWait = 5 * time.Second

// backoff returns how long to wait before an error is worth another try, for
// which at least as much time must be left then.
func (g *Guard) backoff(err error, left time.Duration) (wait time.Duration, worth bool) {
	var failure *parley.Failure
	if !errors.As(err, &failure) || !failure.Temporary || failure.RetryAfter > 0 && g.hasNext {
		return 0, false
	}
	wait = failure.RetryAfter
	if wait <= 0 {
		wait = 100*time.Millisecond + rand.N(200*time.Millisecond) // not all turns at once
	}
	return wait, wait <= min(left/2, longestWait)
}
