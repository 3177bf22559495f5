package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/dbtest"
	"github.com/parley-chat/parley/store/mongo"
)

// TestServerThatDies kills the server while turns are finished. What was
// acknowledged is there when it comes back, and the store works on by itself.
func TestServerThatDies(t *testing.T) {
	server := dbtest.Mongo(t)
	store, err := mongo.Open(t.Context(), mongo.Config{URL: withOptions(server.URL(t), "serverSelectionTimeoutMS=700")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	heard := make(chan string, 100)
	defer store.Listen("t", func(note []byte) { heard <- string(note) })()
	goroutines := 0
	for round := range 2 {
		running := begin(t, store, message("running", fmt.Sprint("Hello ", round)))
		ctx, cancel := context.WithCancel(t.Context())
		acknowledged := make(chan []string)
		enough := make(chan bool)
		go func() {
			var prompts []string
			for i := 0; ctx.Err() == nil; i++ {
				prompt := fmt.Sprintf("prompt %d of %d", i, round)
				begun, err := store.Begin(ctx, message("s", prompt))
				if err == nil {
					err = store.Finish(ctx, begun.Record, parley.Text("Hi"), time.Now())
				}
				if err != nil {
					break
				}
				prompts = append(prompts, prompt)
				if i == 10 {
					close(enough)
				}
			}
			acknowledged <- prompts
		}()
		<-enough
		server.Kill()
		kept := <-acknowledged
		cancel()

		began := time.Now()
		if _, err := store.Begin(t.Context(), message("s", "while it is away")); !isUnavailable(err) {
			t.Errorf("Begin without a server: %v; want %q", err, parley.CodeUnavailable)
		}
		if _, err := store.Take(t.Context(), "k", 1, time.Minute); !isUnavailable(err) {
			t.Errorf("Take without a server: %v; want %q", err, parley.CodeUnavailable)
		}
		if waited := time.Since(began); waited > 5*time.Second {
			t.Errorf("two calls without a server took %v, want less than a second each", waited)
		}

		server.Start()
		began = time.Now()
		await(t, 5*time.Second, func() error { return store.Finish(t.Context(), running, parley.Text("Hi"), time.Now()) })
		await(t, 5*time.Second-time.Since(began), func() error {
			if err := store.Notify(t.Context(), "t", []byte("back")); err != nil {
				return err
			}
			select {
			case <-heard:
				return nil
			case <-time.After(200 * time.Millisecond):
				return errors.New("no note is heard")
			}
		})
		there := prompts(t, store, "s")
		for _, prompt := range kept {
			if !slices.Contains(there, prompt) {
				t.Errorf("%q was acknowledged, and is gone", prompt)
			}
		}
		if round == 0 {
			goroutines = runtime.NumGoroutine()
		} else if n := runtime.NumGoroutine(); n > goroutines+5 {
			t.Errorf("there are %d goroutines after the second crash, and were %d after the first; want no more", n, goroutines)
		}
	}
}

// await calls try until it returns nil, but not for longer than it may take.
func await(t *testing.T, most time.Duration, try func() error) {
	t.Helper()
	began := time.Now()
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Since(began) > most {
			t.Fatalf("after %v: %v; want it to work again within 5 s", time.Since(began), err)
		}
	}
}
