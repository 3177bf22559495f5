package redis_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/dbtest"
	"github.com/parley-chat/parley/store/redis"
)

// BenchmarkTurn begins and finishes turns on a server that syncs each of them.
func BenchmarkTurn(b *testing.B) {
	server := dbtest.Redis(b, durable...)
	for _, bench := range []struct {
		name     string
		sessions int64
		keyed    bool
	}{
		{"one session", 1, false},
		{"1000 sessions", 1000, false},
		{"1000 sessions with keys", 1000, true},
		{"new sessions", 1 << 40, false},
	} {
		b.Run(bench.name, func(b *testing.B) {
			store := open(b, redis.Config{URL: server.URL(b), Strict: true})
			defer store.Close()
			var turns atomic.Int64
			b.SetParallelism(32) // times GOMAXPROCS
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					n := turns.Add(1)
					m := message(fmt.Sprintf("%032x", n%bench.sessions*0x9e3779b97f4a7c1), fmt.Sprint(n, "Hello, I have a question about the order that I made last week."))
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
