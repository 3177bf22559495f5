package bot_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/bot"
)

// textTests are texts with placeholders, and what becomes of them.
var textTests = []struct {
	name    string
	text    string
	pattern string
	prompt  string
	want    string
}{
	{"the prompt", "You said: {{prompt}}!", ".", "Hi there", "You said: Hi there!"},
	{"space in the braces", "{{ prompt }}", ".", "Hi", "Hi"},
	{"more braces", "{{{prompt}}}", ".", "Hi", "{Hi}"},
	{"twice", "{{prompt}} {{prompt}}", ".", "Hi", "Hi Hi"},
	{"groups", "{{2}}, {{1}}!", `(\w+) (\w+)`, "Hi there", "there, Hi!"},
	{"a named group", "Order {{id}}", `order (?P<id>\d+)`, "my order 12", "Order 12"},
	{"a named group by its number", "Order {{1}}", `order (?P<id>\d+)`, "my order 12", "Order 12"},
	{"a group that took no part", "<{{1}}{{2}}>", `(a)|(b)`, "b", "<b>"},
	{"the ninth of ten groups", "{{9}}", `(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)x?`, "abcdefghij", "i"},
	{"the server", "{{base_url}}/help", ".", "Hi", "https://parley.example/help"},
	{"a placeholder in the prompt", "{{prompt}}", ".", "{{base_url}}", "{{base\\_url}}"},

	{"emphasis", "{{prompt}}", ".", "*a* __b__", `\*a\* \_\_b\_\_`},
	{"code", "{{prompt}}", ".", "`a`", "\\`a\\`"},
	{"a link", "{{prompt}}", ".", "[a](https://example.com)", `\[a\](https\://example.com)`},
	{"a bare address", "{{prompt}}", ".", "see http://example.com", `see http\://example.com`},
	{"HTML", "{{prompt}}", ".", "<b>", `\<b\>`},
	{"a backslash", "{{prompt}}", ".", `\*`, `\\\*`},
	{"plain text", "{{prompt}}", ".", "Is it 5 - 3 + 2.5 #1? (yes!) 50% & more: a/b|c~d", "Is it 5 - 3 + 2.5 #1? (yes!) 50% & more: a/b|c~d"},

	{"a list", "{{prompt}}", ".", "- a\n+ b\n  - c", "\\- a\n\\+ b\n  \\- c"},
	{"a list of numbers", "{{prompt}}", ".", "1. a\n22) b", "1\\. a\n22\\) b"},
	{"a sum", "{{prompt}}", ".", "2 + 2", "2 + 2"},
	{"numbers", "{{prompt}}", ".", "2.5\n-5\n+49 30\n#1\n1)2", "2.5\n-5\n+49 30\n#1\n1)2"},
	{"a list of nothing", "{{prompt}}", ".", "-\n+\n1.", "\\-\n\\+\n1\\."},
	{"a line below a heading", "{{prompt}}", ".", "a\n---", "a\n\\---"},
	{"three points", "{{prompt}}", ".", "...", "..."},
	{"a heading", "{{prompt}}", ".", "# a\r## b\r\n # c", "\\# a\r\\## b\r\n \\# c"},
	{"a list in a text", "You said: {{prompt}}", ".", "- a\n- b", "You said: - a\n\\- b"},
	{"a list below a text", "You said:\n{{prompt}}", ".", "- a", "You said:\n\\- a"},
	{"a list in a quote", "> {{prompt}}", ".", "- a", "> \\- a"},
	{"a list in a list", "1. {{prompt}}", ".", "- a", "1. \\- a"},
	{"a point behind a number", "1{{prompt}}", ".", ". a", `1\. a`},
	{"a list behind an empty group", "{{1}}{{prompt}}", "(x)?.", "- a", `\- a`},
	{"a dash behind a group", "{{1}}{{2}}", "(.)(.)", "--", `\--`},
	{"a list behind a line", "{{1}}{{2}}", `(\w\n)(.*)`, "a\n- b", "a\n\\- b"},

	{"an address in a text", "[Look](/find?q={{prompt}}), *{{prompt}}*", ".", "a b)", `[Look](/find?q=a%20b%29), *a b)*`},
	{"a folder of an address in a text", "[Look](</a/{{prompt}}>)", ".", "../b", `[Look](</a/..%2Fb>)`},
	{"a bare address in a text", "Look at https://example.com/find?q={{prompt}} {{prompt}}", ".", "a_b", `Look at https://example.com/find?q=a_b a\_b`},
	{"the server's address in a text", "Look at {{base_url}}/find/{{prompt}}", ".", "a b", `Look at https://parley.example/find/a%20b`},
}

func TestValuesInTexts(t *testing.T) {
	for _, test := range textTests {
		t.Run(test.name, func(t *testing.T) {
			rules := newRules(t, bot.Rule{Pattern: test.pattern, Replies: []parley.Reply{parley.Text(test.text + "∎")}})
			got := answer(t, rules, turnOf(test.prompt)).Text
			if got != test.want+"∎" {
				t.Errorf("the text %q became\n%q; want\n%q", test.text, strings.TrimSuffix(got, "∎"), test.want)
			}
		})
	}
}

// linkTests are addresses with placeholders, and what becomes of them.
var linkTests = []struct {
	name   string
	link   string
	prompt string
	want   string
}{
	{"a query", "https://example.com/?q={{prompt}}", "a b", "https://example.com/?q=a%20b"},
	{"everything that means something", "/?q={{prompt}}", "?&=#/:@+;%\\\"<>", "/?q=%3F%26%3D%23%2F%3A%40%2B%3B%25%5C%22%3C%3E"},
	{"letters", "/?q={{prompt}}", "ä-._~", "/?q=%C3%A4-._~"},
	{"a folder", "https://example.com/{{prompt}}", "a/b", "https://example.com/a%2Fb"},
	{"a folder with more behind it", "/orders/{{prompt}}/track", "12", "/orders/12/track"},
	{"a step up", "/a/{{prompt}}/b", "..", "/a//b"},
	{"a step up in two halves", "/a/{{prompt}}{{prompt}}/b", ".", "/a//b"},
	{"a step up in a query", "/?q={{prompt}}", "..", "/?q=.."},
	{"a step up that is none", "/a/{{prompt}}", "..b", "/a/..b"},
	{"another site", "/{{prompt}}", "/evil.example", "/%2Fevil.example"},
	{"a script", "{{prompt}}", "javascript:alert(1)", "javascript%3Aalert%281%29"},
	{"a fragment", "/#{{prompt}}", "a#b", "/#a%23b"},
	{"a fragment of the page", "#{{prompt}}", "a", "#a"},
	{"a mail", "mailto:us@example.com?subject={{prompt}}", "a&cc=b", "mailto:us@example.com?subject=a%26cc%3Db"},
	{"the server", "{{base_url}}/{{prompt}}", "a b", "https://parley.example/a%20b"},
}

func TestValuesInAddresses(t *testing.T) {
	for _, test := range linkTests {
		t.Run(test.name, func(t *testing.T) {
			reply := answer(t, newRules(t, linking(test.link)), turnOf(test.prompt))
			if got := (*reply.Content.(*parley.Articles))[0].Link; got != test.want {
				t.Errorf("the link %s became %s; want %s", test.link, got, test.want)
			}
			if err := reply.Validate(); err != nil {
				t.Errorf("the reply is not valid: %v", err)
			}
		})
	}
}

// strayLinks are addresses with placeholders whose values could lead elsewhere.
var strayLinks = map[string]string{
	"the host":                                 "https://{{prompt}}/",
	"a part of the host":                       "https://{{prompt}}.example.com/",
	"the end of the host":                      "https://example.com{{prompt}}",
	"the host behind slashes":                  "//{{prompt}}",
	"the host behind one slash":                "https:/{{prompt}}",
	"the host behind three slashes":            "///{{prompt}}",
	"the host behind nothing":                  "/{{prompt}}/evil.example",
	"the host behind nothing, at the base URL": "{{base_url}}/{{prompt}}/evil.example",
	"the end of the base URL":                  "{{base_url}}{{prompt}}",
	"the port":                                 "https://example.com:{{prompt}}/",
	"the user":                                 "https://{{prompt}}@example.com/",
	"the password":                             "https://user:{{prompt}}@example.com/",
	"the scheme":                               "{{prompt}}://example.com/",
	"the end of the scheme":                    "http{{prompt}}:example.com/",
	"the address of a mail":                    "mailto:{{prompt}}",
	"the number of a call":                     "tel:{{prompt}}",
	"a step up":                                "/a/.{{prompt}}",
	"half an escape":                           "/a/%{{prompt}}",
	"the root":                                 "{{prompt}}/a",
}

func TestValuesCannotLeadElsewhere(t *testing.T) {
	const want = "has a placeholder where its value could change to which site or folder the address leads"
	for name, link := range strayLinks {
		t.Run(name, func(t *testing.T) {
			if _, err := bot.NewRules([]bot.Rule{linking(link)}); err == nil || !strings.Contains(err.Error(), "[0].replies[0].content_attributes.items[0].link: "+want) {
				t.Errorf("the link %s: %v; want it refused because it %s", link, err, want)
			}
		})
	}
	for _, text := range []string{"Look [here](https://{{prompt}}/)", "Look [here](<https://{{prompt}}/>)", "Look at https://{{prompt}}"} {
		if _, err := bot.Say(parley.Text(text)); err == nil || !strings.Contains(err.Error(), "[0].output: "+want) {
			t.Errorf("the text %q: %v; want it refused because it %s", text, err, want)
		}
	}
}

// TestEveryStringOfEveryKindIsFilledIn puts a placeholder into every string of
// every kind of content, and so fails when a kind gets a string that is not
// filled in, or an address that is not encoded.
func TestEveryStringOfEveryKindIsFilledIn(t *testing.T) {
	const template, inText, inAddress = "/?q={{prompt}}", "/?q=a b", "/?q=a%20b"
	fixed := map[string]string{"id": "one", "type": "radio", "pattern": "."} // by their keys
	for _, contentType := range parley.ContentTypes() {
		t.Run(contentType, func(t *testing.T) {
			var reply parley.Reply
			if err := json.Unmarshal([]byte(`{"content":"Look","content_type":"`+contentType+`","content_attributes":{}}`), &reply); err != nil {
				t.Fatal(err)
			}
			strings := 0
			eachString(reflect.ValueOf(reply.Content), "", func(key, path string, s reflect.Value) {
				strings++
				s.SetString(template)
				if value, ok := fixed[key]; ok {
					s.SetString(value)
				}
			})
			if strings == 0 {
				t.Fatal("the content has no strings; want some to look at")
			}
			written, _ := json.Marshal(reply)

			rules := newRules(t, bot.Rule{Any: []string{"a"}, Replies: []parley.Reply{reply}})
			got := answer(t, rules, turnOf("a b"))
			if got.Content.ContentType() != contentType {
				t.Errorf("the content became a %s; want a %s", got.Content.ContentType(), contentType)
			}
			if err := got.Validate(); err != nil {
				t.Errorf("the reply is not valid: %v\nAn address that is not one needs its key in uses.", err)
			}
			eachString(reflect.ValueOf(got.Content), "", func(key, path string, s reflect.Value) {
				if s.String() != fixed[key] && s.String() != inText && s.String() != inAddress {
					t.Errorf("%s became %q; want %q, or %q in an address", path, s, inText, inAddress)
				}
			})
			if now, _ := json.Marshal(reply); string(now) != string(written) {
				t.Errorf("the rule's own reply was changed to %s; want it as it was, %s", now, written)
			}
		})
	}
}

// eachString calls f for every string of a content, with its key in JSON. It
// makes what it finds empty: a pointer gets something to point at, and a list
// one item.
func eachString(v reflect.Value, path string, f func(key, path string, s reflect.Value)) {
	switch v.Kind() {
	case reflect.String:
		f(path[strings.LastIndex(path, ".")+1:], path, v)
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		eachString(v.Elem(), path, f)
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		for i := range v.Len() {
			eachString(v.Index(i), path, f)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
				eachString(v.Field(i), path+"."+key, f)
			}
		}
	case reflect.Map, reflect.Interface:
		panic("eachString: teach me " + v.Kind().String() + " at " + path)
	}
}

func TestValueOfARuleLeavesGroupsEmpty(t *testing.T) {
	rules := newRules(t, bot.Rule{Value: "track", Pattern: `order (\d+)`, Replies: []parley.Reply{parley.Text("Order {{1}}.")}})
	for prompt, want := range map[string]string{"order 12": "Order 12.", "track": "Order ."} {
		if got := answer(t, rules, turnOf(prompt)).Text; got != want {
			t.Errorf("prompt %q got %q; want %q", prompt, got, want)
		}
	}
}

func TestFilledRepliesShareNothing(t *testing.T) {
	rules := newRules(t, linking("/?q={{prompt}}"))
	first := answer(t, rules, turnOf("a"))
	(*first.Content.(*parley.Articles))[0].Title = "changed"
	if got := (*answer(t, rules, turnOf("a")).Content.(*parley.Articles))[0].Title; got == "changed" {
		t.Error("changing a reply changed the next one; want each its own")
	}
}

// TestUnknownContentGoesOnAsItCame looks at what only the wire format has.
func TestUnknownContentGoesOnAsItCame(t *testing.T) {
	other := &parley.Other{Type: "map", Attributes: json.RawMessage(`{"at":12345678901234567890,"zoom":1e2,"label":"<b>"}`)}
	reply := answer(t, newRules(t, bot.Rule{Any: []string{"a"}, Replies: []parley.Reply{{Text: "{{prompt}}", Content: other}}}), turnOf("a"))
	got, ok := reply.Content.(*parley.Other)
	if !ok || got.Type != "map" {
		t.Fatalf("the content became %#v; want a map", reply.Content)
	}
	for _, want := range []string{`"at":12345678901234567890`, `"zoom":1e2`} {
		if !strings.Contains(string(got.Attributes), want) {
			t.Errorf("the attributes became %s; want %s in them", got.Attributes, want)
		}
	}
}

func TestSayFillsIn(t *testing.T) {
	say, err := bot.Say(parley.Reply{Text: "{{prompt}}?", Content: &parley.Form{
		SubmitURL: "{{base_url}}/contact-form",
		Fields:    parley.ContactForm().Fields,
	}})
	if err != nil {
		t.Fatal(err)
	}
	reply := answer(t, say, turnOf("*Hi*"))
	if got := reply.Content.(*parley.Form).SubmitURL; reply.Text != `\*Hi\*?` || got != "https://parley.example/contact-form" {
		t.Errorf("Say replied %q with a form for %q; want both filled in", reply.Text, got)
	}
}

func TestSayRefusesWhatItCannotSay(t *testing.T) {
	for name, test := range map[string]struct {
		replies []parley.Reply
		want    string
	}{
		"nothing": {nil, "needs at least one reply"},
		"blank":   {[]parley.Reply{parley.Text("a"), parley.Text(" ")}, "[1].output: is empty"},
		"groups":  {[]parley.Reply{parley.Text("a {{1}}")}, "[0].output: there is no {{1}}"},
	} {
		if _, err := bot.Say(test.replies...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: Say: %v; want %s", name, err, test.want)
		}
	}
}

// linking returns a rule for any prompt that replies with a link.
func linking(address string) bot.Rule {
	articles := &parley.Articles{{Title: "a", Description: "b", Link: address}}
	return bot.Rule{Pattern: "(?s).", Replies: []parley.Reply{{Text: "c", Content: articles}}}
}

// turnOf returns a turn without a session.
func turnOf(prompt string) *parley.Turn {
	return &parley.Turn{Seq: 1, Prompt: prompt, BaseURL: "https://parley.example"}
}
