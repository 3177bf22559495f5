package bot_test

import (
	"context"
	"fmt"
	"log"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/bot"
)

func Example() {
	rules, err := bot.NewRules([]bot.Rule{{
		Any:     []string{"opening hours", "open today"},
		Replies: []parley.Reply{parley.Text("We are open from 9 to 5.")},
	}, {
		Pattern: `order (?P<number>\d+)`,
		Replies: []parley.Reply{{
			Text: "Here is your order {{number}}.",
			Content: &parley.Articles{{
				Title:       "Order {{number}}",
				Description: "Where it is, and when it arrives.",
				Link:        "https://shop.example.com/orders/{{number}}",
			}},
		}},
	}})
	if err != nil {
		log.Fatal(err)
	}
	otherwise, err := bot.Say(parley.Text("You said “{{prompt}}”. How can I help you?"))
	if err != nil {
		log.Fatal(err)
	}
	chain := bot.FirstOf(rules, otherwise) // the Bot of a parley.Config

	for _, prompt := range []string{"Are you OPEN today?", "Where is my order 1234?", "*Hi*"} {
		reply, err := chain.Reply(context.Background(), &parley.Turn{Prompt: prompt}, func(string) {})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(reply.PlainText())
	}
	// Output:
	// We are open from 9 to 5.
	// Here is your order 1234.
	// - Order 1234: Where it is, and when it arrives. (https://shop.example.com/orders/1234)
	// You said “\*Hi\*”. How can I help you?
}

func ExampleNewRules_problems() {
	_, err := bot.NewRules([]bot.Rule{{
		Any:     []string{"?!"},
		Replies: []parley.Reply{parley.Text("You asked for {{thing}}.")},
	}})
	for _, problem := range err.(parley.Problems) {
		fmt.Println(problem)
	}
	// Output:
	// [0].any[0]: "?!" has no letter, digit or symbol to look for; for punctuation, write a pattern
	// [0].replies[0].output: there is no {{thing}} here; write one of {{base_url}}, {{prompt}}
}

func ExampleRules_Match() {
	rules, err := bot.NewRules([]bot.Rule{{
		Name:    "greeting",
		Any:     []string{"hello", "hi"},
		Replies: []parley.Reply{parley.Text("Hello!")},
	}})
	if err != nil {
		log.Fatal(err)
	}
	index, reply, ok := rules.Match(&parley.Turn{Prompt: "Hi there"})
	fmt.Println(index, reply.Text, ok)
	// Output: 0 Hello! true
}
