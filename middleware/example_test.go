package middleware_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/middleware"
	"github.com/parley-chat/parley/middleware/compress"
)

// A chat with everything around it, in the order that the package comment gives.
func Example() {
	log := slog.New(slog.DiscardHandler)
	clientAddr, err := middleware.ClientAddr("1", log)
	if err != nil {
		panic(err)
	}
	csrf, err := middleware.NewCSRF(false, "what `openssl rand -hex 32` printed")
	if err != nil {
		panic(err)
	}
	rateLimit, err := middleware.RateLimit(middleware.Rate{Limit: 2}, nil, log)
	if err != nil {
		panic(err)
	}
	chat, err := parley.New(parley.Config{
		Bot:        echo,
		Middleware: []func(http.Handler) http.Handler{csrf.Check, rateLimit},
	})
	if err != nil {
		panic(err)
	}
	handler := chat.Handler()
	for _, m := range slices.Backward([]func(http.Handler) http.Handler{
		clientAddr,
		middleware.RequestID,
		middleware.AccessLog(log, true),
		middleware.Recover(log),
		middleware.SecurityHeaders,
		compress.Handler,
	}) {
		handler = m(handler)
	}

	for range 3 {
		r := httptest.NewRequest("POST", "/chat", strings.NewReader(`{"prompt": "Hello", "session_id": "test-session"}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Forwarded-For", "203.0.113.7")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Print(w.Header().Get("RateLimit"), " ", w.Body)
	}
	// Output:
	// "chat";r=1;t=900 {"output":"You said: Hello"}
	// "chat";r=0;t=900 {"output":"You said: Hello"}
	// "chat";r=0;t=900 {"error":"Too many chat requests, please try again later."}
}
