package middleware_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/middleware"
)

const tooMany = `{"error":"Too many chat requests, please try again later."}` + "\n"

// limited returns a rate limit around a handler that says nothing.
func limited(t testing.TB, rate middleware.Rate, limiter parley.Limiter) http.Handler {
	t.Helper()
	limit, err := middleware.RateLimit(rate, limiter, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return limit(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
}

// from is a request from an address.
func from(addr string) *http.Request {
	return &http.Request{Method: "POST", URL: &url.URL{Path: "/chat"}, Header: http.Header{}, RemoteAddr: addr}
}

func TestRateLimitOverItsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := limited(t, middleware.Rate{}, nil)
		ends := time.Now().Add(15 * time.Minute)
		check := func(status, left, reset int) {
			t.Helper()
			w := serve(h, from("192.0.2.1:4000"))
			if w.Code != status {
				t.Fatalf("answered %d, want %d", w.Code, status)
			}
			want := map[string]string{
				"RateLimit-Policy":      `"chat";q=100;w=900`,
				"RateLimit":             fmt.Sprintf(`"chat";r=%d;t=%d`, left, reset),
				"X-RateLimit-Limit":     "100",
				"X-RateLimit-Remaining": strconv.Itoa(left),
				"X-RateLimit-Reset":     strconv.FormatInt(ends.Unix(), 10),
				"Retry-After":           "",
			}
			if status == http.StatusTooManyRequests {
				want["Retry-After"] = strconv.Itoa(reset)
				if w.Body.String() != tooMany {
					t.Errorf("the body is %s, want %s", w.Body, tooMany)
				}
			}
			for name, value := range want {
				if got := w.Header().Get(name); got != value {
					t.Errorf("%s is %q, want %q", name, got, value)
				}
			}
		}
		check(200, 99, 900)
		time.Sleep(1500 * time.Millisecond)
		for i := range 99 {
			check(200, 98-i, 899) // 898.5, rounded up
		}
		check(429, 0, 899)
		check(429, 0, 899)
		time.Sleep(898*time.Second + 499*time.Millisecond)
		check(429, 0, 1) // a millisecond before the end
		time.Sleep(time.Millisecond)
		ends = time.Now().Add(15 * time.Minute)
		check(200, 99, 900)
	})
}

func TestRateLimitTellsClientsApart(t *testing.T) {
	for _, test := range []struct {
		name, one, other string
		same             bool
	}{
		{"ports of one address", "192.0.2.1:4000", "192.0.2.1:4001", true},
		{"neighbours over IPv4", "192.0.2.1:4000", "192.0.2.2:4000", false},
		{"IPv4 in IPv6 clothes", "192.0.2.1:4000", "[::ffff:192.0.2.1]:4000", true},
		{"the same, in hexadecimal", "192.0.2.1:4000", "[::ffff:c000:201]:4000", true},
		{"neighbours in IPv6 clothes", "[::ffff:192.0.2.1]:4000", "[::ffff:192.0.2.2]:4000", false},
		{"one /64", "[2001:db8::1]:4000", "[2001:db8::ffff:2]:4000", true},
		{"one /56", "[2001:db8:0:1::1]:4000", "[2001:db8:0:ff::1]:4000", true},
		{"two /56", "[2001:db8:0:ff::1]:4000", "[2001:db8:0:100::1]:4000", false},
		{"zones", "[fe80::1%eth0]:4000", "[fe80::1%eth1]:4000", true},
		{"no address", "@", "@", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := limited(t, middleware.Rate{Limit: 1}, nil)
			serve(h, from(test.one))
			if refused := serve(h, from(test.other)).Code == http.StatusTooManyRequests; refused != test.same {
				t.Errorf("%s uses up the share of %s: %v, want %v", test.one, test.other, refused, test.same)
			}
		})
	}
}

func TestRatesHaveTheirOwnBuckets(t *testing.T) {
	shared := middleware.NewMemoryLimiter(0)
	chat := limited(t, middleware.Rate{Limit: 1}, shared)
	form := limited(t, middleware.Rate{Name: "form", Limit: 1, Window: time.Minute}, shared)
	serve(chat, from("192.0.2.1:4000"))
	w := serve(form, from("192.0.2.1:4000"))
	if w.Code != 200 || w.Header().Get("RateLimit-Policy") != `"form";q=1;w=60` {
		t.Errorf("the form was answered %d under the policy %s, want 200 under its own", w.Code, w.Header().Get("RateLimit-Policy"))
	}
	w = serve(form, from("192.0.2.1:4000"))
	if want := "Too many form requests, please try again later."; w.Code != 429 || !strings.Contains(w.Body.String(), want) {
		t.Errorf("the second form was answered %d %s, want 429 %s", w.Code, w.Body, want)
	}
}

func TestRateLimitTellsWhatIsWrong(t *testing.T) {
	_, err := middleware.RateLimit(middleware.Rate{Name: `Chat"`, Limit: -1, Window: 1500 * time.Millisecond}, nil, nil)
	var problems parley.Problems
	if !errors.As(err, &problems) || len(problems) != 3 {
		t.Fatalf("error %v of type %T, want three problems", err, err)
	}
	for _, want := range []string{"Name: ", "small letters", "Limit: -1", "such as 100", "Window: 1.5s", "15m"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
}

// TestFloodFromOneAddress lets 64 clients at once do what they can.
func TestFloodFromOneAddress(t *testing.T) {
	h := limited(t, middleware.Rate{}, nil)
	if passed := flood(64, 2000, func(i int) bool { return serve(h, from("192.0.2.1:4000")).Code == 200 }); passed != 100 {
		t.Errorf("%d requests passed, want exactly 100", passed)
	}
}

// TestFloodFromOneNetwork uses 65,536 addresses of one /56.
func TestFloodFromOneNetwork(t *testing.T) {
	h := limited(t, middleware.Rate{}, nil)
	addresses := 1 << 16
	if testing.Short() {
		addresses = 1 << 12
	}
	passed := flood(4, addresses, func(i int) bool {
		return serve(h, from(fmt.Sprintf("[2001:db8:0:%x:%x::1]:4000", i%256, i/256))).Code == 200
	})
	if passed != 100 {
		t.Errorf("%d requests passed, want exactly 100", passed)
	}
}

// flood calls try n times from several goroutines and returns how often it said
// yes.
func flood(goroutines, n int, try func(i int) bool) int64 {
	var next, passed atomic.Int64
	var group sync.WaitGroup
	for range goroutines {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				if try(int(i)) {
					passed.Add(1)
				}
			}
		})
	}
	group.Wait()
	return passed.Load()
}

// TestUsedUpSharesSurviveAFlood has an attacker, whose share is used up, send
// one request each from as many other networks as the limiter remembers ten
// times over, which is more than it has room for.
func TestUsedUpSharesSurviveAFlood(t *testing.T) {
	const keys = 1000
	h := limited(t, middleware.Rate{Limit: 10}, middleware.NewMemoryLimiter(keys))
	for range 10 {
		serve(h, from("192.0.2.1:4000"))
	}
	for i := range 10 * keys {
		if w := serve(h, from(fmt.Sprintf("10.%d.%d.1:4000", i/256, i%256))); w.Code != 200 {
			t.Fatalf("a first request was answered %d: somebody got less than their share", w.Code)
		}
	}
	if w := serve(h, from("192.0.2.1:4000")); w.Code != 429 {
		t.Errorf("the flood gave the attacker its share back: answered %d, want 429", w.Code)
	}
}

// TestMemoryLimiterIsBounded counts what a limiter remembers: a key that it
// forgot counts from one again.
func TestMemoryLimiterIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys = 100
		m := middleware.NewMemoryLimiter(keys)
		take := func(i int) int {
			hit, err := m.Take(t.Context(), strconv.Itoa(i), 10, time.Minute)
			if err != nil || hit.Reset != time.Minute {
				t.Fatalf("took %+v, %v; want a new window of a minute", hit, err)
			}
			return hit.Count
		}
		for i := range 10 * keys {
			take(i)
		}
		remembered := 0
		for i := 10*keys - 1; i >= 0; i-- {
			if take(i) == 2 {
				remembered++
			}
		}
		if remembered == 0 || remembered > keys {
			t.Errorf("%d of %d keys were remembered, want some and at most %d", remembered, 10*keys, keys)
		}
	})
}

// TestWindowsThatAreOverGoFirst fills a limiter, lets all that pass, and fills
// it again but for a little: nobody's running window is forgotten.
func TestWindowsThatAreOverGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys = 1000
		m := middleware.NewMemoryLimiter(keys)
		take := func(key string) int {
			hit, _ := m.Take(t.Context(), key, 10, time.Minute)
			return hit.Count
		}
		for i := range keys {
			take(fmt.Sprint("old ", i))
		}
		time.Sleep(time.Minute)
		for i := range keys / 2 {
			take(fmt.Sprint("new ", i))
		}
		for i := range keys / 2 {
			if take(fmt.Sprint("new ", i)) != 2 {
				t.Fatalf("the running window %d was forgotten while others were over", i)
			}
		}
	})
}

// shaky is a limiter that can be made to fail or to hang.
type shaky struct {
	parley.Limiter
	err   atomic.Pointer[error]
	hangs atomic.Bool
	asked atomic.Int64
}

func (s *shaky) Take(ctx context.Context, key string, limit int, window time.Duration) (parley.Hit, error) {
	s.asked.Add(1)
	if s.hangs.Load() {
		<-ctx.Done()
		return parley.Hit{}, ctx.Err()
	}
	if err := s.err.Load(); err != nil {
		return parley.Hit{}, *err
	}
	return s.Limiter.Take(ctx, key, limit, window)
}

func TestFailingLimiterIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		shared := &shaky{Limiter: middleware.NewMemoryLimiter(0)}
		limit, err := middleware.RateLimit(middleware.Rate{}, shared, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		h := limit(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		passed := func(n int) (passed int) {
			for range n {
				if serve(h, from("192.0.2.1:4000")).Code == 200 {
					passed++
				}
			}
			return passed
		}
		if got := passed(60); got != 60 {
			t.Errorf("%d of 60 passed by the shared limiter, want all", got)
		}
		down := errors.New("connection refused")
		shared.err.Store(&down)
		if got := passed(300); got != 100 {
			t.Errorf("%d passed while the shared limiter failed, want the local limit of 100", got)
		}
		if asked := shared.asked.Load(); asked != 61 {
			t.Errorf("the failing limiter was asked %d times, want once and then left alone", asked-60)
		}
		shared.err.Store(nil)
		time.Sleep(time.Second)
		if got := passed(300); got != 40 {
			t.Errorf("%d passed when the shared limiter was back, want the 40 that it had left", got)
		}
		if failed, back := strings.Count(log.String(), "connection refused"), strings.Count(log.String(), "answers again"); failed != 1 || back != 1 {
			t.Errorf("the log is %s, want one line for the failure and one for its end", &log)
		}
	})
}

func TestHangingLimiterDoesNotHoldRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &shaky{Limiter: middleware.NewMemoryLimiter(0)}
		shared.hangs.Store(true)
		h := limited(t, middleware.Rate{}, shared)
		began := time.Now()
		for range 100 {
			if w := serve(h, from("192.0.2.1:4000")); w.Code != 200 {
				t.Fatalf("answered %d, want 200", w.Code)
			}
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("100 requests were held for %v, want a second for the first and nothing for the others", took)
		}
	})
}

// TestClientsThatLeaveDoNotFailTheLimiter has requests whose context is over.
func TestClientsThatLeaveDoNotFailTheLimiter(t *testing.T) {
	shared := &shaky{Limiter: ctxLimiter{middleware.NewMemoryLimiter(0)}}
	h := limited(t, middleware.Rate{Limit: 1}, shared)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	serve(h, from("192.0.2.1:4000").WithContext(gone))
	if w := serve(h, from("192.0.2.1:4000")); w.Code != 429 || shared.asked.Load() != 2 {
		t.Errorf("answered %d and asked the shared limiter %d times, want 429 and 2", w.Code, shared.asked.Load())
	}
}

// ctxLimiter fails when its context is over, as a database does.
type ctxLimiter struct{ parley.Limiter }

func (l ctxLimiter) Take(ctx context.Context, key string, limit int, window time.Duration) (parley.Hit, error) {
	if err := ctx.Err(); err != nil {
		return parley.Hit{}, err
	}
	return l.Limiter.Take(ctx, key, limit, window)
}
