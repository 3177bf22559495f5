package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/upstream"
)

const (
	maxBody      = 8 << 20  // how much is read of a streamed answer, with all that is around its text
	maxErrorBody = 16 << 10 // how much is read of an error's body
)

// Check is a middleware of the SDKs. It lets an event stream through, and JSON
// for a service that takes it, and cuts it off where it gets too long. Everything else becomes a [parley.Failure] here,
// so that no SDK reads an error of unknown length or quotes the request in one
// of its own.
func (s *Service) Check(req *http.Request, next func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	resp, err := next(req)
	if err != nil {
		return nil, s.Unreachable(err)
	}
	resp.Body = upstream.LimitBody(resp.Body, maxBody)
	isJSON := upstream.MediaType(resp) == "application/json"
	if resp.StatusCode == http.StatusOK && (IsStream(resp) || isJSON && s.TakesJSON) {
		return resp, nil
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	return nil, s.NoAnswer(resp, raw)
}

// IsStream reports whether a response comes as events.
func IsStream(resp *http.Response) bool { return upstream.MediaType(resp) == "text/event-stream" }

// NoAnswer is the failure of a response that is none, of whose body raw was read.
func (s *Service) NoAnswer(resp *http.Response, raw []byte) *parley.Failure {
	said := ParseComplaint(raw)
	temporary, hint := s.judge(resp, said)
	return s.Refused(resp, temporary, hint, said.Message)
}

// judge says whether asking again can help, and what else would.
func (s *Service) judge(resp *http.Response, said Complaint) (temporary bool, hint string) {
	switch status := resp.StatusCode; {
	case status == http.StatusUnauthorized && s.APIKey == "":
		return false, "a key is needed: set " + s.KeyName
	case status == http.StatusUnauthorized:
		return false, "the key was refused: check " + s.KeyName
	case status == http.StatusForbidden:
		return false, "the key may not be used for this: check " + s.KeyName + ", and what its account may do"
	case status == http.StatusNotFound:
		return false, fmt.Sprintf("it has no model %q, or the base URL is wrong", s.Model)
	case status == http.StatusPaymentRequired, said.is("insufficient_quota", "billing_error"):
		return false, "the account has no credit left: check its plan and billing"
	case status == http.StatusTooManyRequests:
		return true, "it is asked too often for the limits of the account"
	case status < 300:
		return false, fmt.Sprintf("but with %q and no event stream: check the base URL", s.Quote(upstream.MediaType(resp)))
	default:
		return upstream.IsTemporary(status), ""
	}
}

// A Complaint is what a provider says of an error.
type Complaint struct {
	Message string
	Kinds   []string // its type and its code, in the provider's words
}

// ParseComplaint reads the form that all providers share, JSON like
// {"error":{"message":…,"type":…,"code":…}}. Anything else is a message as it is.
func ParseComplaint(raw []byte) Complaint {
	var wire struct {
		Error struct {
			Message string `json:"message"`
			Type    any    `json:"type"`
			Code    any    `json:"code"` // some send a number
		} `json:"error"`
	}
	if json.Unmarshal(raw, &wire) != nil || wire.Error.Message == "" {
		return Complaint{Message: string(raw)}
	}
	return Complaint{wire.Error.Message, []string{fmt.Sprint(wire.Error.Type), fmt.Sprint(wire.Error.Code)}}
}

func (c Complaint) is(kinds ...string) bool {
	return slices.ContainsFunc(c.Kinds, func(kind string) bool { return slices.Contains(kinds, kind) })
}

// lasts reports whether asking again would bring the same complaint.
func (c Complaint) lasts() bool {
	return c.is("invalid_request_error", "invalid_prompt", "authentication_error", "permission_error", "not_found_error",
		"billing_error", "insufficient_quota", "request_too_large", "content_filter") ||
		slices.ContainsFunc(c.Kinds, func(kind string) bool {
			return strings.HasSuffix(kind, "_policy") || strings.HasSuffix(kind, "_violation")
		})
}

// GaveUp is the failure of an answer within which the provider complained.
func (s *Service) GaveUp(c Complaint) *parley.Failure {
	return s.Failure(!c.lasts(), "gave up its answer. It said: %s", s.Quote(c.Message))
}

// unfinished is the failure of an answer that an SDK could not read to its end,
// because of err or because it has none.
func (s *Service) unfinished(err error) *parley.Failure {
	var failure *parley.Failure
	var unread *upstream.ReadError
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &failure): // of Check, or what the provider said
		return failure
	case err == nil, errors.As(err, &unread), errors.As(err, &tooLong):
		return s.BrokeOff(err)
	}
	return s.Failure(true, "sent an event that makes no sense: %s", s.Quote(err.Error()))
}
