package parleytest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/parleytest"
)

// botFunc makes a bot of its Reply method.
type botFunc func(ctx context.Context, turn *parley.Turn, emit func(string)) (parley.Reply, error)

func (f botFunc) Reply(ctx context.Context, turn *parley.Turn, emit func(string)) (parley.Reply, error) {
	return f(ctx, turn, emit)
}

// streamer is a bot that does everything right: it streams, waits, remembers
// and passes.
var streamer = botFunc(func(ctx context.Context, turn *parley.Turn, emit func(string)) (parley.Reply, error) {
	if turn.Prompt == "pass" {
		return parley.Reply{}, parley.ErrPass
	}
	if _, err := turn.History(ctx, 10); err != nil {
		return parley.Reply{}, err
	}
	for _, text := range []string{"You ", "said: "} {
		emit(text)
		select {
		case <-ctx.Done():
			return parley.Reply{}, ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return parley.Text("You said: " + turn.Prompt), nil
})

func TestBotAcceptsAGoodBot(t *testing.T) {
	parleytest.Bot(t, streamer, "Hello", "pass", "Goodbye")
}

// brokenBots each break one promise, and what the suite says of them.
var brokenBots = map[string]struct {
	bot  botFunc
	want string
}{
	"always passes": {func(context.Context, *parley.Turn, func(string)) (parley.Reply, error) {
		return parley.Reply{}, parley.ErrPass
	}, "the bot passed on every prompt"},
	"fails": {func(context.Context, *parley.Turn, func(string)) (parley.Reply, error) {
		return parley.Reply{}, errors.New("out of order")
	}, "the bot returned the error: out of order"},
	"panics": {func(context.Context, *parley.Turn, func(string)) (parley.Reply, error) {
		panic("out of order")
	}, "the bot panicked: out of order"},
	"says nothing": {func(context.Context, *parley.Turn, func(string)) (parley.Reply, error) {
		return parley.Text(" "), nil
	}, "the reply is not valid: output: is empty"},
	"passes too late": {func(_ context.Context, _ *parley.Turn, emit func(string)) (parley.Reply, error) {
		emit("Well, ")
		return parley.Reply{}, parley.ErrPass
	}, "the bot emitted text 1 times and then passed"},
	"needs a session": {func(_ context.Context, turn *parley.Turn, _ func(string)) (parley.Reply, error) {
		return parley.Text("Hello " + turn.Session[:1]), nil
	}, "the bot panicked: runtime error: slice bounds out of range"},
	"forgets its lines with a history": {func(ctx context.Context, turn *parley.Turn, _ func(string)) (parley.Reply, error) {
		if messages, _ := turn.History(ctx, 1); len(messages) > 0 {
			return parley.Reply{}, errors.New("what was that")
		}
		return parley.Text("Hello"), nil
	}, "turn 2, prompt \"Hello\": the chat has no answer: "},
	"does not stop": {func(ctx context.Context, _ *parley.Turn, _ func(string)) (parley.Reply, error) {
		<-ctx.Done()
		select {}
	}, "the bot had not returned 1s after its context ended"},
	"does not stop once it emitted": {func(ctx context.Context, _ *parley.Turn, emit func(string)) (parley.Reply, error) {
		if ctx.Err() != nil {
			return parley.Reply{}, ctx.Err()
		}
		emit("Well, ")
		select {}
	}, "stops_while_it_answers (1.0"},
	"emits too late": {func(ctx context.Context, _ *parley.Turn, emit func(string)) (parley.Reply, error) {
		context.AfterFunc(ctx, func() { time.AfterFunc(5*time.Millisecond, func() { emit("one more thing") }) })
		return parley.Text("Hello"), nil
	}, "the bot emitted text after Reply had returned"},
	"changes its replies":       {changing(), "a reply became"},
	"shares what it should not": {racing(), "DATA RACE"},
}

// changing returns a bot that gives out the same content again and again, with
// another title each time.
func changing() botFunc {
	once := make(chan bool, 1) // a lock: what is wrong with this bot is no race
	form := parley.ContactForm()
	return func(_ context.Context, turn *parley.Turn, _ func(string)) (parley.Reply, error) {
		once <- true
		defer func() { <-once }()
		form.Title = turn.Session
		return parley.Reply{Text: "Write to us", Content: &form}, nil
	}
}

// racing returns a bot that counts without a lock.
func racing() botFunc {
	calls := 0
	return func(context.Context, *parley.Turn, func(string)) (parley.Reply, error) {
		calls++
		return parley.Text(strings.Repeat("Hello ", calls)), nil
	}
}

// brokenBotEnv names the broken bot that a test binary runs the suite with.
const brokenBotEnv = "PARLEYTEST_BROKEN_BOT"

// TestBotFindsBrokenBots runs the suite with every broken bot, each in a
// process of its own because it has to fail.
func TestBotFindsBrokenBots(t *testing.T) {
	for name, broken := range brokenBots {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if broken.want == "DATA RACE" && !raceDetector() {
				t.Skip("only the race detector finds this one")
			}
			cmd := exec.Command(os.Args[0], "-test.run=^TestBrokenBot$", "-test.timeout=30s")
			cmd.Env = append(os.Environ(), brokenBotEnv+"="+name)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || !strings.Contains(string(out), broken.want) {
				t.Errorf("the suite ended with %v; want it to fail and say %q. It said:\n%s", err, broken.want, out)
			}
		})
	}
}

// TestBrokenBot is what TestBotFindsBrokenBots runs.
func TestBrokenBot(t *testing.T) {
	name, ok := os.LookupEnv(brokenBotEnv)
	if !ok {
		t.Skip("is run by TestBotFindsBrokenBots")
	}
	parleytest.Bot(t, brokenBots[name].bot, "Hello")
}

// raceDetector reports whether the test binary was built with it.
func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
