package parley

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
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
	dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, utf8BOM)))
	if t, err := dec.Token(); err != nil {
		return nil, err
	} else if t != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	object := map[string]json.RawMessage{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		key := t.(string) // the decoder lets nothing else stand here
		if _, twice := object[key]; twice {
			return nil, errors.New("a key stands twice")
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		object[key] = value
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("something follows the object")
	}
	return object, nil
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

// jsonString decodes a JSON string, and reports false for anything else.
func jsonString(data json.RawMessage) (string, bool) {
	if len(data) == 0 || data[0] != '"' {
		return "", false
	}
	var s string
	err := json.Unmarshal(data, &s)
	return s, err == nil
}
