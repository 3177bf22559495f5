package site_test

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/bot"
	"github.com/parley-chat/parley/cmd/parley/internal/config"
	"github.com/parley-chat/parley/cmd/parley/internal/site"
)

// readSample reads the sample rules as the server does.
func readSample(t *testing.T, sample []byte) *config.Config {
	t.Helper()
	c, err := config.Load(config.Sources{Stores: [][]string{{"sqlite"}}, Sample: sample})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sampleTest is one of the tests that stand in the sample.
type sampleTest struct{ Prompt, Rule string }

// sampleParts returns the names of the sample's rules, and its tests.
func sampleParts(t *testing.T) (rules []string, tests []sampleTest) {
	t.Helper()
	var sample struct {
		Rules []struct{ Name string }
		Tests []sampleTest
	}
	if err := yaml.Unmarshal(site.SampleYAML, &sample); err != nil {
		t.Fatal(err)
	}
	for _, rule := range sample.Rules {
		rules = append(rules, rule.Name)
	}
	return rules, sample.Tests
}

func TestSamplePassesItsTests(t *testing.T) {
	if failed := readSample(t, site.SampleYAML).Test(); len(failed) > 0 {
		t.Error(failed)
	}
}

func TestSampleTestsEveryRule(t *testing.T) {
	rules, tests := sampleParts(t)
	tested := map[string]bool{}
	for _, test := range tests {
		tested[test.Rule] = true
	}
	for _, rule := range append(rules, "default") {
		if rule == "" || !tested[rule] {
			t.Errorf("the rule %q has no test; want one for each, and a name to test it by", rule)
		}
	}
}

func TestSampleFormBelowWorksUncommented(t *testing.T) {
	above, below, ok := strings.Cut(string(site.SampleYAML), "#\n# forms:")
	if !ok {
		t.Fatal("no commented forms in the sample")
	}
	file := above + "\nforms:" + strings.ReplaceAll(below, "\n# ", "\n")
	rule := "\nrules:\n  - {name: feedback, any: [feedback], reply: {content: How was it?, form: feedback}}\n"
	c := readSample(t, []byte(strings.Replace(file, "\nrules:\n", rule, 1)))
	_, reply, ok := c.Rules.Match(&parley.Turn{Prompt: "feedback"})
	if form, isForm := reply.Content.(*parley.Form); !ok || !isForm || form.Title != "Your feedback" {
		t.Errorf("a rule with the form replies %+v; want the form", reply)
	}
}

func TestSampleKnowsThePromptsThatThePageOffers(t *testing.T) {
	c := readSample(t, site.SampleYAML)
	_, page := ask(t, site.Page(site.Options{}), "GET", "/")
	offered := regexp.MustCompile(`suggestions="([^"]+)"`).FindStringSubmatch(page)
	if offered == nil {
		t.Fatal("the page offers no prompts; want some that the sample rules know")
	}
	for _, prompt := range strings.Split(offered[1], "|") {
		if _, _, ok := c.Rules.Match(&parley.Turn{Prompt: prompt}); !ok {
			t.Errorf("no sample rule is for %q, which the page offers", prompt)
		}
	}
}

func TestSampleShowsEveryKindOfReply(t *testing.T) {
	c := readSample(t, site.SampleYAML)
	url := serve(t, bot.FirstOf(c.Rules, c.Default), site.Options{})
	kinds := map[string]bool{}
	_, tests := sampleParts(t)
	for _, test := range tests {
		reply := post(t, url, test.Prompt)
		kind := "text"
		if reply.Content != nil {
			kind = reply.Content.ContentType()
		}
		kinds[kind] = true
		for _, address := range addresses(reply) {
			if !strings.HasPrefix(address, url+"/") {
				t.Errorf("the reply to %q leads to %s; want a page of this server", test.Prompt, address)
			}
			fetch(t, address)
		}
	}
	for _, kind := range []string{"text", "article", "card", "form", "quick_reply"} {
		if !kinds[kind] {
			t.Errorf("no rule replies with %s; want the sample to show every kind", kind)
		}
	}
}

// post sends a prompt to /chat and returns the reply.
func post(t *testing.T, url, prompt string) parley.Reply {
	t.Helper()
	body, err := json.Marshal(map[string]string{"prompt": prompt, "session_id": "test-session"})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.Post(url+"/chat", "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var reply parley.Reply
	if err := json.NewDecoder(answer.Body).Decode(&reply); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("POST /chat with %q answers %d (%v); want 200 and a reply", prompt, answer.StatusCode, err)
	}
	if err := reply.Validate(); err != nil {
		t.Errorf("the reply to %q: %v", prompt, err)
	}
	return reply
}

// addresses returns every address that a reply has the visitor's browser get.
func addresses(reply parley.Reply) []string {
	var found []string
	switch content := reply.Content.(type) {
	case *parley.Articles:
		for _, item := range *content {
			found = append(found, item.Link)
		}
	case *parley.Cards:
		for _, card := range content.Cards {
			found = append(found, card.Image, card.Link)
		}
	}
	return found
}

// fetch gets an address that must be there and returns its body.
func fetch(t *testing.T, address string) string {
	t.Helper()
	answer, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		t.Errorf("GET %s answers %d; want 200", address, answer.StatusCode)
	}
	return string(body)
}
