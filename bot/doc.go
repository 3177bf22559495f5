// Package bot answers prompts without a model: by rules that look for keywords,
// patterns and the values of quick replies, by a relay to a backend of the
// owner's own, and by a chain that asks one bot after another. A guard keeps a
// bot that asks a service, such as a relay or a model, from costing time and
// calls while the service is in trouble.
//
// A bot that knows one thing and says the same to everything else:
//
//	rules, err := bot.NewRules([]bot.Rule{{
//		Any:     []string{"opening hours", "open today"},
//		Replies: []parley.Reply{parley.Text("We are open from 9 to 5.")},
//	}})
//	if err != nil {
//		log.Fatal(err)
//	}
//	otherwise, err := bot.Say(parley.Text("How can I help you?"))
//	if err != nil {
//		log.Fatal(err)
//	}
//	chat, err := parley.New(parley.Config{Bot: bot.FirstOf(rules, otherwise)})
//
// An existing webhook, and what is said where it has no answer:
//
//	relay, err := bot.NewRelay(bot.RelayConfig{URL: "https://bot.example.com/chat"})
//	if err != nil {
//		log.Fatal(err)
//	}
//	guard, err := bot.NewGuard(bot.GuardConfig{Name: "relay", Bot: relay})
//	if err != nil {
//		log.Fatal(err)
//	}
//	chat, err := parley.New(parley.Config{Bot: bot.FirstOf(rules, guard, otherwise)})
//
// # Placeholders
//
// The texts and addresses of a reply may hold placeholders, which stand for
// something that is known only when the visitor asks:
//
//	{{prompt}}          what the visitor said
//	{{1}} to {{9}}      the groups of the rule's pattern
//	{{name}}            its named groups, written (?P<name>…)
//	{{base_url}}        where the visitor reaches this server: [parley.Turn.BaseURL]
//
// A group that took no part in the match is empty. What the visitor said is
// escaped for the place where it stands, so that it is shown and never obeyed:
//
//   - In the text of a reply, which clients render as Markdown, a backslash goes
//     before \ ` * _ [ ] < > and the colon of ://, and where a heading or a list
//     would begin, before # + - and the point or bracket of a number. Code spans
//     know no escapes: keep placeholders out of them.
//   - In an address (link, image, submitUrl, and any within the text) everything
//     but letters, digits and - . _ ~ is percent-encoded (RFC 3986, section 2.1),
//     and a placeholder can only stand where its value cannot change to which
//     site or folder the address leads.
//   - All other texts of a reply's content are shown as they are, and hold the
//     value as it is.
//
// Ids, field types and validation patterns are the same in every reply and hold
// no placeholders, nor does content of a kind that Parley does not know.
// {{base_url}} is the server's own and never escaped.
package bot
