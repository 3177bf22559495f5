package bot

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-chat/parley"
)

// FirstOf returns a bot that asks the given bots in turn until one does not
// pass, and answers what that one answers, errors included. Where all of them
// pass, it passes.
//
// A bot that passes after it emitted text breaks its contract, and the visitor
// has seen that text: the chain ends there with an error.
func FirstOf(bots ...parley.Bot) parley.Bot { return chain(bots) }

type chain []parley.Bot

func (c chain) Reply(ctx context.Context, turn *parley.Turn, emit func(string)) (parley.Reply, error) {
	for i, bot := range c {
		emitted := false
		reply, err := bot.Reply(ctx, turn, func(text string) {
			emitted = true
			emit(text)
		})
		switch {
		case !errors.Is(err, parley.ErrPass):
			return reply, err
		case emitted:
			return parley.Reply{}, fmt.Errorf("bot: number %d of the chain emitted text and then passed", i+1)
		}
	}
	return parley.Reply{}, parley.ErrPass
}
