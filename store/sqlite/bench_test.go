package sqlite_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/parley-chat/parley"
)

// goroutines is how many turns are answered at once in these benchmarks.
const goroutines = 64

var (
	benchPrompt = "Hello, I have a question about the order that I made last week."
	benchReply  = parley.Text("Thank you for your message! How can I help you today?")
)

// BenchmarkTurn begins and finishes turns.
func BenchmarkTurn(b *testing.B) {
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
			store := open(b, filepath.Join(b.TempDir(), "parley.db"))
			var turns atomic.Int64
			parallel(b, func() error {
				n := turns.Add(1)
				session := fmt.Sprintf("%032x", n%bench.sessions*0x9e3779b97f4a7c1)
				m := message(session, fmt.Sprint(n, benchPrompt))
				if bench.keyed {
					m.Key = fmt.Sprintf("%036x", n)
				}
				begun, err := store.Begin(b.Context(), m)
				if err != nil {
					return err
				}
				return store.Finish(b.Context(), begun.Record, benchReply, time.Now())
			})
		})
	}
}

// BenchmarkBareInsert is what BenchmarkTurn is held against: the same bytes in
// one insert, grouped in the same way, without an index and without anything
// else.
func BenchmarkBareInsert(b *testing.B) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "bare.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`CREATE TABLE turns (id INTEGER PRIMARY KEY, session TEXT, prompt TEXT, reply TEXT)`); err != nil {
		b.Fatal(err)
	}
	insert, err := db.Prepare(`INSERT INTO turns (session, prompt, reply) VALUES (?, ?, ?)`)
	if err != nil {
		b.Fatal(err)
	}
	type row struct {
		session, prompt string
		done            chan error
	}
	queue := make(chan row, 256)
	defer close(queue)
	commit := func(group []row) error {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		defer tx.Rollback()
		in := tx.Stmt(insert)
		for _, r := range group {
			if _, err := in.Exec(r.session, r.prompt, `{"output":"`+benchReply.Text+`"}`); err != nil {
				return err
			}
		}
		return tx.Commit()
	}
	go func() {
		for first := range queue {
			runtime.Gosched()
			group := []row{first}
			for more := true; more && len(group) < cap(queue); {
				select {
				case next := <-queue:
					group = append(group, next)
				default:
					more = false
				}
			}
			err := commit(group)
			for _, r := range group {
				r.done <- err
			}
		}
	}()
	var rows atomic.Int64
	parallel(b, func() error {
		n := rows.Add(1)
		r := row{fmt.Sprintf("%032x", n%1000*0x9e3779b97f4a7c1), fmt.Sprint(n, benchPrompt), make(chan error, 1)}
		queue <- r
		return <-r.done
	})
}

// parallel calls do from many goroutines and reports the CPU time of each call.
func parallel(b *testing.B, do func() error) {
	b.SetParallelism(goroutines)
	var before, after syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := do(); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	cpu := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(cpu)/float64(b.N), "cpu-ns/op")
}
