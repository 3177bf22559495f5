package parley

import (
	"fmt"
	"strings"
)

// Articles is a list of pages to read: content_type "article". One to five read well.
type Articles []Article

// An Article is one page. Every field is required.
type Article struct {
	Title       string `json:"title"`
	Description string `json:"description"`
	Link        string `json:"link"` // http, https, mailto, tel, or a path
}

// ContentType returns "article".
func (a *Articles) ContentType() string { return "article" }

// Validate reports every problem.
func (a *Articles) Validate() error {
	var ps Problems
	if len(*a) == 0 {
		ps.Add("", "needs at least one article")
	}
	for i, item := range *a {
		at := func(field string) string { return fmt.Sprintf("[%d].%s", i, field) }
		checkText(&ps, at("title"), item.Title)
		checkText(&ps, at("description"), item.Description)
		checkURI(&ps, at("link"), item.Link, linkSchemes...)
	}
	return ps.Err()
}

// PlainText returns a line for each article.
func (a *Articles) PlainText() string {
	var b strings.Builder
	for _, item := range *a {
		fmt.Fprintf(&b, "- %s: %s (%s)\n", item.Title, item.Description, item.Link)
	}
	return strings.TrimSpace(b.String())
}
