package parley

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// Content is one kind of interactive reply. Its JSON is what stands in
// content_attributes under the kind's own key.
//
// To add a kind: a type in a file of its own, a line in kinds, a wire vector in
// testdata/vectors, and a renderer in the widget.
type Content interface {
	// ContentType returns the content_type on the wire.
	ContentType() string
	// Validate reports every problem, as [Problems].
	Validate() error
	// PlainText returns the content as lines of text, for history and for
	// clients without a renderer.
	PlainText() string
}

// kind ties a content_type to the key of content_attributes that holds it.
type kind struct {
	name string
	key  string
	new  func() Content
}

var kinds = []kind{
	{"article", "items", func() Content { return new(Articles) }},
	{"card", "cards", func() Content { return new(Cards) }},
	{"form", "form", func() Content { return new(Form) }},
	{"quick_reply", "responses", func() Content { return new(QuickReplies) }},
	{"canned_response", "responses", func() Content { return &QuickReplies{canned: true} }},
}

func kindOf(contentType string) (kind, bool) {
	for _, k := range kinds {
		if k.name == contentType {
			return k, true
		}
	}
	return kind{}, false
}

// ContentTypes returns the name of every kind of content, in the order of the
// wire contract.
func ContentTypes() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	return names
}

func encodeAttributes(c Content) (json.RawMessage, error) {
	if other, ok := c.(*Other); ok {
		if len(other.Attributes) == 0 {
			return json.RawMessage("{}"), nil
		}
		return other.Attributes, nil
	}
	k, ok := kindOf(c.ContentType())
	if !ok {
		return nil, fmt.Errorf("content_type %q is not one of %s", c.ContentType(), strings.Join(ContentTypes(), ", "))
	}
	return encodeJSON(map[string]Content{k.key: c})
}

func decodeAttributes(contentType string, data json.RawMessage) (Content, error) {
	k, ok := kindOf(contentType)
	if !ok {
		if string(data) == "null" {
			data = nil
		}
		return &Other{Type: contentType, Attributes: data}, nil
	}
	var attributes map[string]json.RawMessage
	if len(data) > 0 {
		if err := json.Unmarshal(data, &attributes); err != nil {
			return nil, err
		}
	}
	content := k.new()
	if value, ok := attributes[k.key]; ok {
		if err := json.Unmarshal(value, content); err != nil {
			return nil, fmt.Errorf("%s: %w", k.key, err)
		}
	}
	return content, nil
}

// Other is content of a kind that Parley does not know, passed on as it came;
// a client shows the reply's text in its place.
type Other struct {
	Type       string
	Attributes json.RawMessage // a JSON object, or nothing
}

// ContentType returns the type as it came.
func (o *Other) ContentType() string { return o.Type }

// Validate checks that the type is one that only Other can carry, and that the
// attributes are a JSON object.
func (o *Other) Validate() error {
	var ps Problems
	if o.Type == "" {
		ps.Add("", "has no content_type")
	}
	if _, known := kindOf(o.Type); known {
		ps.Add("", "has the content_type %q, which has a Go type of its own; use that", o.Type)
	}
	var object map[string]json.RawMessage
	if len(o.Attributes) > 0 && (json.Unmarshal(o.Attributes, &object) != nil || object == nil) {
		ps.Add("", "is not a JSON object")
	}
	return ps.Err()
}

// PlainText returns nothing: the reply's text says what there is to say.
func (o *Other) PlainText() string { return "" }

// checkText reports a required text that is missing.
func checkText(ps *Problems, path, value string) {
	if isBlank(value) {
		ps.Add(path, "is missing")
	}
}

// linkSchemes are the schemes that a client may render as a link. Everything
// else, javascript: above all, is refused before it leaves the server.
var linkSchemes = []string{"http", "https", "mailto", "tel"}

// checkURI reports a value that is no absolute URI of the given schemes and no
// relative reference (RFC 3986, section 4.2).
func checkURI(ps *Problems, path, value string, schemes ...string) {
	u, err := url.Parse(value)
	switch {
	case value == "":
		ps.Add(path, "is missing")
	case err != nil || strings.ContainsAny(value, " \"<>\\^`{|}"):
		ps.Add(path, "%q is not a URL", value)
	case u.Scheme == "":
		return
	default:
		for _, scheme := range schemes {
			if u.Scheme == scheme {
				return
			}
		}
		ps.Add(path, "a %s: URL is not allowed here; use %s, or a path such as /help", u.Scheme, strings.Join(schemes, ", "))
	}
}
