package upstream

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

const (
	// minSecret is the length from which on a word is taken for a secret. Shorter
	// ones are placeholders, such as "none", and parts of many other words.
	minSecret = 8
	// minSegment is the same for a segment of a path, most of which say what is
	// asked for, and some of which are the key to it.
	minSegment = 16
)

// newReplacer hides what a server is told in confidence, and may say back, such
// as a key that it refuses: the secrets, the words of the headers' values, the
// values in the address's query, and what is long in its path.
func newReplacer(address *url.URL, headers map[string]string, secrets []string) *strings.Replacer {
	words := slices.Clone(secrets)
	for _, value := range headers {
		words = append(words, strings.Fields(value)...)
		words = append(words, strings.FieldsFunc(value, isSeparator)...)
	}
	for pair := range strings.SplitSeq(address.RawQuery, "&") {
		words = append(words, valueOf(pair)...)
	}
	for segment := range strings.SplitSeq(address.EscapedPath(), "/") {
		if plain, err := url.PathUnescape(segment); err == nil && len(plain) >= minSegment {
			words = append(words, segment, plain)
		}
	}
	for _, word := range words { // servers quote addresses as they came
		words = append(words, url.QueryEscape(word), url.PathEscape(word))
	}
	words = slices.DeleteFunc(words, func(word string) bool { return len(word) < minSecret })
	// Where one begins with another, the replacer takes the first, and half of a
	// key is still a secret.
	slices.SortFunc(words, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	var pairs []string
	for _, word := range words {
		pairs = append(pairs, word, "[hidden]")
	}
	return strings.NewReplacer(pairs...)
}

// isSeparator reports whether a header's value ends a word at r, as in
// "key=value; key=value" (RFC 9110, section 5.6).
func isSeparator(r rune) bool { return strings.ContainsRune(" \t,;=\"", r) }

// valueOf returns the value of a pair in a query, which may be without a name:
// as it is written, and as it is meant.
func valueOf(pair string) []string {
	value := pair[strings.IndexByte(pair, '=')+1:]
	plain, err := url.QueryUnescape(value)
	if err != nil {
		return []string{value}
	}
	return []string{value, plain}
}
