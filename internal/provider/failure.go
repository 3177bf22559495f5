package provider

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/parley-chat/parley"
)

const (
	maxSaid       = 300            // how much of a provider's own words an error quotes, in bytes
	maxErrorBody  = 16 << 10       // how much of an error's body is read
	maxRetryAfter = 24 * time.Hour // more is taken for a mistake
)

// Failure returns what to tell the operator, in one line without secrets. It
// begins with the provider's host.
func (s *Service) Failure(temporary bool, format string, args ...any) *parley.Failure {
	text := s.hide.Replace(fmt.Sprintf(format, args...))
	return &parley.Failure{Err: errors.New(s.BaseURL.Host + " " + oneLine(text)), Temporary: temporary}
}

// unreachable is the failure of a call that got no response.
func (s *Service) unreachable(err error) *parley.Failure {
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err // the URL may have a query that is nobody's business
	}
	var untrusted *tls.CertificateVerificationError
	return s.Failure(!errors.As(err, &untrusted), "cannot be reached: %v", err)
}

// refusal is the failure of a call whose response is no event stream.
func (s *Service) refusal(resp *http.Response, media string) *parley.Failure {
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	said := complaintOf(raw)
	temporary, hint := s.judge(resp, media, said)
	text := fmt.Sprintf("answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	if hint != "" {
		text += "; " + hint
	}
	if said.message != "" {
		text += ". It said: " + s.quote(said.message)
	}
	f := s.Failure(temporary, "%s", text)
	if temporary {
		f.RetryAfter = retryAfter(resp.Header, time.Now())
	}
	return f
}

// judge says whether asking again can help, and what else would.
func (s *Service) judge(resp *http.Response, media string, said complaint) (temporary bool, hint string) {
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
	case status == http.StatusRequestTimeout, status == http.StatusConflict, status >= 500 && status != http.StatusNotImplemented:
		return true, ""
	case status >= 300 && status < 400:
		return false, fmt.Sprintf("it sends on to %q, and redirects are not followed: is the base URL right?", s.quote(resp.Header.Get("Location")))
	case status < 300:
		return false, fmt.Sprintf("but with %q and no event stream: is the base URL right?", s.quote(media))
	}
	return false, ""
}

// broken returns the failure of a stream that an SDK could not read to its end.
func (s *Service) broken(err error) error {
	var failure *parley.Failure
	var broken brokenError
	switch {
	case errors.As(err, &failure): // of Check
		return failure
	case errors.Is(err, errTooLong):
		return s.Failure(false, "sent more than %d MiB for one answer", maxBody>>20)
	case errors.As(err, &broken):
		return s.Failure(true, "broke off its answer: %v", broken.error)
	case err == nil:
		return s.Failure(true, "broke off its answer")
	}
	return s.Failure(true, "sent an event that makes no sense: %s", s.quote(err.Error()))
}

// Complained returns the failure of a stream in which the provider said what
// went wrong, as JSON like {"error":{"message":…,"type":…,"code":…}}.
func (s *Service) Complained(raw []byte) *parley.Failure { return s.gaveUp(complaintOf(raw)) }

// GaveUp is [Service.Complained] for what is read already: a message and the
// kinds of error that it is, by the provider's types and codes.
func (s *Service) GaveUp(message string, kinds ...string) *parley.Failure {
	return s.gaveUp(complaint{message, kinds})
}

func (s *Service) gaveUp(c complaint) *parley.Failure {
	return s.Failure(!c.lasts(), "gave up its answer. It said: %s", s.quote(c.message))
}

// A complaint is what a provider says of an error.
type complaint struct {
	message string
	kinds   []string // its type and its code
}

// complaintOf reads the form that all providers share. Anything else is a
// message as it is.
func complaintOf(raw []byte) complaint {
	var wire struct {
		Error struct {
			Message string `json:"message"`
			Type    any    `json:"type"`
			Code    any    `json:"code"` // some send a number
		} `json:"error"`
	}
	if json.Unmarshal(raw, &wire) != nil || wire.Error.Message == "" {
		return complaint{message: string(raw)}
	}
	return complaint{wire.Error.Message, []string{fmt.Sprint(wire.Error.Type), fmt.Sprint(wire.Error.Code)}}
}

func (c complaint) is(kinds ...string) bool {
	return slices.ContainsFunc(c.kinds, func(kind string) bool { return slices.Contains(kinds, kind) })
}

// lasts reports whether asking again would bring the same complaint.
func (c complaint) lasts() bool {
	return c.is("invalid_request_error", "invalid_prompt", "authentication_error", "permission_error", "not_found_error",
		"billing_error", "insufficient_quota", "request_too_large", "content_filter") ||
		slices.ContainsFunc(c.kinds, func(kind string) bool {
			return strings.HasSuffix(kind, "_policy") || strings.HasSuffix(kind, "_violation")
		})
}

// retryAfter returns how long a provider wants to be left alone: Retry-After-Ms
// of OpenAI, or Retry-After (RFC 9110, section 10.2.3), in seconds or as a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if d, ok := parseDelay(h.Get("Retry-After-Ms"), time.Millisecond); ok {
		return d
	}
	value := h.Get("Retry-After")
	if d, ok := parseDelay(value, time.Second); ok {
		return d
	}
	if t, err := http.ParseTime(value); err == nil {
		return min(max(t.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

func parseDelay(value string, unit time.Duration) (delay time.Duration, ok bool) {
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(n) {
		return 0, false
	}
	return time.Duration(min(max(n*float64(unit), 0), float64(maxRetryAfter))), true
}

// quote returns what a provider said, in one line of bounded length. Secrets are
// hidden first: half a key is no longer found.
func (s *Service) quote(text string) string {
	text = oneLine(s.hide.Replace(text))
	if len(text) <= maxSaid {
		return text
	}
	end := maxSaid
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// oneLine makes text fit for a line of a log: no line breaks, no control
// characters, no invalid UTF-8.
func oneLine(text string) string {
	printable := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, "\uFFFD"))
	return strings.Join(strings.Fields(printable), " ")
}
