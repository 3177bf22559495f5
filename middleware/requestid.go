package middleware

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
)

const requestIDHeader = "X-Request-Id"

// RequestID gives each request a name that stands in its answer (X-Request-Id),
// in its context ([RequestIDOf]) and in what [AccessLog] and [Recover] log of it.
//
// A client or proxy that names its requests itself may: up to 64 letters,
// digits, dots, underscores and hyphens are taken as they are, from anybody. The
// name is a label to find things by and proves nothing; all that a client gains
// by choosing one is to find its own requests.
func RequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(requestIDHeader)
		if !isRequestID(id) {
			id = strconv.FormatUint(rand.Uint64(), 36)
		}
		rec, r := record(w, r)
		rec.id = id
		rec.Header().Set(requestIDHeader, id)
		next.ServeHTTP(rec, r)
	})
}

// RequestIDOf returns the name that [RequestID] gave to the request that ctx
// belongs to, or nothing.
func RequestIDOf(ctx context.Context) string {
	if rec, ok := ctx.Value(recorderKey{}).(*recorder); ok {
		return rec.id
	}
	return ""
}

func isRequestID(id string) bool {
	for i := range len(id) {
		c := id[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return 1 <= len(id) && len(id) <= 64
}
