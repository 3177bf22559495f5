package config

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
)

// Headers are HTTP headers, written as "Name: value" with commas or line breaks
// between them. Where there is a line break, values may have commas. As they may
// carry keys, they are a [Secret].
type Headers struct {
	Secret
	byName map[string]string
}

// Map returns the values by the names.
func (h Headers) Map() map[string]string { return maps.Clone(h.byName) }

// parseHeaders takes headers apart. What is wrong with one is told by its
// number: a key may stand where a name belongs.
func parseHeaders(text string) (h Headers, reason string) {
	h = Headers{Secret{text}, map[string]string{}}
	separator := ","
	if strings.Contains(text, "\n") {
		separator = "\n"
	}
	number := 0
	for item := range strings.SplitSeq(text, separator) {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		number++
		name, value, ok := strings.Cut(item, ":")
		name, value = http.CanonicalHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value)
		switch {
		case !ok, name == "", value == "":
			return Headers{}, fmt.Sprintf("part %d is no header with a value", number)
		case h.byName[name] != "":
			return Headers{}, fmt.Sprintf("header %d stands there twice", number)
		}
		h.byName[name] = value
	}
	return h, ""
}
