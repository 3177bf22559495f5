// Package parley is the backend of a website's chat: it takes a visitor's
// prompt, asks a bot, keeps the turn, and answers over HTTP with text,
// articles, cards, a form or quick replies.
//
// The smallest program is a bot and a handler:
//
//	bot := parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
//		return parley.Text("You said: " + turn.Prompt), nil
//	})
//	chat, err := parley.New(parley.Config{Bot: bot})
//	if err != nil {
//		log.Fatal(err)
//	}
//	log.Fatal(http.ListenAndServe("localhost:3001", chat.Handler()))
//
// # The words
//
// A visitor sends a prompt within a session. A prompt and the [Reply] to it are
// a turn. A [Bot] answers one turn. A [Store] keeps turns in strict order, and
// [Chat] is the engine between them: it checks, orders, joins, times and
// commits turns, so that bots and stores stay small. What a Store keeps of a
// turn is a [Record]; the records of a session are its transcript.
//
// This package imports the standard library only. Everything that talks to
// something else (databases, providers, mail) is a package of its own that
// imports this one.
package parley
