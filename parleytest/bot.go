package parleytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-chat/parley"
)

// Bot runs the suite that a [parley.Bot] must pass. The prompts are what the
// bot is asked, each many times; it must have an answer to one of them at
// least. Run it with the race detector too: a bot must be safe for concurrent
// use.
//
// The suite asks with and without a session and a history, one prompt after
// the other and side by side. The bot must stop when its context ends, make
// valid replies and leave them alone afterwards, pass before it emits text
// unless it failed, and emit nothing once it has returned.
func Bot(t *testing.T, bot parley.Bot, prompts ...string) {
	if len(prompts) == 0 {
		t.Fatal("Bot was given no prompts; give it one that the bot has an answer to")
	}
	s := &botSuite{bot: bot, prompts: prompts, late: make(chan struct{})}
	stops := t.Run("stops before it began", s.testCancelled)
	stops = t.Run("stops while it answers", s.testCancel) && stops
	if !stops {
		return // the rest could take for ever
	}
	t.Run("answers", s.testAnswers)
	t.Run("answers without a session", s.testNoSession)
	t.Run("answers side by side", s.testSideBySide)
	t.Run("answers in a chat", s.testChat)
	t.Run("leaves its replies as they are", s.testKept)
	t.Run("emits nothing afterwards", s.testLate)
}

// botSuite is one run of the suite.
type botSuite struct {
	bot     parley.Bot
	prompts []string
	kept    []keptReply
	late    chan struct{} // closed when text was emitted after Reply had returned
	once    sync.Once     // closes late
}

// keptReply is a reply, and its JSON when the bot returned it.
type keptReply struct {
	reply parley.Reply
	data  []byte
}

const (
	// answerTimeout is how long an answer may take, as in a Chat.
	answerTimeout = time.Minute
	// stopTimeout is how long a Chat waits for a bot that it told to stop.
	stopTimeout = time.Second
)

func (s *botSuite) testAnswers(t *testing.T) {
	for i, prompt := range s.prompts {
		if reply, ok := s.answer(t, newTurn("answers", i+1, prompt)); ok {
			data, _ := json.Marshal(reply)
			s.kept = append(s.kept, keptReply{reply, data})
		}
	}
	if len(s.kept) == 0 && !t.Failed() {
		t.Error("the bot passed on every prompt; give the suite one that it has an answer to")
	}
}

func (s *botSuite) testNoSession(t *testing.T) {
	for _, prompt := range s.prompts {
		s.answer(t, &parley.Turn{Seq: 1, Prompt: prompt, Time: time.Now()})
	}
}

func (s *botSuite) testSideBySide(t *testing.T) {
	const sessions = 8
	var group sync.WaitGroup
	for n := range sessions {
		group.Go(func() {
			for i := range s.prompts {
				// Each session begins with another prompt.
				prompt := s.prompts[(n+i)%len(s.prompts)]
				s.answer(t, newTurn(fmt.Sprint("side by side ", n), i+1, prompt))
			}
		})
	}
	group.Wait()
}

// testChat has the bot talk in a Chat, where a turn has a history.
func (s *botSuite) testChat(t *testing.T) {
	chat, err := parley.New(parley.Config{Bot: s.bot, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer chat.Shutdown(context.WithoutCancel(t.Context()))
	for i, prompt := range slices.Repeat(s.prompts, 2) {
		_, err := chat.Answer(t.Context(), parley.Request{Session: "chat", Key: fmt.Sprint(i), Prompt: prompt})
		if err != nil {
			t.Errorf("turn %d, prompt %q: the chat has no answer: %v", i+1, prompt, err)
		}
	}
}

func (s *botSuite) testCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i, prompt := range s.prompts {
		s.stop(ctx, t, newTurn("cancelled", i+1, prompt), func() {})
	}
}

// testCancel tells the bot to stop at its first text, or shortly after it was
// asked where it emits none.
func (s *botSuite) testCancel(t *testing.T) {
	for i, prompt := range s.prompts {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		s.stop(ctx, t, newTurn("cancel", i+1, prompt), cancel)
		cancel()
	}
}

func (s *botSuite) testKept(t *testing.T) {
	for _, kept := range s.kept {
		if now, _ := json.Marshal(kept.reply); !bytes.Equal(now, kept.data) {
			t.Errorf("a reply became\n%s after it was returned; want it to stay\n%s", now, kept.data)
		}
	}
}

func (s *botSuite) testLate(t *testing.T) {
	select {
	case <-s.late:
		t.Error("the bot emitted text after Reply had returned; want it to wait for whatever emits")
	case <-time.After(50 * time.Millisecond):
	}
}

// newTurn returns a turn as a Chat makes them, without a history.
func newTurn(session string, seq int, prompt string) *parley.Turn {
	return &parley.Turn{Session: session, Seq: seq, Prompt: prompt, Time: time.Now(), BaseURL: "https://chat.example.com"}
}

// answer asks the bot and reports whatever is wrong. It returns no reply where
// there is none to look at.
func (s *botSuite) answer(t *testing.T, turn *parley.Turn) (reply parley.Reply, ok bool) {
	ctx, cancel := context.WithTimeout(t.Context(), answerTimeout)
	defer cancel()
	c := s.call(ctx, turn, func() {})
	broken, passed := c.broken(), errors.Is(c.err, parley.ErrPass)
	switch {
	case broken != nil:
		t.Errorf("prompt %q: %v", turn.Prompt, broken)
	case c.err != nil && !passed:
		t.Errorf("prompt %q: the bot returned the error: %v", turn.Prompt, c.err)
	}
	return c.reply, broken == nil && c.err == nil
}

// stop asks the bot with a context that ends early, and reports what is wrong
// whether it answers or not.
func (s *botSuite) stop(ctx context.Context, t *testing.T, turn *parley.Turn, emitted func()) {
	if broken := s.call(ctx, turn, emitted).broken(); broken != nil {
		t.Errorf("prompt %q: %v", turn.Prompt, broken)
	}
}

// A call is one call of the bot, and what came of it.
type call struct {
	reply parley.Reply
	err   error
	texts int   // how often it emitted text
	fault error // it panicked or did not return
}

// broken returns what the bot may do in no call.
func (c call) broken() error {
	var failure *parley.Failure
	switch invalid := c.reply.Validate(); {
	case c.fault != nil:
		return c.fault
	case errors.Is(c.err, parley.ErrPass) && !errors.As(c.err, &failure) && c.texts > 0:
		return fmt.Errorf("the bot emitted text %d times and then passed; want it to pass before that, or to say why with a parley.Failure", c.texts)
	case c.err == nil && invalid != nil:
		return fmt.Errorf("the reply is not valid: %w", invalid)
	}
	return nil
}

// call calls the bot. It waits for it as a Chat does: until the context ends,
// and then a moment more.
func (s *botSuite) call(ctx context.Context, turn *parley.Turn, emitted func()) call {
	done := make(chan call, 1)
	go func() { done <- s.reply(ctx, turn, emitted) }()
	select {
	case c := <-done:
		return c
	case <-ctx.Done():
	}
	select {
	case c := <-done:
		return c
	case <-time.After(stopTimeout):
		return call{fault: fmt.Errorf("the bot had not returned %v after its context ended", stopTimeout)}
	}
}

func (s *botSuite) reply(ctx context.Context, turn *parley.Turn, emitted func()) (c call) {
	var texts atomic.Int64
	var returned atomic.Bool
	defer func() {
		returned.Store(true)
		c.texts = int(texts.Load())
		if p := recover(); p != nil {
			c.fault = fmt.Errorf("the bot panicked: %v\n%s", p, debug.Stack())
		}
	}()
	c.reply, c.err = s.bot.Reply(ctx, turn, func(string) {
		if returned.Load() {
			s.once.Do(func() { close(s.late) })
			return
		}
		texts.Add(1)
		emitted()
	})
	return c
}
