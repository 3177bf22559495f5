package middleware

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/parley-chat/parley"
)

// Recover answers in place of a handler that panicked, as the wire contract
// answers every unexpected error, and logs the panic with its stack, the
// request and its session. If part of an answer was sent already, the
// connection is cut instead, so that no client takes the part for the whole.
//
// A panic with [http.ErrAbortHandler] asks for just that, so it passes through.
// A nil log means [slog.Default].
func Recover(log *slog.Logger) func(http.Handler) http.Handler {
	log = cmp.Or(log, slog.Default())
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec, r := record(w, r)
			defer func() {
				cause := recover()
				if cause == nil {
					return
				}
				if cause == http.ErrAbortHandler {
					panic(cause)
				}
				log.LogAttrs(r.Context(), slog.LevelError, "a handler panicked",
					slog.String("panic", fmt.Sprint(cause)),
					slog.String("method", printable(r.Method, maxLoggedText)),
					slog.String("path", printable(r.URL.Path, maxLoggedText)),
					slog.String("session", rec.session()),
					slog.String("request_id", rec.id),
					slog.String("stack", string(debug.Stack())),
				)
				if rec.status != 0 {
					panic(http.ErrAbortHandler)
				}
				for _, name := range []string{"Content-Encoding", "Etag", "Last-Modified"} {
					rec.Header().Del(name) // of the answer that did not come
				}
				parley.WriteError(rec, fmt.Errorf("panic: %v", cause))
			}()
			next.ServeHTTP(rec, r)
		})
	}
}
