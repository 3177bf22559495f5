package config

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/parley-chat/parley"
)

// defaultName is how tests call the default reply.
const defaultName = "default"

// checkTests reports tests that can never pass.
func (l *loader) checkTests(s *script) {
	names := []string{defaultName}
	for _, r := range s.Rules {
		if r.Name != "" {
			names = append(names, r.Name)
		}
	}
	for i, t := range s.Tests {
		at := fmt.Sprintf("tests[%d]", i)
		if t.Prompt == "" {
			l.report(s, at+".prompt", "is missing; write what a visitor says")
		}
		if t.Rule != "" && !slices.Contains(names, t.Rule) {
			l.report(s, at+".rule", fmt.Sprintf("%q is not the name of a rule; %s", t.Rule, oneOf(t.Rule, names)))
		}
		if types := append(parley.ContentTypes(), "text"); t.ContentType != "" && !slices.Contains(types, t.ContentType) {
			l.report(s, at+".content_type", fmt.Sprintf("%q is not a kind of content; %s", t.ContentType, oneOf(t.ContentType, types)))
		}
	}
}

// Test runs the tests that the file has for its rules, and returns those that
// fail.
func (c *Config) Test() Problems {
	var failed Problems
	for i, t := range c.script.Tests {
		fail := func(key, reason string, args ...any) {
			n, path := c.script.doc.locate(fmt.Sprintf("tests[%d].%s", i, key))
			failed = append(failed, c.script.doc.problem(n, path, fmt.Sprintf(reason, args...)))
		}
		rule, replies := c.answers(t.Prompt)
		expected := t.Rule
		if t == (Test{Prompt: t.Prompt}) { // nothing expected of the rules
			expected = defaultName
		}
		if expected != "" && rule != expected {
			fail("rule", "%q is answered by %s, not by %s", t.Prompt, rule, expected)
			continue
		}
		if t.Reply != "" && !slices.ContainsFunc(replies, func(r parley.Reply) bool { return r.Text == t.Reply }) {
			fail("reply", "%q is answered with %q", t.Prompt, replies[0].Text)
		}
		if t.ContentType != "" && !slices.ContainsFunc(replies, func(r parley.Reply) bool { return contentType(r) == t.ContentType }) {
			fail("content_type", "%q is answered with %s", t.Prompt, contentType(replies[0]))
		}
	}
	return failed
}

// answers returns the name of the rule that answers a prompt, and its replies,
// which take turns from one turn to the next.
func (c *Config) answers(prompt string) (rule string, replies []parley.Reply) {
	turn := &parley.Turn{Prompt: prompt, BaseURL: cmp.Or(c.PublicURL, "http://localhost:3001")}
	i, _, ok := c.Rules.Match(turn)
	if !ok {
		for turn.Seq = range c.script.Default {
			reply, _ := c.Default.Reply(context.Background(), turn, func(string) {}) // which never fails
			replies = append(replies, reply)
		}
		return defaultName, replies
	}
	for turn.Seq = range c.script.Rules[i].all() {
		_, reply, _ := c.Rules.Match(turn)
		replies = append(replies, reply)
	}
	return c.script.nameOf(i), replies
}

// nameOf returns how to speak of a rule.
func (s *script) nameOf(rule int) string {
	return cmp.Or(s.Rules[rule].Name, fmt.Sprintf("rules[%d]", rule))
}

// contentType returns how tests name what a reply holds.
func contentType(r parley.Reply) string {
	if r.Content == nil {
		return "text"
	}
	return r.Content.ContentType()
}
