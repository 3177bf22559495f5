package parley

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
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
	if contentType := h["Content-Type"]; len(contentType) == 1 && contentType[0] == "application/json" && h["Content-Encoding"] == nil {
		return nil // as nearly all say
	}
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
	data = trimSpace(bytes.TrimPrefix(data, utf8BOM))
	switch {
	case !json.Valid(data):
		return nil, errors.New("not JSON")
	case data[0] != '{':
		return nil, errors.New("not an object")
	}
	object := map[string]json.RawMessage{}
	for key, value := range members(data) {
		name, _ := jsonString(key)
		if _, twice := object[name]; twice {
			return nil, errors.New("a key stands twice")
		}
		object[name] = value
	}
	return object, nil
}

// members yields the keys and the values of an object, which must be valid
// JSON, as they stand there.
func members(data []byte) iter.Seq2[json.RawMessage, json.RawMessage] {
	return func(yield func(key, value json.RawMessage) bool) {
		var key json.RawMessage
		depth, begin := 0, 0
		for i := 0; i < len(data); i++ {
			switch c := data[i]; c {
			case '"':
				i = stringEnd(data, i)
			case '{', '[':
				if depth++; depth == 1 {
					begin = i + 1
				}
			case ':':
				if depth == 1 {
					key, begin = trimSpace(data[begin:i]), i+1
				}
			case ',', '}', ']':
				if depth == 1 && key != nil {
					if !yield(key, trimSpace(data[begin:i])) {
						return
					}
					key, begin = nil, i+1
				}
				if c != ',' {
					depth--
				}
			}
		}
	}
}

// stringEnd returns where the string that begins at i ends.
func stringEnd(data []byte, i int) int {
	for i++; data[i] != '"'; i++ {
		if data[i] == '\\' {
			i++ // what follows is escaped
		}
	}
	return i
}

// trimSpace drops the white space of JSON (RFC 8259, section 2).
func trimSpace(data []byte) []byte { return bytes.Trim(data, " \t\r\n") }

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
