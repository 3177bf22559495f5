package nodes_test

import (
	"maps"
	"testing"

	"github.com/parley-chat/parley/proof/server"
)

// flaws are mistakes that a server makes where FLAW names them: what the proofs
// must find. One program has them all, because it takes long to build.
var flaws = []server.Edit{
	{File: "../../flaw.go", New: `package parley

import (
	"context"
	"os"
	"time"
)

var flaw = os.Getenv("FLAW")

func finish(ctx context.Context, store Store, turn Record, reply Reply, at time.Time) error {
	if flaw == "early" {
		time.AfterFunc(100*time.Millisecond, func() { store.Finish(context.Background(), turn, reply, at) })
		return nil
	}
	return store.Finish(ctx, turn, reply, at)
}

func forget(since time.Time) time.Time {
	if flaw == "forgetful" {
		return since.Add(1000 * time.Hour)
	}
	return since
}

func skip(n int, text []byte) int {
	if flaw == "skipping" {
		return min(n+1, len(text))
	}
	return n
}

func repeat(from int) int {
	if flaw == "repeating" {
		return 0
	}
	return from
}
`},
	// early: a turn is acknowledged before it is durable.
	{
		File: "../../chat.go",
		Old:  "c.store.Finish(ctx, begun.Record, reply, time.Now())",
		New:  "finish(ctx, c.store, begun.Record, reply, time.Now())",
	},
	// forgetful: what is sent again is not known.
	{File: "../../chat.go", Old: "j.arrived.Add(-keyLife)", New: "forget(j.arrived.Add(-keyLife))"},
	{File: "../../chat.go", Old: "j.arrived.Add(-twinWindow)", New: "forget(j.arrived.Add(-twinWindow))"},
	// skipping: who follows a turn on another node misses a byte.
	{File: "../../nodes.go", Old: "text[have-offset:]", New: "text[skip(have-offset, text):]"},
	// repeating: who comes back gets the answer from its beginning.
	{File: "../../stream.go", Old: "s.from = int(from)", New: "s.from = repeat(int(from))"},
	// alone: each node counts limits by itself.
	{File: "../../cmd/parley/flaw.go", New: "package main\n\nimport \"os\"\n\nvar flaw = os.Getenv(\"FLAW\")\n"},
	{
		File: "../../cmd/parley/wire.go",
		Old:  "shared, _ := store.(parley.Limiter)",
		New:  "shared, _ := store.(parley.Limiter)\n\tif flaw == \"alone\" {\n\t\tshared = nil\n\t}",
	},
	// relaxed: whether what is acknowledged is durable is left to the role. This
	// one is always there.
	{File: "../../store/postgres/migrations/0001.sql", Old: "PERFORM set_config('synchronous_commit', 'on', true);", New: "NULL;"},
	// No flaw: it tells how many goroutines it has.
	{
		File: "../../cmd/parley/serve.go",
		Old:  "gate := &gate{}",
		New: `go http.ListenAndServe(os.Getenv("GOROUTINES"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, runtime.NumGoroutine())
	}))
	gate := &gate{}`,
	},
}

// openFlawed is open of a server with a flaw. Without one it is left to the
// database to have one.
func openFlawed(t *testing.T, db *database, flaw string, settings server.Settings) *scene {
	t.Helper()
	if flaw == "" {
		return open(t, db, sound(t), direct, settings)
	}
	if testing.Short() {
		t.Skip("building a server with flaws takes too long where the test is short")
	}
	with := server.Settings{"FLAW": flaw}
	maps.Copy(with, settings)
	return open(t, db, build(t, "flawed", flaws...), direct, with)
}
