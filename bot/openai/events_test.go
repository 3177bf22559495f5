package openai_test

import (
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/bot/openai"
	"github.com/parley-chat/parley/internal/providertest"
)

const (
	chatHello      = `data: {"choices":[{"delta":{"content":"Hello"}}]}` + "\n\n"
	chatStop       = `data: {"choices":[{"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	responsesHello = `data: {"type":"response.output_text.delta","delta":"Hello"}` + "\n\n"
	responsesStop  = `data: {"type":"response.completed","response":{"error":null,"incomplete_details":null,"usage":null}}` + "\n\n"
)

// TestEventsOfAllKinds has providers send what is rare, and what compatible
// servers make of the protocol.
func TestEventsOfAllKinds(t *testing.T) {
	for name, test := range map[string]struct {
		api    openai.API
		stream string
		text   string // of the reply, or:
		failed string
	}{
		"nulls":                         {openai.Chat, `data: {"error":null,"choices":null,"usage":null}` + "\n\n" + `data: {"choices":[{"delta":null},{"delta":{"content":null,"refusal":null},"finish_reason":null}]}` + "\n\n" + chatHello + chatStop, "Hello", ""},
		"a list in place of a text":     {openai.Chat, `data: {"choices":[{"delta":{"content":[{"type":"thinking"}]}}]}` + "\n\n" + chatHello + chatStop, "Hello", ""},
		"a list, and what is behind it": {openai.Chat, chatHello + `data: {"choices":[{"delta":{"content":[]},"finish_reason":"stop"}]}` + "\n\n", "Hello", ""},
		"a usage that is no number":     {openai.Chat, chatHello + `data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":"three"}}` + "\n\n", "Hello", ""},
		"text behind the end":           {openai.Chat, chatHello + chatStop + "data: [DONE]\n\n" + chatHello, "Hello", ""},
		"nonsense behind the end":       {openai.Chat, chatHello + chatStop + "data: {\n\n", "Hello", ""},
		"comments":                      {openai.Chat, ": OPENROUTER PROCESSING\n\n" + chatHello + ": again\n\n" + chatStop, "Hello", ""},
		"no end":                        {openai.Chat, chatHello + "data: [DONE]\n\n", "", "broke off its answer"},
		"a complaint as an event":       {openai.Chat, chatHello + "event: error\n" + `data: {"error":{"message":"Out of memory"}}` + "\n\n" + chatStop, "", "gave up its answer. It said: Out of memory"},
		"a complaint of one word":       {openai.Chat, chatHello + `data: {"error":"overloaded"}` + "\n\n" + chatStop, "", `gave up its answer. It said: {"error":"overloaded"}`},
		"no object":                     {openai.Chat, chatHello + "data: []\n\n" + chatStop, "", "sent an event that makes no sense"},
		"an unknown event":              {openai.Responses, `data: {"type":"response.other.delta","delta":{"a":1},"error":null}` + "\n\n" + responsesHello + responsesStop, "Hello", ""},
		"a complaint as an object":      {openai.Responses, responsesHello + `data: {"type":"error","error":{"message":"Out of memory"}}` + "\n\n", "", "gave up its answer. It said: Out of memory"},
		"a complaint with its fields":   {openai.Responses, responsesHello + `data: {"type":"error","code":null,"message":"Out of memory"}` + "\n\n", "", "gave up its answer. It said: Out of memory"},
		"a response that failed":        {openai.Responses, responsesHello + `data: {"type":"response.failed","response":{"error":{"code":"server_error","message":"Out of memory"}}}` + "\n\n", "", "gave up its answer. It said: Out of memory"},
		"no end of a response":          {openai.Responses, responsesHello, "", "broke off its answer"},
	} {
		t.Run(name, func(t *testing.T) {
			server := providertest.New(t)
			server.Set(providertest.Script{Mode: providertest.Raw, Body: []byte(test.stream)})
			bot, err := openai.New(openai.Config{BaseURL: server.URL, API: test.api})
			if err != nil {
				t.Fatal(err)
			}
			reply, err := bot.Reply(t.Context(), &parley.Turn{Prompt: "Hello", Time: time.Now()}, func(string) {})
			failed := ""
			if err != nil {
				failed = err.Error()
			}
			if reply.Text != test.text || (err == nil) != (test.failed == "") || !strings.Contains(failed, test.failed) {
				t.Errorf("the bot replied %q, %v; want %q or an error that says %q", reply.Text, err, test.text, test.failed)
			}
		})
	}
}
