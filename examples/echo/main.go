// Command echo is the smallest chat: a bot that is a function.
package main

import (
	"context"
	"log"
	"net/http"

	"github.com/parley-chat/parley"
)

func main() {
	bot := parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
		return parley.Text("You said: " + turn.Prompt), nil
	})
	chat, err := parley.New(parley.Config{Bot: bot})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("localhost:3001", chat.Handler()))
}
