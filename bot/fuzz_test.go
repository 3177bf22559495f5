package bot_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/bot"
)

// FuzzRules looks for rules and prompts that make a reply that is not valid,
// and for values that do not stay what they are.
func FuzzRules(f *testing.F) {
	for _, test := range matchTests {
		keyword := strings.Join(append(test.rule.Any, test.rule.All...), " ")
		f.Add(keyword, test.rule.Part, test.rule.Pattern, test.rule.Value, "a {{prompt}}", "/{{prompt}}", test.prompt)
	}
	for _, test := range textTests {
		f.Add("a", false, test.pattern, "", test.text, "/", test.prompt)
	}
	for _, test := range linkTests {
		f.Add("a", false, "", "a", "a", test.link, test.prompt)
	}
	for _, link := range strayLinks {
		f.Add("a", false, "(?P<a>.)(.)?", "a", "{{1}}{{2}}", link, "/..")
	}
	escaping := newRules(f, bot.Rule{Pattern: "(?s)(.*)", Replies: []parley.Reply{{
		Text:    "{{prompt}}|{{1}}",
		Content: &parley.Articles{{Title: "{{1}}.", Description: "a", Link: "https://example.com/a/{{1}}?b={{prompt}}#{{prompt}}"}},
	}}})
	f.Fuzz(func(t *testing.T, keyword string, part bool, pattern, value, text, link, prompt string) {
		if strings.TrimSpace(prompt) == "" || !utf8.ValidString(prompt) {
			return // the engine refuses it
		}
		linkTo := &parley.Articles{{Title: text + ".", Description: "a", Link: link}}
		checkAnswers(t, bot.Rule{Any: []string{keyword}, Part: part, Pattern: pattern, Value: value,
			Replies: []parley.Reply{parley.Text(text), {Text: text, Content: linkTo}}}, prompt)
		checkFound(t, keyword, part)
		checkLink(t, link, prompt)
		checkEscapes(t, escaping, prompt)
	})
}

// checkAnswers expects a valid reply or none, or problems that say something.
func checkAnswers(t *testing.T, rule bot.Rule, prompt string) {
	rules, err := bot.NewRules([]bot.Rule{rule})
	if err != nil {
		var problems parley.Problems
		if !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("NewRules: %#v; want Problems", err)
		}
		return
	}
	for seq := 1; seq <= 2; seq++ {
		turn := turnOf(prompt)
		turn.Seq = seq
		reply, err := rules.Reply(context.Background(), turn, nil)
		if errors.Is(err, parley.ErrPass) {
			continue
		}
		if err == nil {
			err = reply.Validate()
		}
		if err == nil {
			_, err = json.Marshal(reply)
		}
		if err != nil {
			t.Fatalf("the reply %+v is not valid: %v", reply, err)
		}
	}
}

// checkFound expects a keyword to be found between other words.
func checkFound(t *testing.T, keyword string, part bool) {
	rules, err := bot.NewRules([]bot.Rule{{All: []string{keyword}, Part: part, Replies: yes}})
	if err != nil || !utf8.ValidString(keyword) { // prompts are valid
		return
	}
	if prompt := "some " + keyword + " others"; !matches(rules, prompt) {
		t.Fatalf("%q is not found in %q", keyword, prompt)
	}
}

func matches(rules *bot.Rules, prompt string) bool {
	_, _, ok := rules.Match(turnOf(prompt))
	return ok
}

// checkLink expects an address to lead to the same site, as deep, with any value.
func checkLink(t *testing.T, link, prompt string) {
	rules, err := bot.NewRules([]bot.Rule{linking(link)})
	if err != nil {
		return
	}
	lead := func(prompt string) string {
		reply := answer(t, rules, turnOf(prompt))
		link := (*reply.Content.(*parley.Articles))[0].Link
		u, err := url.Parse(link)
		if err != nil {
			t.Fatalf("%s with %q is no address: %v", link, prompt, err)
		}
		path, _, _ := strings.Cut(link, "?")
		path, _, _ = strings.Cut(path, "#")
		return fmt.Sprint(u.Scheme, " ", u.User, " ", u.Host, " ", u.Opaque, " ", strings.Count(path, "/"), " ", len(steps.FindAllString(path, -1)))
	}
	if got, want := lead(prompt), lead("x"); got != want {
		t.Fatalf("%s with %q leads to %s; want %s", link, prompt, got, want)
	}
}

var (
	steps   = regexp.MustCompile(`(?i)(^|/)(\.|%2e){1,2}(/|$)`)
	escaped = regexp.MustCompile(`\\([!-/:-@\[-\x60{-~])`)
	active  = regexp.MustCompile("[`*_\\[\\]<>\\\\]|://")
	block   = regexp.MustCompile(`(?m)^[ \t]*(?:[-+*]|#+|[0-9]+[.)])(?:[ \t]|$)`)
)

// checkEscapes expects values to read as they are, wherever they stand.
func checkEscapes(t *testing.T, rules *bot.Rules, prompt string) {
	reply := answer(t, rules, turnOf(prompt))
	if got, want := escaped.ReplaceAllString(reply.Text, "$1"), prompt+"|"+prompt; got != want {
		t.Fatalf("the text %q reads %q; want %q", reply.Text, got, want)
	}
	lines := strings.ReplaceAll(escaped.ReplaceAllString(reply.Text, "x"), "\r", "\n")
	if active.MatchString(lines) || block.MatchString(lines) {
		t.Fatalf("the text %q means something as Markdown; want it to show %q", reply.Text, prompt)
	}
	article := (*reply.Content.(*parley.Articles))[0]
	u, err := url.Parse(article.Link)
	switch {
	case err != nil:
		t.Fatalf("%s is no address: %v", article.Link, err)
	case u.Host != "example.com", u.Query().Get("b") != prompt, u.Fragment != prompt:
		t.Fatalf("%s is %q, %q, %q; want it to lead to example.com with %q", article.Link, u.Host, u.Query().Get("b"), u.Fragment, prompt)
	case u.Path != "/a/"+prompt && strings.Trim(prompt, ".") != "":
		t.Fatalf("%s leads to %q; want /a/%s", article.Link, u.Path, prompt)
	case article.Title != prompt+".":
		t.Fatalf("the title is %q; want %q", article.Title, prompt+".")
	}
}
