package mongo_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/dbtest"
)

// BenchmarkTurn begins and finishes turns in 1000 sessions. FerretDB on SQLite
// reads the whole collection for each: it says nothing of MongoDB.
func BenchmarkTurn(b *testing.B) {
	store := openAt(b, dbtest.SharedMongo(b).URL(b))
	var turns atomic.Int64
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := turns.Add(1)
			begun, err := store.Begin(b.Context(), message(fmt.Sprint("session ", n%1000), fmt.Sprint("prompt ", n)))
			if err == nil {
				err = store.Finish(b.Context(), begun.Record, parley.Text("Thank you for your message!"), time.Now())
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}
