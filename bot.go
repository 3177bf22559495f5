package parley

import (
	"context"
	"errors"
	"time"
)

// ErrPass is what a [Bot] returns, before it emitted anything, to let the next
// bot try. Where no bot is left, the visitor is told that there is trouble.
var ErrPass = errors.New("parley: the bot has no answer")

// A Bot answers turns. What stands between a visitor and an answer, such as a
// fallback, a budget or a person, is a Bot around a Bot.
//
// Reply answers one turn. It may hand out text early through emit, which is
// never nil, costs little, and must not be called after Reply returned; what
// was emitted is a preview, and the returned reply is the truth that is kept.
// Reply returns [ErrPass] to leave the turn to the next bot. Any other error
// is logged, and the visitor gets an apology; a panic counts as an error.
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
