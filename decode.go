package parley

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// readObject reads a request body that must be one JSON object of at most most
// bytes, and returns its members. Keys are told apart by exact case, and a key
// that stands twice is refused: parsers differ on which one counts, and nobody
// should be able to use that.
func readObject(w http.ResponseWriter, r *http.Request, most int64) (map[string]json.RawMessage, error) {
	if err := checkMediaType(r.Header); err != nil {
		return nil, err
	}
	// The whole body is read before anything else happens: net/http notices that
	// a client left only after that.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		// MaxBytesReader does this too, but not through middleware's ResponseWriter.
		w.Header().Set("Connection", "close")
		return nil, &Error{Code: CodeTooLarge, Message: "Request too large"}
	case err != nil:
		return nil, &Error{Code: CodeInvalid, Message: "Invalid JSON", Err: err}
	}
	object, err := decodeObject(body)
	if err != nil {
		return nil, &Error{Code: CodeInvalid, Message: "Invalid JSON", Err: err}
	}
	return object, nil
}

// checkMediaType accepts JSON in UTF-8. It refuses what a page may send to
// another site without a preflight, so that CORS guards every prompt.
func checkMediaType(h http.Header) error {
	mediaType, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	charset := strings.ToLower(params["charset"])
	if err != nil || mediaType != "application/json" || (charset != "" && charset != "utf-8" && charset != "us-ascii") {
		return &Error{Code: CodeMediaType, Message: "Content-Type must be application/json"}
	}
	if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return &Error{Code: CodeMediaType, Message: "Content-Encoding is not supported"}
	}
	return nil
}

var utf8BOM = []byte("\xef\xbb\xbf")

func decodeObject(data []byte) (map[string]json.RawMessage, error) {
	data = bytes.TrimPrefix(data, utf8BOM)
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, err
	}
	if object == nil {
		return nil, errors.New("not an object")
	}
	if members(data) != len(object) {
		return nil, errors.New("a key stands twice")
	}
	return object, nil
}

// members counts the members of the object that data, which is valid JSON, is:
// each has one colon that is in no string and in no inner value.
func members(data []byte) int {
	n, depth, inString := 0, 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++ // what follows is escaped
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ':' && depth == 1:
			n++
		}
	}
	return n
}

// invalidSession is a session id that no client may send; it stands for a
// session_id that is not a string, or an empty one.
const invalidSession = "\x00"

// decodeMessage takes the message out of a /chat body. It checks types only: a
// prompt that is no string becomes an empty one, which [Chat.Answer] refuses.
func decodeMessage(object map[string]json.RawMessage) Request {
	var q Request
	if prompt, ok := jsonString(object["prompt"]); ok {
		q.Prompt = prompt
	}
	switch id, ok := jsonString(object["session_id"]); {
	case ok && id != "":
		q.Session = id
	case string(object["session_id"]) == "null":
	default:
		q.Session = invalidSession
	}
	return q
}

// jsonString decodes a value that is valid JSON, and reports false for one that
// is no string.
func jsonString(data json.RawMessage) (string, bool) {
	if len(data) == 0 || data[0] != '"' {
		return "", false
	}
	if text := data[1 : len(data)-1]; bytes.IndexByte(text, '\\') < 0 && utf8.Valid(text) {
		return string(text), true // nothing is escaped and nothing needs mending
	}
	var s string
	err := json.Unmarshal(data, &s)
	return s, err == nil
}
