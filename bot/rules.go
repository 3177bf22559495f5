package bot

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/parley-chat/parley"
)

// A Rule says which prompts it is for, and what to reply.
//
// It is for a prompt that meets all of Any, All and Pattern, as far as they are
// given. Value stands beside them: a prompt that is the value is enough. So a
// rule can have its button and its keywords at once.
//
// Keywords are compared without regard to case, accents and width: "cafe"
// finds "Café", "strasse" finds "STRAẞE", and "isparta" finds "ISPARTA" and
// "ısparta", because the dotless ı of Turkish counts as an i. A keyword may be
// a phrase: its words in a row, with any white space and punctuation between
// them.
//
// A word is a run of letters and digits; "cat" does not find "category" unless
// Part is set. Punctuation only parts words, so a keyword "C#" means "C"; write
// a Pattern where it matters. A symbol such as 👍 or + is a word of its own. In
// Chinese, Japanese, Thai, Lao, Khmer and Burmese, which are written without
// spaces, a keyword is found anywhere. Korean has spaces, but also endings:
// there, as in other languages that build long words, Part helps.
type Rule struct {
	Name    string         `json:"name,omitempty"`    // for people; may be empty
	Any     []string       `json:"any,omitempty"`     // keywords, one of which must be in the prompt
	All     []string       `json:"all,omitempty"`     // keywords, each of which must be in the prompt
	Part    bool           `json:"part,omitempty"`    // a keyword may begin and end within a word
	Pattern string         `json:"pattern,omitempty"` // RE2 syntax, searched for in the prompt as it was sent
	Value   string         `json:"value,omitempty"`   // the value of a quick reply: the whole prompt, but for white space around it
	Replies []parley.Reply `json:"replies"`           // one, or several that take turns
}

// Rules is a bot that follows the first [Rule] that is for a prompt, and passes
// ([parley.ErrPass]) where none is. It is safe for concurrent use.
//
// Where a rule has several replies, a session gets them in order, turn by turn,
// beginning anywhere; two turns in a row never get the same. Which reply a turn
// gets depends on its session and number alone, so asking again changes
// nothing.
type Rules struct {
	rules []rule
}

// rule is a Rule, prepared.
type rule struct {
	any, all []string // in words of the prompt
	pattern  *regexp.Regexp
	value    string
	answers  answers
}

// NewRules prepares rules. The error is [parley.Problems], with paths such as
// "[3].pattern": everything that keeps a rule from matching, or a reply from
// being valid with whatever a visitor says. The replies must not be changed
// afterwards.
func NewRules(rules []Rule) (*Rules, error) {
	var ps parley.Problems
	prepared := make([]rule, len(rules))
	for i, r := range rules {
		var err error
		prepared[i], err = newRule(r)
		ps.AddAll(fmt.Sprintf("[%d]", i), err)
	}
	if err := ps.Err(); err != nil {
		return nil, err
	}
	return &Rules{prepared}, nil
}

func newRule(r Rule) (rule, error) {
	var ps parley.Problems
	if len(r.Any) == 0 && len(r.All) == 0 && r.Pattern == "" && r.Value == "" {
		ps.Add("", "is for no prompt; give it any, all, pattern or value")
	}
	prepared := rule{value: strings.TrimSpace(r.Value)}
	if r.Value != "" && prepared.value == "" {
		ps.Add("value", "is blank, as no prompt is; write the value of a quick reply")
	}
	var err error
	prepared.any, err = newKeywords(r.Any, r.Part)
	ps.AddAll("any", err)
	prepared.all, err = newKeywords(r.All, r.Part)
	ps.AddAll("all", err)
	var names map[string]int // stays nil, for any name, where the pattern cannot be read
	prepared.pattern, err = newPattern(r.Pattern)
	ps.AddAll("pattern", err)
	if err == nil {
		names = placeholderNames(prepared.pattern)
	}
	prepared.answers, err = newAnswers(r.Replies, names)
	ps.AddAll("replies", err)
	return prepared, ps.Err()
}

// newKeywords returns what to look for in the words of a prompt.
func newKeywords(keywords []string, part bool) ([]string, error) {
	var ps parley.Problems
	prepared := make([]string, len(keywords))
	for i, k := range keywords {
		prepared[i] = words(k)
		if strings.TrimSpace(prepared[i]) == "" {
			ps.Add(fmt.Sprintf("[%d]", i), "%q has no letter, digit or symbol to look for; for punctuation, write a pattern", k)
		}
		if part {
			prepared[i] = strings.Trim(prepared[i], " ")
		}
	}
	return prepared, ps.Err()
}

// newPattern compiles a rule's pattern; nothing makes nil.
func newPattern(pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, nil
	}
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("%w; write RE2 syntax, which has no look-around and no back-references", err)
	}
	var ps parley.Problems
	for _, name := range compiled.SubexpNames() {
		if _, taken := builtIn[name]; taken || (name != "" && name[0] <= '9') {
			ps.Add("", "the name of the group (?P<%s>…) is taken by a placeholder; choose another, which begins with a letter", name)
		}
	}
	return compiled, ps.Err()
}

// builtIn are the placeholders that need no pattern.
var builtIn = map[string]int{"prompt": promptValue, "base_url": baseURLValue}

// placeholderNames returns the numbers of the values that replies may name.
func placeholderNames(pattern *regexp.Regexp) map[string]int {
	names := maps.Clone(builtIn)
	if pattern == nil {
		return names
	}
	for group, name := range pattern.SubexpNames() {
		if name != "" {
			names[name] = group
		}
		if 1 <= group && group <= 9 {
			names[strconv.Itoa(group)] = group
		}
	}
	return names
}

// Reply implements [parley.Bot].
func (r *Rules) Reply(_ context.Context, turn *parley.Turn, _ func(string)) (parley.Reply, error) {
	_, reply, ok := r.Match(turn)
	if !ok {
		return parley.Reply{}, parley.ErrPass
	}
	return reply, nil
}

// Match returns the index of the first rule that is for a turn's prompt, and
// the reply that the turn gets; ok is false where there is none. Replies that
// have no placeholders share their content with the rules, so do not change it.
func (r *Rules) Match(turn *parley.Turn) (index int, reply parley.Reply, ok bool) {
	p := newPrompt(turn.Prompt)
	for i := range r.rules {
		if r.rules[i].isFor(p) {
			return i, r.rules[i].answers.reply(turn, r.rules[i].pattern), true
		}
	}
	return 0, parley.Reply{}, false
}

// A prompt is what a visitor said, in the ways in which rules look at it.
type prompt struct {
	sent    string
	trimmed string
	words   string
}

func newPrompt(sent string) prompt {
	return prompt{sent: sent, trimmed: strings.TrimSpace(sent), words: words(sent)}
}

func (p prompt) has(keyword string) bool   { return strings.Contains(p.words, keyword) }
func (p prompt) lacks(keyword string) bool { return !p.has(keyword) }

func (r *rule) isFor(p prompt) bool {
	if r.value != "" && r.value == p.trimmed {
		return true
	}
	if len(r.any) == 0 && len(r.all) == 0 && r.pattern == nil {
		return false
	}
	return (len(r.any) == 0 || slices.ContainsFunc(r.any, p.has)) &&
		!slices.ContainsFunc(r.all, p.lacks) &&
		(r.pattern == nil || r.pattern.MatchString(p.sent))
}
