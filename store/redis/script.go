package redis

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// A call is a script with what it is called with.
type call struct {
	keys []string
	args []any
}

// run runs a script. All keys that it touches must be in one slot.
func (s *Store) run(ctx context.Context, script *redis.Script, keys []string, args ...any) *redis.Cmd {
	return script.Run(ctx, s.db, keys, args...)
}

// runAll runs a script many times in one round trip to each server, and returns
// what each call came to, and the first error.
func (s *Store) runAll(ctx context.Context, script *redis.Script, calls []call) ([]*redis.Cmd, error) {
	results := make([]*redis.Cmd, len(calls))
	pipe := s.db.Pipeline()
	for i, c := range calls {
		results[i] = script.EvalSha(ctx, pipe, c.keys, c.args...)
	}
	if _, err := pipe.Exec(ctx); err == nil {
		return results, nil
	}
	// A server that does not know the script, because it was started anew, has
	// done nothing yet.
	pipe = s.db.Pipeline()
	for i, c := range calls {
		if redis.HasErrorPrefix(results[i].Err(), "NOSCRIPT") {
			results[i] = script.Eval(ctx, pipe, c.keys, c.args...)
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return results, err
	}
	for _, r := range results {
		if r.Err() != nil {
			return results, r.Err()
		}
	}
	return results, nil
}

// once is a command that is not tried again: it must not happen twice.
type once struct{ *redis.IntCmd }

// NoRetry implements [redis.Cmder].
func (once) NoRetry() bool { return true }

// errAnswer is what a script that answers in an unforeseen form comes to.
var errAnswer = errors.New("the answer of a script cannot be read")

// stringsOf returns the strings that a script answered with.
func stringsOf(cmd *redis.Cmd) ([]string, error) {
	values, err := cmd.Slice()
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(values))
	for i, v := range values {
		text, ok := v.(string)
		if !ok {
			return nil, errAnswer
		}
		texts[i] = text
	}
	return texts, nil
}
