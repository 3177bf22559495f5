package parley_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-chat/parley"
)

// sayBack is the bot of the vectors.
func sayBack(_ context.Context, turn *parley.Turn) (parley.Reply, error) {
	return parley.Text("You said: " + turn.Prompt), nil
}

// recite answers with every prompt of the session, as far as a bot remembers.
func recite(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
	messages, err := turn.History(ctx, 100)
	if err != nil {
		return parley.Reply{}, err
	}
	var prompts []string
	for _, m := range messages {
		if m.Role == parley.RoleUser {
			prompts = append(prompts, m.Content)
		}
	}
	return parley.Text(strings.Join(append(prompts, turn.Prompt), ", ")), nil
}

// A slowBot takes its time for each answer, and counts its calls and the times
// that it was told to stop.
type slowBot struct {
	takes            time.Duration
	calls, cancelled atomic.Int64
}

func (b *slowBot) Reply(ctx context.Context, turn *parley.Turn, _ func(string)) (parley.Reply, error) {
	call := b.calls.Add(1)
	select {
	case <-time.After(b.takes):
		return parley.Text(fmt.Sprintf("answer %d to %s", call, turn.Prompt)), nil
	case <-ctx.Done():
		b.cancelled.Add(1)
		return parley.Reply{}, ctx.Err()
	}
}

// A deafBot does not listen to its context: it answers when it is released.
type deafBot struct{ release chan struct{} }

func (b deafBot) Reply(_ context.Context, turn *parley.Turn, _ func(string)) (parley.Reply, error) {
	<-b.release
	return parley.Text("at last: " + turn.Prompt), nil
}

// An outcome is what [parley.Chat.Answer] returned, and how long it took.
type outcome struct {
	reply parley.Reply
	err   error
	after time.Duration
}

// send asks in the background. The outcome arrives on the channel.
func send(ctx context.Context, chat *parley.Chat, q parley.Request) <-chan outcome {
	done := make(chan outcome, 1)
	began := time.Now()
	go func() {
		reply, err := chat.Answer(ctx, q)
		done <- outcome{reply, err, time.Since(began)}
	}()
	return done
}

// answer asks and wants an answer.
func answer(t *testing.T, chat *parley.Chat, q parley.Request) string {
	t.Helper()
	reply, err := chat.Answer(t.Context(), q)
	if err != nil {
		t.Fatalf("%q got the error %v, want an answer", q.Prompt, err)
	}
	return reply.Text
}

// wantText checks an outcome that should be an answer.
func wantText(t *testing.T, what string, o outcome, text string) {
	t.Helper()
	if o.err != nil || o.reply.Text != text {
		t.Errorf("%s got %q, %v; want %q", what, o.reply.Text, o.err, text)
	}
}

// wantCode checks an error that should be a [parley.Error].
func wantCode(t *testing.T, what string, err error, code parley.Code) {
	t.Helper()
	var e *parley.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("%s got the error %v, want one with code %q", what, err, code)
	}
}

// wantCalls checks how often the bot was asked.
func (b *slowBot) wantCalls(t *testing.T, want int64) {
	t.Helper()
	if got := b.calls.Load(); got != want {
		t.Errorf("the bot was called %d times, want %d", got, want)
	}
}
