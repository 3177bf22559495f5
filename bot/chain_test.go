package bot_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/bot"
)

// emitter is a bot that emits a text and then returns what it was given.
type emitter struct {
	text string
	err  error
}

func (e emitter) Reply(_ context.Context, _ *parley.Turn, emit func(string)) (parley.Reply, error) {
	emit(e.text)
	return parley.Text(e.text), e.err
}

func TestFirstOf(t *testing.T) {
	var (
		broken  = errors.New("broken")
		pass    = parley.BotFunc(func(context.Context, *parley.Turn) (parley.Reply, error) { return parley.Reply{}, parley.ErrPass })
		fail    = parley.BotFunc(func(context.Context, *parley.Turn) (parley.Reply, error) { return parley.Reply{}, broken })
		hello   = parley.BotFunc(func(context.Context, *parley.Turn) (parley.Reply, error) { return parley.Text("hello"), nil })
		goodbye = emitter{"goodbye", nil}
	)
	for _, test := range []struct {
		name    string
		bots    []parley.Bot
		want    string
		emitted string
		err     error
	}{
		{"no bot", nil, "", "", parley.ErrPass},
		{"every bot passes", []parley.Bot{pass, pass}, "", "", parley.ErrPass},
		{"the first answers", []parley.Bot{hello, goodbye}, "hello", "", nil},
		{"the first passes", []parley.Bot{pass, goodbye, hello}, "goodbye", "goodbye", nil},
		{"the first fails", []parley.Bot{fail, hello}, "", "", broken},
		{"a chain passes", []parley.Bot{bot.FirstOf(pass), hello}, "hello", "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var emitted strings.Builder
			reply, err := bot.FirstOf(test.bots...).Reply(t.Context(), turnOf("Hi"), func(text string) { emitted.WriteString(text) })
			if reply.Text != test.want || !errors.Is(err, test.err) {
				t.Errorf("Reply = %q, %v; want %q, %v", reply.Text, err, test.want, test.err)
			}
			if emitted.String() != test.emitted {
				t.Errorf("emitted %q; want %q", &emitted, test.emitted)
			}
		})
	}
}

func TestChainAnswersWholeAfterABotThatBrokeOff(t *testing.T) {
	cut := &parley.Failure{Err: errors.New("the stream was cut")}
	var emitted strings.Builder
	reply, err := bot.FirstOf(emitter{"Let me s", cut}, emitter{"hello", nil}).
		Reply(t.Context(), turnOf("Hi"), func(text string) { emitted.WriteString(text) })
	if err != nil || reply.Text != "hello" {
		t.Errorf("Reply = %q, %v; want the second bot's", reply.Text, err)
	}
	if emitted.String() != "Let me s" {
		t.Errorf("emitted %q; want nothing of the second bot, which would stand behind the first one's piece", &emitted)
	}
}

func TestChainPassesForAllReasons(t *testing.T) {
	away, busy := &parley.Failure{Err: errors.New("away")}, &parley.Failure{Err: errors.New("busy")}
	_, err := bot.FirstOf(emitter{"", away}, emitter{"", parley.ErrPass}, emitter{"", busy}).Reply(t.Context(), turnOf("Hi"), func(string) {})
	if !errors.Is(err, parley.ErrPass) || !errors.Is(err, away) || !errors.Is(err, busy) {
		t.Errorf("Reply = %v; want a pass that names both reasons", err)
	}
}
