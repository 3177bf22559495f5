package parley

import (
	"fmt"
	"strings"
)

// QuickReplies is a choice of answers that a visitor sends with one click:
// content_type "quick_reply", which the wire also calls "canned_response". One
// to five read well.
type QuickReplies struct {
	Title       string       `json:"title,omitempty"`
	Description string       `json:"description,omitempty"`
	Responses   []QuickReply `json:"responses"`

	canned bool // came under its other name, and goes on under it
}

// A QuickReply is one choice. ID and text are required.
type QuickReply struct {
	ID    string `json:"id"`
	Text  string `json:"text"`
	Value string `json:"value,omitempty"` // the prompt that choosing it sends; the text where it is empty
}

// ContentType returns "quick_reply", or "canned_response" where the content
// was decoded under that name.
func (q *QuickReplies) ContentType() string {
	if q.canned {
		return "canned_response"
	}
	return "quick_reply"
}

// Validate reports every problem.
func (q *QuickReplies) Validate() error {
	var ps Problems
	if len(q.Responses) == 0 {
		ps.Add("responses", "needs at least one response")
	}
	seen := map[string]bool{}
	for i, r := range q.Responses {
		at := func(field string) string { return fmt.Sprintf("responses[%d].%s", i, field) }
		checkText(&ps, at("id"), r.ID)
		checkText(&ps, at("text"), r.Text)
		if r.ID != "" && seen[r.ID] {
			ps.Add(at("id"), "%q is used twice", r.ID)
		}
		seen[r.ID] = true
	}
	return ps.Err()
}

// PlainText returns a line for each choice.
func (q *QuickReplies) PlainText() string {
	var b strings.Builder
	if q.Title != "" {
		fmt.Fprintln(&b, q.Title)
	}
	for _, r := range q.Responses {
		fmt.Fprintf(&b, "- %s\n", r.Text)
	}
	return strings.TrimSpace(b.String())
}
