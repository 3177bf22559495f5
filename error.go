package parley

import (
	"errors"
	"net/http"
)

// A Code says what kind of failure an [Error] is. Each code has one HTTP status.
type Code string

// The codes, with the status that each becomes.
const (
	CodeInvalid     Code = "invalid"      // 400: the request breaks a rule of the contract
	CodeForbidden   Code = "forbidden"    // 403: a proof that came with the request is wrong or missing
	CodeNotFound    Code = "not_found"    // 404
	CodeMethod      Code = "method"       // 405
	CodeTooLarge    Code = "too_large"    // 413
	CodeMediaType   Code = "media_type"   // 415
	CodeKeyReused   Code = "key_reused"   // 422: an idempotency key came again with another body
	CodeRateLimited Code = "rate_limited" // 429
	CodeInternal    Code = "internal"     // 500: everything unexpected
	CodeUnavailable Code = "unavailable"  // 503: overloaded, stopping, or the store is away; worth a retry
)

var statusOf = map[Code]int{
	CodeInvalid:     http.StatusBadRequest,
	CodeForbidden:   http.StatusForbidden,
	CodeNotFound:    http.StatusNotFound,
	CodeMethod:      http.StatusMethodNotAllowed,
	CodeTooLarge:    http.StatusRequestEntityTooLarge,
	CodeMediaType:   http.StatusUnsupportedMediaType,
	CodeKeyReused:   http.StatusUnprocessableEntity,
	CodeRateLimited: http.StatusTooManyRequests,
	CodeInternal:    http.StatusInternalServerError,
	CodeUnavailable: http.StatusServiceUnavailable,
}

// Error is a failure as the domain sees it. Message is safe for a visitor; Err,
// which may be nil, is the cause and goes to the log only.
type Error struct {
	Code    Code
	Message string
	Err     error
}

// Error returns the message and, for the log, the cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// What a visitor reads when things go wrong, in the words of the wire contract.
const (
	apologyInternal    = "I'm sorry, I'm experiencing technical difficulties. Please try again."
	apologyUnavailable = "I'm experiencing technical difficulties. Please try again."
	apologyNoAnswer    = "I'm having trouble processing your request. Please try again."
	apologyForm        = "Failed to submit form. Please try again."
)

// asError returns the first [Error] in err's chain, or wraps err as an internal
// one whose cause no visitor sees. An Error without a known code is no better.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) && statusOf[e.Code] != 0 {
		return e
	}
	return &Error{Code: CodeInternal, Message: apologyInternal, Err: err}
}

// WriteError answers a request with err in the contract's form: the status of
// its [Code], and {"error": message}, or {"output": message} where a failure of
// ours is shown to a visitor as a reply (500 and 503). An err that is no
// [Error] is answered as internal, without its text. Middleware uses it so that
// every refusal on the wire looks the same.
//
// A 503 gets a Retry-After of one second unless the header is set already.
func WriteError(w http.ResponseWriter, err error) {
	status, body := errorBody(err)
	if status == http.StatusServiceUnavailable && w.Header().Get("Retry-After") == "" {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, status, body)
}

// errorMessage is the body of an error.
type errorMessage struct {
	Error  string `json:"error,omitempty"`
	Output string `json:"output,omitempty"`
}

// errorBody returns the status and the body with which err is answered.
func errorBody(err error) (int, errorMessage) {
	e := asError(err)
	if e.Code == CodeInternal || e.Code == CodeUnavailable {
		return statusOf[e.Code], errorMessage{Output: e.Message}
	}
	return statusOf[e.Code], errorMessage{Error: e.Message}
}

// errKeyReused answers an idempotency key that comes with another request.
var errKeyReused = &Error{Code: CodeKeyReused, Message: "Idempotency-Key was used with another request"}

// unavailable is the answer while a node is overloaded, stopping, or cut off
// from its store.
func unavailable(cause error) *Error {
	return &Error{Code: CodeUnavailable, Message: apologyUnavailable, Err: cause}
}
