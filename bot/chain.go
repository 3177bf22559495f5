package bot

import (
	"context"
	"errors"

	"github.com/parley-chat/parley"
)

// FirstOf returns a bot that asks the given bots in turn until one does not
// pass, and answers what that one answers, errors included. Where all of them
// pass, it passes, for all of their reasons.
//
// A bot may pass after it emitted text, such as a model whose provider failed in
// the middle of its answer. What the visitor has seen of that cannot be taken
// back piece by piece, so the bots after it emit nothing: their reply comes
// whole, and takes its place.
func FirstOf(bots ...parley.Bot) parley.Bot { return chain(bots) }

type chain []parley.Bot

func (c chain) Reply(ctx context.Context, turn *parley.Turn, emit func(string)) (parley.Reply, error) {
	var passed []error
	emitted := false
	for _, bot := range c {
		once := emit
		if emitted {
			once = func(string) {}
		}
		reply, err := bot.Reply(ctx, turn, func(text string) {
			emitted = true
			once(text)
		})
		if !errors.Is(err, parley.ErrPass) {
			return reply, err
		}
		if err != parley.ErrPass { // a reason
			passed = append(passed, err)
		}
	}
	if len(passed) == 0 {
		return parley.Reply{}, parley.ErrPass
	}
	return parley.Reply{}, errors.Join(passed...)
}
