package parley_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/parley-chat/parley"
)

func Example() {
	bot := parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
		return parley.Text("You said: " + turn.Prompt), nil
	})
	chat, err := parley.New(parley.Config{Bot: bot})
	if err != nil {
		panic(err)
	}
	server := httptest.NewServer(chat.Handler()) // a program of yours calls http.ListenAndServe
	defer server.Close()

	answer, err := http.Post(server.URL+"/chat", "application/json",
		strings.NewReader(`{"prompt": "Hello", "session_id": "test-session"}`))
	if err != nil {
		panic(err)
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	fmt.Print(string(body))
	// Output: {"output":"You said: Hello"}
}

func ExampleReply() {
	reply := parley.Reply{Text: "What next?", Content: &parley.QuickReplies{
		Responses: []parley.QuickReply{{ID: "yes", Text: "Yes, please"}},
	}}
	wire, err := json.Marshal(reply)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(wire))
	fmt.Println(reply.PlainText())
	// Output:
	// {"content":"What next?","content_type":"quick_reply","content_attributes":{"responses":{"responses":[{"id":"yes","text":"Yes, please"}]}}}
	// What next?
	// - Yes, please
}
