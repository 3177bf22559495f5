package bot

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/parley-chat/parley"
)

// A template is a string with placeholders, cut at them.
type template struct {
	blanks []blank
	rest   string // what stands behind the last
}

// A blank is where a value goes.
type blank struct {
	before string // what stands between it and the blank before
	value  int    // which value: promptValue, baseURLValue, or the number of a group
	escape escape
}

const (
	promptValue  = 0
	baseURLValue = -1
)

// values returns a value by its number.
type values func(int) string

// An escape appends a value to a string, written so that it means itself there.
type escape func(dst []byte, value string) []byte

// A use says what becomes of a string, and so how values in it are escaped.
type use int

const (
	plain use = iota
	markdown
	address
	fixed
)

// uses tells what each string of a reply is, by its key in the wire format.
// Those that are not listed are shown as they are.
var uses = map[string]use{
	"output":       markdown,
	"content":      markdown,
	"link":         address,
	"image":        address,
	"submitUrl":    address,
	"content_type": fixed,
	"id":           fixed,
	"type":         fixed,
	"pattern":      fixed,
}

var placeholder = regexp.MustCompile(`\{\{\s*([^{}]*?)\s*\}\}`)

// parseTemplate cuts a string at its placeholders, whose names must be among
// the given ones; where those are nil, any will do. It returns nil for a string
// that has none or can have none.
func parseTemplate(source string, as use, names map[string]int) (*template, error) {
	var ps parley.Problems
	if strings.Contains(placeholder.ReplaceAllString(source, " "), "{{") {
		ps.Add("", "has a {{ that begins no placeholder; write {{prompt}}, with two braces at its end too")
	}
	found := placeholder.FindAllStringSubmatchIndex(source, -1)
	switch {
	case len(found) == 0:
		return nil, ps.Err()
	case as == fixed:
		ps.Add("", "can hold no placeholder; write out what it is")
		return nil, ps
	}
	var t template
	var before string // what stands before the placeholder
	end := 0
	for _, at := range found {
		literal, name := source[end:at[0]], source[at[2]:at[3]]
		value, ok := names[name]
		if !ok && names != nil {
			ps.Add("", "there is no {{%s}} here; write one of %s", name, nameList(names))
		}
		before += literal
		t.blanks = append(t.blanks, blank{literal, value, escapeFor(as, before, value)})
		if value == baseURLValue {
			before += sampleBaseURL
		}
		end = at[1]
	}
	t.rest = source[end:]
	if len(ps) == 0 {
		ps.AddAll("", t.checkAddresses(as))
	}
	return &t, ps.Err()
}

// nameList returns the placeholders that there are, for a message.
func nameList(names map[string]int) string {
	return "{{" + strings.Join(slices.Sorted(maps.Keys(names)), "}}, {{") + "}}"
}

// A text has addresses in it: those of Markdown links, and those that stand for
// themselves and that clients make links of.
const addressInText = `(?:\]\(<?|https?://)[^\s<>")]*`

var (
	addressesInText = regexp.MustCompile(addressInText)
	openAddress     = regexp.MustCompile(addressInText + `$`)
)

// escapeFor returns the escape of a value, given what stands before it.
func escapeFor(as use, before string, value int) escape {
	if as == markdown {
		if open := openAddress.FindString(before); open != "" {
			as, before = address, open
		}
	}
	switch {
	case as == plain, value == baseURLValue:
		return escapeNothing
	case as == markdown:
		return escapeMarkdown
	case strings.ContainsAny(before, "?#"):
		return escapeQuery
	}
	return escapeSegment
}

// fill returns the string with its values.
func (t *template) fill(value values) string {
	var b []byte
	for _, blank := range t.blanks {
		b = append(b, blank.before...)
		b = blank.escape(b, value(blank.value))
	}
	return string(append(b, t.rest...))
}

// sample returns values for checks: the prompt, what every group matched, and a
// base URL.
func sample(prompt, group, baseURL string) values {
	return func(i int) string {
		switch i {
		case promptValue:
			return prompt
		case baseURLValue:
			return baseURL
		}
		return group
	}
}

// sampleBaseURL stands for any base URL in checks.
const sampleBaseURL = "https://chat.example.com"

// checkAddresses reports a placeholder whose value could change where an
// address leads. An escaped value has no character that means something in an
// address, so all that matters is whether something stands in its place.
func (t *template) checkAddresses(as use) error {
	for _, base := range []string{sampleBaseURL, ""} {
		with, without := t.fill(sample("x", "x", base)), t.fill(sample("", "", base))
		if !slices.Equal(shapes(with, as), shapes(without, as)) {
			return parley.Problems{{Reason: "has a placeholder where its value could change to which site or folder the address leads; " +
				"write it behind the last / or behind a ?, as in https://example.com/search?q={{prompt}}"}}
		}
	}
	return nil
}

// shapes returns the shape of every address in a string.
func shapes(s string, as use) []string {
	switch as {
	case address:
		return []string{shapeOf(s)}
	case markdown:
		found := addressesInText.FindAllString(s, -1)
		for i := range found {
			found[i] = shapeOf(strings.TrimLeft(found[i], "](<"))
		}
		return found
	}
	return nil
}

// shapeOf returns what no value may change in an address: everything before
// its path, whether the path is absolute, and how often it goes up or stays.
func shapeOf(address string) string {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return err.Error() // names the address, so no two are the same
	case u.Host == "" && (strings.HasPrefix(u.Scheme, "http") || strings.HasPrefix(address, "//")):
		return address // browsers take the host from the path (WHATWG URL, section 4.4)
	}
	dots := 0
	for segment := range strings.SplitSeq(u.Path, "/") {
		if segment == "." || segment == ".." {
			dots++
		}
	}
	return fmt.Sprintf("%q %q %q %q %t %d", u.Scheme, u.User, u.Host, u.Opaque, strings.HasPrefix(u.Path, "/"), dots)
}
