package parley

import (
	"context"
	"errors"
	"time"
)

// ErrPass is what a [Bot] returns to let the next bot try. Where no bot is left,
// the visitor is told that there is trouble.
var ErrPass = errors.New("parley: the bot has no answer")

// A Failure is an [ErrPass] with a reason: the service that a bot asks, such as
// a model's provider, gave no answer. The next bot may have one.
type Failure struct {
	// Err says what happened, to an operator. It holds no secret.
	Err error
	// Temporary reports whether asking again can help.
	Temporary bool
	// RetryAfter is how long the service wants to be left alone; 0 where it does
	// not say.
	RetryAfter time.Duration
}

func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap returns [ErrPass] and the reason.
func (f *Failure) Unwrap() []error { return []error{ErrPass, f.Err} }

// A Bot answers turns. What stands between a visitor and an answer, such as a
// fallback, a budget or a person, is a Bot around a Bot.
//
// Reply answers one turn. It may hand out text early, piece by piece, through
// emit, which is never nil, never blocks, and is called by one goroutine at a
// time and not after Reply returned. A piece may end anywhere, within a
// character even. What was emitted is a preview, and the returned reply is the
// truth that is kept and that takes the preview's place.
// Reply returns [ErrPass] to leave the turn to the next bot, best before it
// emitted anything. Any other error is logged, and the visitor gets an apology;
// a panic counts as an error.
//
// The context ends when the answer takes too long or every client that waited
// for it has left: return soon after. Implementations must be safe for
// concurrent use; turns of one session never run side by side on one node.
//
// The suite parleytest.Bot checks these promises.
type Bot interface {
	Reply(ctx context.Context, turn *Turn, emit func(text string)) (Reply, error)
}

// BotFunc makes a Bot of a function that answers in one piece.
type BotFunc func(ctx context.Context, turn *Turn) (Reply, error)

// Reply calls f.
func (f BotFunc) Reply(ctx context.Context, turn *Turn, _ func(string)) (Reply, error) {
	return f(ctx, turn)
}

// A Turn is what a [Bot] is asked: one prompt, and the conversation it is part of.
type Turn struct {
	// ID names the turn: the same each time that a bot is asked for it, and another
	// one for every other turn. A service that knows idempotency keys can be given
	// it as one. It is 64 ASCII letters, digits and hyphens at most.
	ID string
	// Session names the conversation, the same for each of its turns. It is
	// derived from the client's session id with a secret, so that it can be
	// stored, logged and passed on. It is empty where the client has no session
	// and nothing must be remembered.
	Session string
	// Seq counts the turns of a session from 1.
	Seq int
	// Prompt is what the visitor said, as sent: not blank, no longer than
	// [Config.MaxPrompt].
	Prompt string
	// Time is when the turn began.
	Time time.Time
	// BaseURL is where the visitor reaches this server, such as
	// "https://chat.example.com", without a slash at its end. It is empty where
	// there is no [Config.BaseURL], and no HTTP request that says.
	BaseURL string

	history func(ctx context.Context, turns int) ([]Message, error)
	usage   []Usage
}

// History returns the messages of up to the given number of answered turns
// before this one, oldest first: the visitor's and then the bot's, strictly in
// turn. A conversation that rested longer than [Config.SessionTTL] is
// forgotten, so the history begins after that rest. It reads the store at each
// call; a bot that needs no history costs none.
func (t *Turn) History(ctx context.Context, turns int) ([]Message, error) {
	if t.history == nil || turns <= 0 {
		return nil, nil
	}
	return t.history(ctx, turns)
}

// LastTokens returns the newest of a [Turn.History]'s messages that are about
// the given number of tokens long together, in whole turns: the first one is the
// visitor's. A token is counted as four bytes, which is about right for English
// and too few for other scripts; the exact count needs the model's own tables.
func LastTokens(history []Message, tokens int) []Message {
	start, bytes := len(history), 0
	for i := len(history) - 1; i >= 0; i-- {
		if bytes += len(history[i].Content); bytes > 4*tokens {
			break
		}
		if history[i].Role == RoleUser {
			start = i
		}
	}
	return history[start:]
}

// Usage is what one call of a model used up, as its provider counts.
type Usage struct {
	Model        string
	InputTokens  int
	OutputTokens int
}

// AddUsage notes what a call of a model used up. Only the bot that answers the
// turn may call it, before its Reply returns.
func (t *Turn) AddUsage(u Usage) { t.usage = append(t.usage, u) }

// Usage returns what the calls of models for this turn used up so far.
func (t *Turn) Usage() []Usage { return t.usage }

// A Role says who wrote a [Message], in the words that model providers use.
type Role string

// The roles.
const (
	RoleUser      Role = "user"      // the visitor
	RoleAssistant Role = "assistant" // the bot
)

// A Message is one side of a turn as a bot remembers it.
type Message struct {
	Role    Role      `json:"role"`
	Content string    `json:"content"` // the prompt, or the reply's [Reply.PlainText]
	Time    time.Time `json:"time"`
}
