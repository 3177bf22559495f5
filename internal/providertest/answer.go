package providertest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	hugeText  = 100_000_000
	hugePiece = 64 << 10
)

// An answer is one response, while it is written.
type answer struct {
	Script
	ctx     context.Context
	w       http.ResponseWriter
	call    *Call
	dialect dialect
	sent    int64
}

func (a *answer) write() {
	switch a.Mode {
	case HangBefore:
		<-a.ctx.Done()
		return
	case RateLimited:
		a.fail(http.StatusTooManyRequests, "rate_limit_error", "Rate limit reached for requests")
		return
	case Failing:
		a.fail(http.StatusInternalServerError, "server_error", "The server had an error while processing your request")
		return
	case Overloaded:
		a.fail(529, "overloaded_error", "Overloaded")
		return
	case Refused:
		a.fail(a.Status, "invalid_request_error", "The request was refused")
		return
	case NoStream:
		a.w.Header().Set("Content-Type", "text/html; charset=utf-8")
		a.print("<!DOCTYPE html>\n<title>Welcome</title>\n<p>This is some other web site.")
		return
	case Redirect:
		a.w.Header().Set("Location", a.call.Path+"/")
		a.w.WriteHeader(http.StatusPermanentRedirect)
		return
	}
	switch {
	case a.dialect == nil:
		a.w.WriteHeader(http.StatusNotFound)
		a.print("404 page not found")
	case a.Mode == Raw:
		a.w.Header().Set("Content-Type", "text/event-stream")
		a.print(string(a.Body))
	case a.call.Stream:
		a.stream()
	default:
		a.whole()
	}
}

// fail answers with an error in the form of the API.
func (a *answer) fail(status int, kind, message string) {
	if a.Type != "" {
		kind = a.Type
	}
	if a.Message != "" {
		message = strings.ReplaceAll(a.Message, "{key}", a.call.Key)
	}
	if a.RetryAfter != "" {
		a.w.Header().Set("Retry-After", a.RetryAfter)
	}
	a.w.Header().Set("Content-Type", "application/json")
	a.w.WriteHeader(status)
	a.print(encode(failure(a.call.API, kind, message)))
}

// outcome is how an answer ends, in the words of no API in particular.
type outcome struct {
	text     string
	refusal  string
	length   bool
	filtered bool
}

func (a *answer) outcome() outcome {
	switch a.Mode {
	case Empty:
		return outcome{}
	case Refusal:
		return outcome{refusal: RefusalText}
	case Filtered:
		return outcome{text: a.Pieces[0], filtered: true}
	}
	return outcome{text: a.Text(), length: a.Mode == Length}
}

// whole answers in one piece. The modes that break off do so within it.
func (a *answer) whole() {
	o := a.outcome()
	if a.Mode == Huge {
		o.text = strings.Repeat("a", hugeText)
	}
	if a.Mode == Drip && !a.sleep() {
		return
	}
	data := encode(a.dialect.whole(o))
	a.w.Header().Set("Content-Type", "application/json")
	switch a.Mode {
	case HangMiddle:
		if a.print(data[:len(data)/2]) {
			<-a.ctx.Done()
		}
	case Cut:
		a.print(data[:len(data)/2])
		panic(http.ErrAbortHandler)
	case EndEarly, Malformed:
		a.print(data[:len(data)/2])
	case Complaint:
		a.print(encode(failure(a.call.API, "server_error", "Something went wrong")))
	default:
		a.print(data)
	}
}

// stream answers piece by piece.
func (a *answer) stream() {
	a.w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	a.w.Header().Set("Cache-Control", "no-cache")
	o := a.outcome()
	if !a.events(a.dialect.begin()) || !a.pieces(o) {
		return
	}
	switch a.Mode {
	case HangMiddle:
		<-a.ctx.Done()
	case Cut:
		panic(http.ErrAbortHandler)
	case EndEarly:
	case Malformed:
		a.events([]event{{a.dialect.delta("").name, `{"choices": [oops`}})
	case Complaint:
		kind, message := "server_error", "Something went wrong"
		if a.Type != "" {
			kind, message = a.Type, a.Message
		}
		a.events([]event{a.dialect.complain(kind, message)})
	default:
		a.events(a.dialect.end(o))
	}
}

// pieces sends the text. It reports whether the client still listens.
func (a *answer) pieces(o outcome) bool {
	if a.Mode == Huge {
		piece := format([]event{a.dialect.delta(strings.Repeat("a", hugePiece))})
		for sent := 0; sent < hugeText; sent += hugePiece {
			if !a.print(piece) {
				return false
			}
		}
		return true
	}
	if o.refusal != "" {
		return a.events(a.dialect.refuse(o.refusal))
	}
	pieces := a.Pieces
	switch a.Mode {
	case Empty:
		pieces = nil
	case HangMiddle, Cut, EndEarly, Malformed, Complaint, Filtered:
		pieces = pieces[:1]
	}
	for i, piece := range pieces {
		if i > 0 && !a.next() || a.Mode == Drip && !a.sleep() || !a.events([]event{a.dialect.delta(piece)}) {
			return false
		}
	}
	return true
}

// next waits for the test to want the next piece.
func (a *answer) next() bool {
	if a.Next == nil {
		return true
	}
	select {
	case <-a.Next:
		return true
	case <-a.ctx.Done():
		return false
	}
}

func (a *answer) sleep() bool {
	select {
	case <-time.After(a.Delay):
		return true
	case <-a.ctx.Done():
		return false
	}
}

// events sends events at once. It reports whether the client still listens.
func (a *answer) events(events []event) bool { return a.print(format(events)) }

func format(events []event) string {
	var text strings.Builder
	for _, e := range events {
		if e.name != "" {
			fmt.Fprintf(&text, "event: %s\n", e.name)
		}
		data, ok := e.data.(string)
		if !ok {
			data = encode(e.data)
		}
		fmt.Fprintf(&text, "data: %s\n\n", data)
	}
	return text.String()
}

func (a *answer) print(text string) bool {
	n, err := a.w.Write([]byte(text))
	a.sent += int64(n)
	return err == nil && http.NewResponseController(a.w).Flush() == nil && a.ctx.Err() == nil
}

func encode(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // of our own maps
	}
	return string(data)
}
