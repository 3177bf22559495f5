package upstream

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/parley-chat/parley"
)

const (
	maxLine       = 600            // how long a failure is, in bytes
	maxQuote      = 240            // how much of a server's own words it quotes, in bytes
	maxRetryAfter = 24 * time.Hour // more is taken for a mistake
)

// Failure returns what to tell the operator, in one short line without secrets.
// It begins with the server's host.
func (s *Server) Failure(temporary bool, format string, args ...any) *parley.Failure {
	text := s.host + " " + s.hide.Replace(fmt.Sprintf(format, args...))
	return &parley.Failure{Err: errors.New(shorten(oneLine(text), maxLine)), Temporary: temporary}
}

// Quote returns what a server said, for a [Server.Failure]: the beginning of it.
// Secrets are hidden first: half a key is no longer found.
func (s *Server) Quote(text string) string {
	return shorten(oneLine(s.hide.Replace(text)), maxQuote)
}

// Unreachable is the failure of a call that got no response.
func (s *Server) Unreachable(err error) *parley.Failure {
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err // the rest of the URL is nobody's business
	}
	var untrusted *tls.CertificateVerificationError
	return s.Failure(!errors.As(err, &untrusted), "cannot be reached: %v", err)
}

// Refused is the failure of a call whose response is no answer. The hint says
// what would help, and said is what the server said; both may be empty. How long
// the server wants to be left alone counts where asking again can help.
func (s *Server) Refused(resp *http.Response, temporary bool, hint, said string) *parley.Failure {
	text := strings.TrimSpace(fmt.Sprintf("answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
	if to, err := resp.Location(); err == nil && resp.StatusCode/100 == 3 {
		hint = fmt.Sprintf("it sends on to %s://%s, which is not followed: check the URL", to.Scheme, to.Host)
	}
	if hint != "" {
		text += "; " + hint
	}
	if said = s.Quote(said); said != "" {
		text += ". It said: " + said
	}
	f := s.Failure(temporary, "%s", text)
	if temporary {
		f.RetryAfter = retryAfter(resp.Header)
	}
	return f
}

// IsTemporary reports whether asking again can help after a status. A 409 comes
// while the same call is still under way.
func IsTemporary(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return true
	}
	return status >= 500 && status != http.StatusNotImplemented
}

// BrokeOff is the failure of an answer that was not read to its end, because of
// err or because it has none.
func (s *Server) BrokeOff(err error) *parley.Failure {
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return s.Failure(false, "sent an answer longer than %d bytes", tooLong.Limit)
	case err == nil:
		return s.Failure(true, "broke off its answer")
	}
	return s.Failure(true, "broke off its answer: %v", err)
}

// retryAfter returns how long a server wants to be left alone: Retry-After-Ms of
// OpenAI, or Retry-After (RFC 9110, section 10.2.3), in seconds or as a date.
func retryAfter(h http.Header) time.Duration {
	if d, ok := parseDelay(h.Get("Retry-After-Ms"), time.Millisecond); ok {
		return d
	}
	value := h.Get("Retry-After")
	if d, ok := parseDelay(value, time.Second); ok {
		return d
	}
	if t, err := http.ParseTime(value); err == nil {
		return min(max(time.Until(t), 0), maxRetryAfter)
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

// shorten returns the beginning of text, of the given number of bytes at most.
func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := most - len("…")
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
