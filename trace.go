package parley

import "context"

// A Trace carries what Chat learned of a request out to the middleware around
// it, such as an access log, in the manner of net/http/httptrace. It is filled
// in before the handler returns, by the handler's goroutine.
type Trace struct {
	Session string // the conversation's key, see [Turn.Session]
	Prompt  string
}

type traceKey struct{}

// WithTrace returns a context in which [Chat.Answer] fills in trace.
func WithTrace(ctx context.Context, trace *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, trace)
}

func traceOf(ctx context.Context) *Trace {
	if t, ok := ctx.Value(traceKey{}).(*Trace); ok {
		return t
	}
	return new(Trace)
}
