package middleware

import (
	"context"
	"net/http"

	"github.com/parley-chat/parley"
)

// A recorder is a ResponseWriter that remembers what was answered, together
// with what is known about the request. The middleware that needs one shares
// it, so that a request is copied once.
type recorder struct {
	http.ResponseWriter
	id     string // given by RequestID
	status int    // 0 while the header is not sent
	bytes  int64
	trace  parley.Trace // filled in by the chat
}

type recorderKey struct{}

// record returns the recorder that w already is, or a new one around it, and
// the request that belongs to it.
func record(w http.ResponseWriter, r *http.Request) (*recorder, *http.Request) {
	if rec, ok := w.(*recorder); ok {
		return rec, r
	}
	rec := &recorder{ResponseWriter: w, id: RequestIDOf(r.Context())}
	ctx := context.WithValue(r.Context(), recorderKey{}, rec)
	return rec, r.WithContext(parley.WithTrace(ctx, &rec.trace))
}

func (rec *recorder) WriteHeader(status int) {
	if rec.status == 0 && status >= 200 { // others announce the answer (RFC 9110, section 15.2)
		rec.status = status
	}
	rec.ResponseWriter.WriteHeader(status)
}

func (rec *recorder) Write(data []byte) (int, error) {
	rec.sent()
	n, err := rec.ResponseWriter.Write(data)
	rec.bytes += int64(n)
	return n, err
}

// FlushError sends what is buffered, for [http.ResponseController].
func (rec *recorder) FlushError() error {
	rec.sent()
	return http.NewResponseController(rec.ResponseWriter).Flush()
}

// Flush is FlushError for those who ask for an [http.Flusher].
func (rec *recorder) Flush() { rec.FlushError() }

// Unwrap lets [http.ResponseController] find what else the connection can do.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

// sent notes that the header went out, with 200 if nobody said otherwise.
func (rec *recorder) sent() {
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
}

// session returns how the conversation of the request is named in logs.
func (rec *recorder) session() string {
	return rec.trace.Session[:min(8, len(rec.trace.Session))]
}
