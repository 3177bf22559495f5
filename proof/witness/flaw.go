package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/parley-chat/parley"
)

// early is a store that says a turn is durable before it is.
type early struct{ parley.Store }

func (s early) Finish(ctx context.Context, turn parley.Record, reply parley.Reply, at time.Time) error {
	time.AfterFunc(20*time.Millisecond, func() {
		if err := s.Store.Finish(context.WithoutCancel(ctx), turn, reply, at); err != nil {
			slog.Error("an acknowledged turn is not stored", "error", err)
		}
	})
	return nil
}

// forgetful is a store that does not know a message that is sent again.
type forgetful struct{ parley.Store }

func (s forgetful) Begin(ctx context.Context, turn parley.NewTurn) (parley.Begun, error) {
	never := turn.Time.Add(time.Hour)
	turn.KeysSince, turn.TwinsSince = never, never
	return s.Store.Begin(ctx, turn)
}
