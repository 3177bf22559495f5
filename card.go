package parley

import (
	"fmt"
	"strings"
)

// Cards is a row of things to look at, such as products: content_type "card".
// One to ten read well.
type Cards struct {
	Title       string `json:"title,omitempty"`
	Description string `json:"description,omitempty"`
	Cards       []Card `json:"cards"`
}

// A Card shows one thing. Title, description and image are required.
type Card struct {
	Title       string `json:"title"`
	Description string `json:"description"`
	Image       string `json:"image"` // http, https, or a path
	ImageAlt    string `json:"imageAlt,omitempty"`
	Link        string `json:"link,omitempty"`     // http, https, mailto, tel, or a path
	LinkText    string `json:"linkText,omitempty"` // a client shows "Learn More" where it is empty
	Badge       string `json:"badge,omitempty"`
	Price       string `json:"price,omitempty"` // as it is to be read: "$29/month"
}

// ContentType returns "card".
func (c *Cards) ContentType() string { return "card" }

// Validate reports every problem.
func (c *Cards) Validate() error {
	var ps Problems
	if len(c.Cards) == 0 {
		ps.Add("cards", "needs at least one card")
	}
	for i, card := range c.Cards {
		at := func(field string) string { return fmt.Sprintf("cards[%d].%s", i, field) }
		checkText(&ps, at("title"), card.Title)
		checkText(&ps, at("description"), card.Description)
		checkURI(&ps, at("image"), card.Image, "http", "https")
		if card.Link != "" {
			checkURI(&ps, at("link"), card.Link, linkSchemes...)
		}
	}
	return ps.Err()
}

// PlainText returns a line for each card.
func (c *Cards) PlainText() string {
	var b strings.Builder
	if c.Title != "" {
		fmt.Fprintln(&b, c.Title)
	}
	for _, card := range c.Cards {
		fmt.Fprintf(&b, "- %s: %s", card.Title, card.Description)
		if card.Price != "" {
			fmt.Fprintf(&b, ", %s", card.Price)
		}
		if card.Link != "" {
			fmt.Fprintf(&b, " (%s)", card.Link)
		}
		fmt.Fprintln(&b)
	}
	return strings.TrimSpace(b.String())
}
