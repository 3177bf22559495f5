package postgres_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/dbtest"
)

// goroutines is how many turns are answered at once in these benchmarks, for
// each CPU.
const goroutines = 32

// BenchmarkTurn begins and finishes turns on a server that writes to disk what
// it commits.
func BenchmarkTurn(b *testing.B) {
	server := dbtest.Postgres(b, dbtest.Durable)
	for _, bench := range []struct {
		name     string
		sessions int64
		keyed    bool
	}{
		{"1000 sessions", 1000, false},
		{"1000 sessions with keys", 1000, true},
		{"new sessions", 1 << 40, false},
	} {
		b.Run(bench.name, func(b *testing.B) {
			store := open(b, server.URL(b))
			var turns atomic.Int64
			b.SetParallelism(goroutines)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					n := turns.Add(1)
					m := message(fmt.Sprintf("%032x", n%bench.sessions*0x9e3779b97f4a7c1), fmt.Sprint(n, " Hello, I have a question about the order that I made last week."))
					if bench.keyed {
						m.Key = fmt.Sprintf("%036x", n)
					}
					begun, err := store.Begin(b.Context(), m)
					if err == nil {
						err = store.Finish(b.Context(), begun.Record, parley.Text("Thank you for your message! How can I help you today?"), time.Now())
					}
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkTake counts hits.
func BenchmarkTake(b *testing.B) {
	store := open(b, dbtest.Postgres(b, dbtest.Durable).URL(b))
	var hits atomic.Int64
	b.SetParallelism(goroutines)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := store.Take(b.Context(), fmt.Sprint(hits.Add(1)%1000), 100, time.Minute); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
