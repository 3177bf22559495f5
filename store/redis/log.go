package redis

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/redis/go-redis/v9"
)

// LogTo has the library beneath write to a logger, at [slog.LevelDebug]: what
// matters of it comes as errors anyway. The library has one logger for the whole
// process and writes to standard error by itself, so this is for a program's
// main to call, before it opens a store.
func LogTo(log *slog.Logger) { redis.SetLogger(libraryLog{log}) }

type libraryLog struct{ log *slog.Logger }

// Printf is what the library calls.
func (l libraryLog) Printf(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, fmt.Sprintf(format, args...), "store", "redis")
}
