package bot

import (
	"bytes"
	"net/url"
	"regexp"
	"strings"
)

func escapeNothing(dst []byte, value string) []byte { return append(dst, value...) }

// escapeQuery percent-encodes a value. A space becomes %20: a + means one in
// some parts of an address only.
func escapeQuery(dst []byte, value string) []byte {
	return append(dst, strings.ReplaceAll(url.QueryEscape(value), "+", "%20")...)
}

// escapeSegment percent-encodes a value that stands in a path. One that is all
// points is left out: a path goes up at "..", however that is encoded (WHATWG
// URL, section 4.1).
func escapeSegment(dst []byte, value string) []byte {
	if strings.Trim(value, ".") == "" {
		return dst
	}
	return escapeQuery(dst, value)
}

var (
	// lineStart matches a line on which nothing but the marks of quotes, lists
	// and headings stand yet, and perhaps digits.
	lineStart = regexp.MustCompile(`^[ \t]*(?:>[ \t]*|(?:[-+*]|#+|[0-9]+[.)])[ \t]+)*[0-9]*$`)
	// blockMark matches what makes a heading or a list at the start of a line,
	// behind digits if need be, and the dashes that make a line a heading.
	blockMark = regexp.MustCompile(`^(?:#+|-+|[+.)])(?:[ \t\r\n]|$)`)
)

// escapeMarkdown writes a value as Markdown that shows it. It escapes as little
// as it can, because some clients show the backslashes. The colon of an address
// keeps clients from making a link of it.
func escapeMarkdown(dst []byte, value string) []byte {
	const (
		inText      = iota
		atStart     // where a heading or list could begin
		afterNumber // behind digits at such a place
	)
	state := inText
	if line := dst[bytes.LastIndexAny(dst, "\r\n")+1:]; lineStart.Match(line) {
		state = atStart
	}
	for i, c := range []byte(value) {
		next := inText
		switch {
		case c == '\n', c == '\r', c == ' ' && state == atStart, c == '\t' && state == atStart:
			next = atStart
		case '0' <= c && c <= '9' && state != inText:
			next = afterNumber
		case strings.IndexByte("\\`*_[]<>", c) >= 0,
			state != inText && blockMark.MatchString(value[i:]),
			strings.HasPrefix(value[i:], "://"):
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
		state = next
	}
	return dst
}
