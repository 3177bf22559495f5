package parley

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// A Reply answers a prompt: text, or text with something to interact with.
//
// Its JSON is the wire format: {"output": text}, or
// {"content": text, "content_type": kind, "content_attributes": {…}}.
// Decoding also accepts {"message": text}, and any key with the value null.
type Reply struct {
	// Text is the whole of a text reply, and the sentence above interactive
	// content; a client that cannot show the content shows the text alone.
	Text string
	// Content is nil for a text reply.
	Content Content
}

// Text returns a text reply.
func Text(text string) Reply { return Reply{Text: text} }

// maxReply is the longest reply, in bytes of its JSON.
const maxReply = 1 << 20

// Validate reports everything that keeps the reply from being sent, as
// [Problems] with paths in the wire format: what the contract forbids, and more
// than 1 MiB of JSON.
func (r Reply) Validate() error {
	var ps Problems
	if isBlank(r.Text) {
		key := "output"
		if r.Content != nil {
			key = "content"
		}
		ps.Add(key, "is empty; every reply needs text to show")
	}
	if r.Content != nil {
		path := "content_attributes"
		if k, ok := kindOf(r.Content.ContentType()); ok {
			path += "." + k.key
		}
		ps.AddAll(path, r.Content.Validate())
	}
	if err := ps.Err(); err != nil {
		return err
	}
	if r.Content == nil && len(r.Text) <= maxReply/8 { // in JSON, a text grows sixfold at most
		return nil
	}
	data, err := encodeJSON(r)
	switch {
	case err != nil:
		ps.AddAll("", err)
	case len(data) > maxReply:
		ps.Add("", "the reply is %d bytes long; the most is %d", len(data), maxReply)
	}
	return ps.Err()
}

// PlainText returns the whole reply as text that a person or a model can read.
func (r Reply) PlainText() string {
	if r.Content == nil {
		return r.Text
	}
	return strings.TrimSpace(r.Text + "\n" + r.Content.PlainText())
}

// MarshalJSON encodes the wire format.
func (r Reply) MarshalJSON() ([]byte, error) {
	if r.Content == nil {
		return encodeJSON(struct {
			Output string `json:"output"`
		}{r.Text})
	}
	attributes, err := encodeAttributes(r.Content)
	if err != nil {
		return nil, err
	}
	return encodeJSON(struct {
		Content    string          `json:"content"`
		Type       string          `json:"content_type"`
		Attributes json.RawMessage `json:"content_attributes"`
	}{r.Text, r.Content.ContentType(), attributes})
}

// UnmarshalJSON decodes the wire format. It checks types only; see Validate.
func (r *Reply) UnmarshalJSON(data []byte) error {
	var wire struct {
		Output     *string         `json:"output"`
		Message    *string         `json:"message"`
		Content    *string         `json:"content"`
		Type       *string         `json:"content_type"`
		Attributes json.RawMessage `json:"content_attributes"`
	}
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	*r = Reply{}
	if wire.Type != nil && *wire.Type != "" {
		if wire.Content != nil {
			r.Text = *wire.Content
		}
		content, err := decodeAttributes(*wire.Type, wire.Attributes)
		if err != nil {
			return fmt.Errorf("content_attributes: %w", err)
		}
		r.Content = content
		return nil
	}
	for _, text := range []*string{wire.Output, wire.Message, wire.Content} {
		if text != nil {
			r.Text = *text
			return nil
		}
	}
	return fmt.Errorf(`neither "output" nor "content" with a "content_type"`)
}

// encodeJSON is json.Marshal without the escapes that only matter inside HTML,
// so that a URL reads as a URL.
func encodeJSON(v any) ([]byte, error) {
	if m, ok := v.(json.Marshaler); ok {
		return m.MarshalJSON() // of this package, so there is nothing to check or compact
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}
