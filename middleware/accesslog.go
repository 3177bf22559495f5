package middleware

import (
	"cmp"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

const (
	maxLoggedPrompt = 100 // characters
	maxLoggedText   = 256 // characters of everything else that a client chooses
)

// AccessLog writes one record a request to log when the request is over: its
// method, path, status, bytes sent, latency_ms, ip, user_agent and request_id,
// and for a chat message also its session, as the first 8 characters of
// [parley.Trace], and the first 100 characters of the prompt, unless prompts is
// false. A status of 0 means that the connection was cut before an answer.
//
// Query strings are not logged, because they may carry secrets. Clients choose
// paths, prompts and user agents, so those are cut to a length, and control
// characters that a JSON string may contain are replaced: with a
// [slog.JSONHandler], whatever a client sends, a request is one line.
//
// It expects what [ClientAddr] and [RequestID] do to have been done. A nil log
// means [slog.Default].
func AccessLog(log *slog.Logger, prompts bool) func(http.Handler) http.Handler {
	// The handler is called directly, because a Logger would look up the line of
	// code that calls it, which is always the same.
	handler := cmp.Or(log, slog.Default()).Handler()
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			began := time.Now()
			rec, r := record(w, r)
			defer func() {
				if !handler.Enabled(r.Context(), slog.LevelInfo) {
					return
				}
				if r.Method == http.MethodHead {
					rec.bytes = 0 // net/http drops the body
				}
				now := time.Now()
				line := slog.NewRecord(now, slog.LevelInfo, "request", 0)
				line.AddAttrs(
					slog.String("method", printable(r.Method, maxLoggedText)),
					slog.String("path", printable(r.URL.Path, maxLoggedText)),
					slog.Int("status", rec.status),
					slog.Int64("bytes", rec.bytes),
					slog.Int64("latency_ms", now.Sub(began).Milliseconds()),
					slog.String("ip", printable(hostOf(r.RemoteAddr), maxLoggedText)),
					slog.String("user_agent", printable(r.UserAgent(), maxLoggedText)),
					slog.String("request_id", rec.id),
				)
				if session := rec.session(); session != "" {
					line.AddAttrs(slog.String("session", session))
				}
				if prompts && rec.trace.Prompt != "" {
					line.AddAttrs(slog.String("prompt", printable(rec.trace.Prompt, maxLoggedPrompt)))
				}
				handler.Handle(r.Context(), line) // a full disk is no reason to fail requests
			}()
			next.ServeHTTP(rec, r)
			rec.sent() // a handler that says nothing says 200
		})
	}
}

// printable returns the first most characters of s, with DEL, the C1 control
// characters and broken UTF-8 replaced. A JSON string may contain those as they
// are, and a terminal takes some for commands. The control characters below
// them are left to the log's format, which must escape them.
func printable(s string, most int) string {
	n := 0
	for i := range s {
		if n == most {
			s = s[:i]
			break
		}
		n++
	}
	return strings.Map(func(r rune) rune {
		if 0x7F <= r && r <= 0x9F {
			return '\uFFFD'
		}
		return r
	}, s)
}

// hostOf returns an address without its port.
func hostOf(addr string) string {
	if colon := strings.LastIndexByte(addr, ':'); colon >= 0 {
		addr = addr[:colon]
	}
	return strings.Trim(addr, "[]")
}
