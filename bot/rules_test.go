package bot_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/bot"
	"github.com/parley-chat/parley/parleytest"
)

var yes = []parley.Reply{parley.Text("yes")}

// matchTests are conditions, and prompts that meet them or not.
var matchTests = []struct {
	name   string
	rule   bot.Rule
	prompt string
	want   bool
}{
	{"a keyword", bot.Rule{Any: []string{"hours"}}, "What are your hours?", true},
	{"no keyword", bot.Rule{Any: []string{"hours"}}, "What do you sell?", false},
	{"one of any", bot.Rule{Any: []string{"hours", "open"}}, "Are you open?", true},
	{"all of all", bot.Rule{All: []string{"refund", "order"}}, "A refund for my order", true},
	{"one of all", bot.Rule{All: []string{"refund", "order"}}, "A refund", false},
	{"any and all", bot.Rule{Any: []string{"late", "lost"}, All: []string{"order"}}, "My order is lost", true},
	{"any without all", bot.Rule{Any: []string{"late", "lost"}, All: []string{"order"}}, "I am lost", false},
	{"all without any", bot.Rule{Any: []string{"late", "lost"}, All: []string{"order"}}, "My order", false},
	{"keywords and pattern", bot.Rule{Any: []string{"order"}, Pattern: `\d{5}`}, "order 12345", true},
	{"keywords without pattern", bot.Rule{Any: []string{"order"}, Pattern: `\d{5}`}, "order 1234", false},
	{"pattern without keywords", bot.Rule{Any: []string{"order"}, Pattern: `\d{5}`}, "12345", false},

	{"case", bot.Rule{Any: []string{"Hours"}}, "HOURS", true},
	{"accents in the prompt", bot.Rule{Any: []string{"unicode"}}, "Ünïcödé", true},
	{"accents in the keyword", bot.Rule{Any: []string{"café"}}, "a cafe", true},
	{"accents as marks of their own", bot.Rule{Any: []string{"caf\u00e9"}}, "cafe\u0301", true},
	{"full case folding", bot.Rule{Any: []string{"straße"}}, "STRASSE", true},
	{"full case folding, the other way", bot.Rule{Any: []string{"strasse"}}, "Straße", true},
	{"capital sharp s", bot.Rule{Any: []string{"straße"}}, "STRAẞE", true},
	{"Greek capitals and final sigma", bot.Rule{Any: []string{"ώρες"}}, "ΩΡΕΣ", true},
	{"Russian yo", bot.Rule{Any: []string{"еще"}}, "ЕЩЁ", true},
	{"Turkish capitals of the dotless i", bot.Rule{Any: []string{"ısparta"}}, "ISPARTA", true},
	{"Turkish capitals of the dotted i", bot.Rule{Any: []string{"istanbul"}}, "İSTANBUL", true},
	{"Polish stroke", bot.Rule{Any: []string{"łódź"}}, "Lodz", true},
	{"Vietnamese without accents", bot.Rule{Any: []string{"địa chỉ"}}, "Dia chi o dau?", true},
	{"Danish ligature", bot.Rule{Any: []string{"Læsø"}}, "laeso", true},
	{"full-width letters", bot.Rule{Any: []string{"hours"}}, "ＨＯＵＲＳ", true},
	{"ligature of a typesetter", bot.Rule{Any: []string{"office"}}, "o\ufb03ce", true},
	{"soft hyphen", bot.Rule{Any: []string{"hours"}}, "ho\u00adurs", true},
	{"Hebrew points", bot.Rule{Any: []string{"שלום"}}, "שָׁלוֹם", true},
	{"Arabic points", bot.Rule{Any: []string{"مرحبا"}}, "مَرْحَبًا", true},
	{"Hindi vowel signs are kept", bot.Rule{Any: []string{"कल"}}, "कुल", false},
	{"a Hindi letter is no word", bot.Rule{Any: []string{"क"}}, "कुल", false},
	{"Hindi", bot.Rule{Any: []string{"समय"}}, "खुलने का समय क्या है?", true},

	{"the beginning of a word", bot.Rule{Any: []string{"cat"}}, "category", false},
	{"the end of a word", bot.Rule{Any: []string{"art"}}, "cart", false},
	{"part of a word", bot.Rule{Any: []string{"formular"}, Part: true}, "Kontaktformulare", true},
	{"part of no word", bot.Rule{Any: []string{"formular"}, Part: true}, "Kontakt", false},
	{"punctuation around a word", bot.Rule{Any: []string{"hours"}}, "«hours»!", true},
	{"an underscore around a word", bot.Rule{Any: []string{"hours"}}, "opening_hours", true},
	{"a digit is no end of a word", bot.Rule{Any: []string{"a"}}, "a4", false},

	{"a phrase", bot.Rule{Any: []string{"opening hours"}}, "Your opening hours?", true},
	{"a phrase with other space", bot.Rule{Any: []string{"opening hours"}}, "opening\u00a0 \n hours", true},
	{"a phrase with punctuation", bot.Rule{Any: []string{"opening hours"}}, "opening-hours", true},
	{"a phrase in another order", bot.Rule{Any: []string{"opening hours"}}, "hours opening", false},
	{"a phrase with a word between", bot.Rule{Any: []string{"opening hours"}}, "opening the hours", false},
	{"a phrase that begins within a word", bot.Rule{Any: []string{"pening hours"}}, "opening hours", false},
	{"a part of a phrase", bot.Rule{Any: []string{"pening hour"}, Part: true}, "opening hours", true},
	{"apostrophes", bot.Rule{Any: []string{"don't"}}, "I don’t know", true},

	{"an emoji", bot.Rule{Any: []string{"👍"}}, "👍👍🏽", true},
	{"an emoji beside a word", bot.Rule{Any: []string{"hours"}}, "hours🕐", true},
	{"a symbol", bot.Rule{Any: []string{"C++"}}, "Do you teach c++?", true},
	{"a symbol that is missing", bot.Rule{Any: []string{"C++"}}, "Do you teach C?", false},
	{"Chinese", bot.Rule{Any: []string{"营业时间"}}, "请问营业时间是几点？", true},
	{"Chinese in another order", bot.Rule{Any: []string{"营业时间"}}, "时间营业", false},
	{"Japanese", bot.Rule{Any: []string{"営業時間"}}, "営業時間は何時ですか", true},
	{"Japanese voicing is kept", bot.Rule{Any: []string{"かき"}}, "がぎ", false},
	{"half-width kana", bot.Rule{Any: []string{"ガス"}}, "ｶﾞｽ", true},
	{"Thai", bot.Rule{Any: []string{"เวลาเปิด"}}, "ร้านมีเวลาเปิดกี่โมง", true},
	{"Thai vowel signs are kept", bot.Rule{Any: []string{"ที"}}, "ทู", false},
	{"Korean with an ending", bot.Rule{Any: []string{"영업시간"}}, "영업시간은 언제인가요?", false},
	{"Korean with an ending, as a part", bot.Rule{Any: []string{"영업시간"}, Part: true}, "영업시간은 언제인가요?", true},
	{"Korean parts are syllables", bot.Rule{Any: []string{"가"}, Part: true}, "각", false},
	{"a script with and one without spaces", bot.Rule{Any: []string{"SIM"}}, "请问SIM卡", true},

	{"nothing said", bot.Rule{Any: []string{"hours"}}, " ", false},

	{"a pattern", bot.Rule{Pattern: `order \d+`}, "my order 12, please", true},
	{"a pattern minds case", bot.Rule{Pattern: `order`}, "Order", false},
	{"a pattern sees the prompt as sent", bot.Rule{Pattern: `^\s+É\?$`}, "  É?", true},

	{"a value", bot.Rule{Value: "hours:today"}, "hours:today", true},
	{"a value in white space", bot.Rule{Value: " hours:today "}, "\thours:today\n", true},
	{"a value in another case", bot.Rule{Value: "hours:today"}, "Hours:today", false},
	{"a value and more", bot.Rule{Value: "hours:today"}, "hours:today please", false},
	{"a value is enough", bot.Rule{Value: "hours:today", All: []string{"opening", "hours"}, Pattern: `\?$`}, "hours:today", true},
	{"keywords beside a value", bot.Rule{Value: "hours:today", Any: []string{"hours"}}, "your hours", true},
	{"neither value nor keywords", bot.Rule{Value: "hours:today", Any: []string{"hours"}}, "your ours", false},
}

func TestRuleMatches(t *testing.T) {
	for _, test := range matchTests {
		t.Run(test.name, func(t *testing.T) {
			rule := test.rule
			rule.Replies = yes
			rules := newRules(t, rule)
			if _, _, got := rules.Match(&parley.Turn{Prompt: test.prompt}); got != test.want {
				t.Errorf("prompt %q matches: %t; want %t", test.prompt, got, test.want)
			}
		})
	}
}

func TestFirstMatchWins(t *testing.T) {
	rules := newRules(t,
		bot.Rule{Any: []string{"zero"}, Replies: []parley.Reply{parley.Text("0")}},
		bot.Rule{Any: []string{"one", "both"}, Replies: []parley.Reply{parley.Text("1")}},
		bot.Rule{Any: []string{"two", "both"}, Replies: []parley.Reply{parley.Text("2")}},
	)
	for prompt, want := range map[string]int{"one": 1, "two": 2, "both": 1, "two, one": 1} {
		rule, reply, ok := rules.Match(&parley.Turn{Prompt: prompt})
		if !ok || rule != want || reply.Text != fmt.Sprint(want) {
			t.Errorf("Match(%q) = %d, %q, %t; want %d and its reply", prompt, rule, reply.Text, ok, want)
		}
		answer, err := rules.Reply(t.Context(), &parley.Turn{Prompt: prompt}, nil)
		if err != nil || answer.Text != reply.Text {
			t.Errorf("Reply(%q) = %q, %v; want %q, as Match says", prompt, answer.Text, err, reply.Text)
		}
	}
}

func TestNoMatchPasses(t *testing.T) {
	for name, rules := range map[string]*bot.Rules{
		"no rules":     newRules(t),
		"another rule": newRules(t, bot.Rule{Any: []string{"hours"}, Replies: yes}),
	} {
		reply, err := rules.Reply(t.Context(), &parley.Turn{Prompt: "Hello"}, nil)
		if !errors.Is(err, parley.ErrPass) || !reflect.DeepEqual(reply, parley.Reply{}) {
			t.Errorf("%s: Reply = %+v, %v; want no reply and ErrPass", name, reply, err)
		}
	}
}

func TestRepliesTakeTurns(t *testing.T) {
	replies := []parley.Reply{parley.Text("a"), parley.Text("b"), parley.Text("c")}
	rules := newRules(t, bot.Rule{Any: []string{"hello"}, Replies: replies})
	say, err := bot.Say(replies...)
	if err != nil {
		t.Fatal(err)
	}
	first := map[string]bool{}
	for _, b := range []parley.Bot{rules, say} {
		for session := range 20 {
			var said strings.Builder
			for seq := 1; seq <= 6; seq++ {
				turn := &parley.Turn{Session: fmt.Sprint(session), Seq: seq, Prompt: "hello"}
				reply := answer(t, b, turn)
				if again := answer(t, b, turn); again.Text != reply.Text {
					t.Fatalf("the same turn got %q and then %q; want the same", reply.Text, again.Text)
				}
				said.WriteString(reply.Text)
			}
			if !strings.Contains("abcabcabc", said.String()) {
				t.Errorf("session %d got %s; want the replies in order", session, said.String())
			}
			first[said.String()[:1]] = true
		}
	}
	if len(first) != len(replies) {
		t.Errorf("sessions begin with %v only; want any reply", first)
	}
}

func TestReplyWithoutPlaceholdersIsNotCopied(t *testing.T) {
	cards := &parley.Cards{Cards: []parley.Card{{Title: "A", Description: "B", Image: "/c.png"}}}
	rules := newRules(t, bot.Rule{Any: []string{"hello"}, Replies: []parley.Reply{{Text: "Look", Content: cards}}})
	if _, reply, _ := rules.Match(&parley.Turn{Prompt: "hello"}); reply.Content != cards {
		t.Errorf("the reply's content is %p; want the rule's own %p", reply.Content, cards)
	}
}

// problemTests are rules that cannot work, and what is said of them.
var problemTests = []struct {
	name string
	rule bot.Rule
	want []string // each problem: its path, and a part of its reason
}{
	{"no condition", bot.Rule{Replies: yes},
		[]string{"[0]: is for no prompt; give it any"}},
	{"no reply", bot.Rule{Any: []string{"a"}},
		[]string{"[0].replies: needs at least one reply"}},
	{"nothing at all", bot.Rule{},
		[]string{"[0]: is for no prompt", "[0].replies: needs"}},
	{"keywords that are none", bot.Rule{Any: []string{"a", "", "?!"}, All: []string{" "}, Replies: yes},
		[]string{`[0].any[1]: "" has no letter`, `[0].any[2]: "?!" has no letter`, `[0].all[0]: " " has no letter`}},
	{"a keyword of accents", bot.Rule{Any: []string{"\u0301"}, Replies: yes},
		[]string{"[0].any[0]: "}},
	{"a pattern that is none", bot.Rule{Pattern: "(", Replies: yes},
		[]string{"[0].pattern: error parsing regexp: missing closing ): `(`; write RE2 syntax"}},
	{"a pattern with look-around", bot.Rule{Pattern: "(?=a)", Replies: yes},
		[]string{"[0].pattern: error parsing regexp"}},
	{"groups with the names of placeholders", bot.Rule{Pattern: "(?P<prompt>a)(?P<base_url>b)(?P<3>c)(?P<good>d)", Replies: yes},
		[]string{"[0].pattern: the name of the group (?P<prompt>…) is taken", "[0].pattern: the name of the group (?P<base_url>…)", "[0].pattern: the name of the group (?P<3>…)"}},
	{"a blank value", bot.Rule{Value: " ", Replies: yes},
		[]string{"[0].value: is blank"}},
	{"an invalid reply", bot.Rule{Any: []string{"a"}, Replies: []parley.Reply{parley.Text("b"), {Text: "c", Content: &parley.Cards{Cards: []parley.Card{{Title: "d", Image: "javascript:alert(1)"}}}}}},
		[]string{"[0].replies[1].content_attributes.cards.cards[0].description: is missing", "[0].replies[1].content_attributes.cards.cards[0].image: a javascript: URL"}},
	{"everything at once", bot.Rule{Any: []string{"?"}, Pattern: ")", Value: "\t", Replies: []parley.Reply{parley.Text("")}},
		[]string{"[0].value", "[0].any[0]", "[0].pattern", "[0].replies[0].output: is empty"}},

	{"a placeholder that there is not", reply("{{nmae}}", `(?P<name>.)`),
		[]string{"[0].replies[0].output: there is no {{nmae}} here; write one of {{1}}, {{base_url}}, {{name}}, {{prompt}}"}},
	{"a group without a pattern", reply("a {{1}}", ""),
		[]string{"[0].replies[0].output: there is no {{1}} here; write one of {{base_url}}, {{prompt}}"}},
	{"a group that there is not", reply("a {{2}} {{0}}", "(a)"),
		[]string{"there is no {{2}}", "there is no {{0}}"}},
	{"a group of a pattern that is none", reply("a {{2}} {{b}}", "(a"),
		[]string{"[0].pattern: "}},
	{"an empty placeholder", reply("a {{}}", ""),
		[]string{"[0].replies[0].output: there is no {{}} here"}},
	{"a placeholder without an end", reply("a {{prompt}", ""),
		[]string{"[0].replies[0].output: has a {{ that begins no placeholder"}},
	{"a text that may be empty", reply("{{1}} {{2}}", "(a)?(b)?"),
		[]string{"[0].replies[0].output: is empty; every reply needs text to show where its placeholders are empty; write something beside them"}},
	{"placeholders where none can stand", form(parley.Form{Fields: []parley.Field{{ID: "{{prompt}}", Type: "{{prompt}}", Label: "a", Validation: &parley.Validation{Pattern: "{{prompt}}"}}}}),
		[]string{"form.fields[0].id: can hold no placeholder", "form.fields[0].type: can hold no placeholder", "form.fields[0].validation.pattern: can hold no placeholder", `form.fields[0].type: "{{prompt}}" is not a field type`}},
	{"a placeholder in unknown content", bot.Rule{Any: []string{"a"}, Replies: []parley.Reply{{Text: "b", Content: &parley.Other{Type: "map", Attributes: []byte(`{"at":[{"link":"/{{prompt}}"}]}`)}}}},
		[]string{"[0].replies[0].content_attributes.at[0].link: can hold no placeholder"}},
	{"a placeholder in a content type", bot.Rule{Any: []string{"a"}, Replies: []parley.Reply{{Text: "b", Content: &parley.Other{Type: "{{prompt}}"}}}},
		[]string{"[0].replies[0].content_type: can hold no placeholder"}},
	{"unknown content under a known name", bot.Rule{Any: []string{"a"}, Replies: []parley.Reply{{Text: "{{prompt}}", Content: &parley.Other{Type: "card", Attributes: []byte(`{"cards":1}`)}}}},
		[]string{"[0].replies[0]: content_attributes: cards: "}},
}

// reply returns a rule with a pattern that replies with a text.
func reply(text, pattern string) bot.Rule {
	return bot.Rule{Any: []string{"a"}, Pattern: pattern, Replies: []parley.Reply{parley.Text(text)}}
}

// form returns a rule that replies with a form.
func form(f parley.Form) bot.Rule {
	return bot.Rule{Any: []string{"a"}, Replies: []parley.Reply{{Text: "b", Content: &f}}}
}

func TestRulesThatCannotWorkAreRefused(t *testing.T) {
	for _, test := range problemTests {
		t.Run(test.name, func(t *testing.T) {
			_, err := bot.NewRules([]bot.Rule{test.rule})
			var problems parley.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("NewRules: %v; want Problems", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("NewRules: %v\nwant also: %s", err, want)
				}
			}
			if len(problems) != len(test.want) {
				t.Errorf("NewRules reports %d problems: %v\nwant %d", len(problems), err, len(test.want))
			}
		})
	}
}

func TestEveryRuleIsChecked(t *testing.T) {
	_, err := bot.NewRules([]bot.Rule{{}, {Any: []string{"a"}, Replies: yes}, {Pattern: "(", Replies: yes}})
	for _, want := range []string{"[0]: ", "[2].pattern: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("NewRules: %v; want a problem at %s", err, want)
		}
	}
	if err != nil && strings.Contains(err.Error(), "[1]") {
		t.Errorf("NewRules: %v; want nothing said of the rule [1]", err)
	}
}

func TestBotsKeepTheContract(t *testing.T) {
	rules := newRules(t,
		bot.Rule{Any: []string{"look"}, Replies: []parley.Reply{{
			Text:    "{{prompt}}",
			Content: &parley.Cards{Cards: []parley.Card{{Title: "{{prompt}}!", Description: "a", Image: "{{base_url}}/{{prompt}}"}}},
		}}},
		bot.Rule{Any: []string{"hello"}, Replies: []parley.Reply{parley.Text("Hi"), parley.Text("Hello")}})
	say, err := bot.Say(parley.Text("Pardon?"))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]parley.Bot{"rules": rules, "say": say, "chain": bot.FirstOf(rules, say)} {
		t.Run(name, func(t *testing.T) {
			parleytest.Bot(t, b, "hello", "look *here*", "something else")
		})
	}
}

// newRules returns rules that are known to be good.
func newRules(t testing.TB, rules ...bot.Rule) *bot.Rules {
	t.Helper()
	made, err := bot.NewRules(rules)
	if err != nil {
		t.Fatalf("NewRules: %v", err)
	}
	return made
}

// answer returns the reply to a turn that must get one.
func answer(t *testing.T, b parley.Bot, turn *parley.Turn) parley.Reply {
	t.Helper()
	reply, err := b.Reply(context.Background(), turn, func(string) {})
	if err != nil {
		t.Fatalf("Reply to %q: %v", turn.Prompt, err)
	}
	return reply
}

func BenchmarkRules(b *testing.B) {
	rules := make([]bot.Rule, 100)
	for i := range rules {
		rules[i] = bot.Rule{
			Any:     []string{fmt.Sprintf("product%d", i), fmt.Sprintf("article number %d", i), "größe" + fmt.Sprint(i)},
			Replies: []parley.Reply{parley.Text("You said: {{prompt}}")},
		}
	}
	prepared := newRules(b, rules...)
	long := strings.Repeat("Guten Tag, ich hätte gern noch mehr. ", 27)
	chinese := strings.Repeat("请问营业时间是几点？", 100)
	for _, bench := range []struct{ name, prompt string }{
		{"short prompt, none of 100", "Do you have this in blue?"},
		{"long prompt, none of 100", long},
		{"long Chinese prompt, none of 100", chinese},
		{"short prompt, last of 100", "Do you have product99?"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			turn := &parley.Turn{Prompt: bench.prompt}
			for b.Loop() {
				prepared.Match(turn)
			}
		})
	}
}
