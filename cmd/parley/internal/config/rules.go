package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/parley-chat/parley"
)

// A script is what a file makes the bot say.
type script struct {
	content
	doc      *document
	reported []string // the paths of what could not be decoded
}

// content is what a file holds beside settings.
type content struct {
	Rules   []rule                 `json:"rules"`
	Default replies                `json:"default"`
	Forms   map[string]parley.Form `json:"forms"`
	Tests   []Test                 `json:"tests"`
}

// A rule is a rule of the bot as it stands in a file.
type rule struct {
	Name    string   `json:"name"`
	Any     []string `json:"any"`
	All     []string `json:"all"`
	Part    bool     `json:"part"`
	Pattern string   `json:"pattern"`
	Value   string   `json:"value"`
	Reply   *reply   `json:"reply"`
	Replies []reply  `json:"replies"`
}

// A Test is a prompt and what is expected of the answer to it. What is empty is
// not looked at.
type Test struct {
	Prompt      string `json:"prompt"`
	Rule        string `json:"rule"` // the name of a rule, or "default"
	Reply       string `json:"reply"`
	ContentType string `json:"content_type"`
}

// A reply is a reply as it stands in a file: text, the wire format, or text and
// the id of a form.
type reply struct {
	parley.Reply
	form string // the id of a form to show
	path string // in the file
}

// decode implements [decodable].
func (r *reply) decode(d *decoder, n ast.Node, path string) {
	r.path = path
	if text, ok := scalarText(n); ok {
		r.Text = text
		return
	}
	keys := []string{"output", "message", "content", "content_type", "content_attributes", "form"}
	entries := d.entries(n, path, keys)
	text := map[string]string{}
	for _, key := range keys {
		if value, ok := entries[key]; ok && key != "content_attributes" {
			var s string
			d.decode(value, reflect.ValueOf(&s).Elem(), join(path, key))
			text[key] = s
		}
	}
	r.form = text["form"]
	for _, key := range []string{"output", "message", "content"} {
		if r.Text == "" {
			r.Text = text[key]
		}
	}
	attributes, hasAttributes := entries["content_attributes"]
	switch contentType := text["content_type"]; {
	case contentType != "" && r.form != "":
		d.fail(entries["form"], join(path, "form"), "stands beside a content_type; keep one of the two")
	case contentType != "":
		r.decodeContent(d, entries["content_type"], contentType, attributes, path)
	case hasAttributes:
		d.fail(attributes, join(path, "content_attributes"), "needs a content_type beside it: one of %s", strings.Join(parley.ContentTypes(), ", "))
	}
}

// decodeContent decodes content_attributes of a given content_type.
func (r *reply) decodeContent(d *decoder, typeNode ast.Node, contentType string, attributes ast.Node, path string) {
	if types := parley.ContentTypes(); !slices.Contains(types, contentType) {
		d.fail(typeNode, join(path, "content_type"), "%q is not a kind of content; the kinds are %s", contentType, strings.Join(types, ", "))
		return
	}
	var key string
	r.Content, key = newContent(contentType)
	path = join(path, "content_attributes")
	if isNull(attributes) {
		d.fail(typeNode, path, "is missing: a reply of this kind needs its %q there", key)
		return
	}
	if value, ok := d.entries(attributes, path, []string{key})[key]; ok {
		d.decode(value, reflect.ValueOf(r.Content).Elem(), join(path, key))
	}
}

// newContent returns empty content of a known kind, and the key under which it
// stands in content_attributes.
func newContent(contentType string) (parley.Content, string) {
	var r parley.Reply
	if err := r.UnmarshalJSON(fmt.Appendf(nil, `{"content":"","content_type":%q}`, contentType)); err != nil {
		panic(err) // the kind is known
	}
	data, err := r.MarshalJSON()
	if err != nil {
		panic(err)
	}
	var wire struct {
		Attributes map[string]json.RawMessage `json:"content_attributes"`
	}
	if err := json.Unmarshal(data, &wire); err != nil {
		panic(err)
	}
	return r.Content, slices.Collect(maps.Keys(wire.Attributes))[0]
}

// replies is one reply or a list of them.
type replies []reply

// decode implements [decodable].
func (rs *replies) decode(d *decoder, n ast.Node, path string) {
	if _, ok := n.(*ast.SequenceNode); ok {
		d.decode(n, reflect.ValueOf((*[]reply)(rs)).Elem(), path)
		return
	}
	*rs = make(replies, 1)
	(*rs)[0].decode(d, n, path)
}
