package providertest_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"github.com/parley-chat/parley/internal/providertest"
)

// said is what an SDK made of an answer.
type said struct {
	Text, Refusal, Finish string
	Input, Output         int64
	Model                 string
}

// An sdk asks the server by one API of an official SDK, whole or streamed, and
// returns what the SDK itself reads and accumulates.
type sdk func(ctx context.Context, url string) (said, error)

const model = "some-model"

var sdks = map[string]struct{ whole, stream sdk }{
	"chat": {
		whole: func(ctx context.Context, url string) (said, error) {
			c, err := chats(url).New(ctx, chatParams())
			if err != nil {
				return said{}, err
			}
			return chatSaid(*c), nil
		},
		stream: func(ctx context.Context, url string) (said, error) {
			stream := chats(url).NewStreaming(ctx, chatParams())
			defer stream.Close()
			var all openai.ChatCompletionAccumulator
			for stream.Next() {
				if !all.AddChunk(stream.Current()) {
					return said{}, errors.New("the SDK's accumulator refused a chunk")
				}
			}
			if err := stream.Err(); err != nil {
				return said{}, err
			}
			return chatSaid(all.ChatCompletion), nil
		},
	},
	"responses": {
		whole: func(ctx context.Context, url string) (said, error) {
			r, err := responsesOf(url).New(ctx, responsesParams())
			if err != nil {
				return said{}, err
			}
			return responsesSaid(*r), nil
		},
		stream: func(ctx context.Context, url string) (said, error) {
			stream := responsesOf(url).NewStreaming(ctx, responsesParams())
			defer stream.Close()
			var last responses.ResponseStreamEventUnion
			deltas := ""
			for stream.Next() {
				if last = stream.Current(); last.Type == "response.output_text.delta" {
					deltas += last.Delta
				}
			}
			if err := stream.Err(); err != nil {
				return said{}, err
			}
			s := responsesSaid(last.Response)
			if deltas != s.Text {
				return said{}, errors.New("the deltas are not the text: " + deltas)
			}
			return s, nil
		},
	},
	"messages": {
		whole: func(ctx context.Context, url string) (said, error) {
			m, err := messagesOf(url).New(ctx, messagesParams())
			if err != nil {
				return said{}, err
			}
			return messagesSaid(*m), nil
		},
		stream: func(ctx context.Context, url string) (said, error) {
			stream := messagesOf(url).NewStreaming(ctx, messagesParams())
			defer stream.Close()
			var all anthropic.Message
			for stream.Next() {
				if err := all.Accumulate(stream.Current()); err != nil {
					return said{}, err
				}
			}
			if err := stream.Err(); err != nil {
				return said{}, err
			}
			return messagesSaid(all), nil
		},
	},
}

func chats(url string) *openai.ChatCompletionService {
	client := openai.NewClient(openaioption.WithBaseURL(url+"/v1"), openaioption.WithAPIKey("key"), openaioption.WithMaxRetries(0))
	return &client.Chat.Completions
}

func responsesOf(url string) *responses.ResponseService {
	client := openai.NewClient(openaioption.WithBaseURL(url+"/v1"), openaioption.WithAPIKey("key"), openaioption.WithMaxRetries(0))
	return &client.Responses
}

func messagesOf(url string) *anthropic.MessageService {
	client := anthropic.NewClient(anthropicoption.WithoutEnvironmentDefaults(), anthropicoption.WithBaseURL(url),
		anthropicoption.WithAPIKey("key"), anthropicoption.WithMaxRetries(0))
	return &client.Messages
}

func chatParams() openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: model, Messages: []openai.ChatCompletionMessageParamUnion{
		openai.SystemMessage("Be brief."), openai.UserMessage("Hello")}}
}

func chatSaid(c openai.ChatCompletion) said {
	choice := c.Choices[0]
	return said{choice.Message.Content, choice.Message.Refusal, choice.FinishReason, c.Usage.PromptTokens, c.Usage.CompletionTokens, c.Model}
}

func responsesParams() responses.ResponseNewParams {
	return responses.ResponseNewParams{Model: model, Instructions: openai.String("Be brief."), Input: responses.ResponseNewParamsInputUnion{
		OfInputItemList: responses.ResponseInputParam{responses.ResponseInputItemParamOfMessage("Hello", "user")}}}
}

func responsesSaid(r responses.Response) said {
	s := said{Text: r.OutputText(), Finish: string(r.Status) + r.IncompleteDetails.Reason,
		Input: r.Usage.InputTokens, Output: r.Usage.OutputTokens, Model: r.Model}
	for _, item := range r.Output {
		for _, content := range item.Content {
			s.Refusal += content.Refusal
		}
	}
	return s
}

func messagesParams() anthropic.MessageNewParams {
	return anthropic.MessageNewParams{Model: model, MaxTokens: 100, System: []anthropic.TextBlockParam{{Text: "Be brief."}},
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Hello"))}}
}

func messagesSaid(m anthropic.Message) said {
	s := said{Finish: string(m.StopReason), Input: m.Usage.InputTokens, Output: m.Usage.OutputTokens, Model: m.Model}
	for _, block := range m.Content {
		s.Text += block.Text
	}
	return s
}

// TestAnswersAsTheSDKsReadThem is what the server's word is worth: the official
// SDKs understand its answers, whole and streamed, and the two are the same.
func TestAnswersAsTheSDKsReadThem(t *testing.T) {
	for _, c := range []struct {
		mode                       providertest.Mode
		text, refusal              string
		chat, responses, anthropic string // how the answer ended
	}{
		{providertest.OK, "Hello, world!", "", "stop", "completed", "end_turn"},
		{providertest.Drip, "Hello, world!", "", "stop", "completed", "end_turn"},
		{providertest.Length, "Hello, world!", "", "length", "incompletemax_output_tokens", "max_tokens"},
		{providertest.Filtered, "Hello", "", "content_filter", "incompletecontent_filter", "refusal"},
		{providertest.Empty, "", "", "stop", "completed", "end_turn"},
		{providertest.Refusal, "", providertest.RefusalText, "stop", "completed", "refusal"},
	} {
		for api, finish := range map[string]string{"chat": c.chat, "responses": c.responses, "messages": c.anthropic} {
			want := said{c.text, c.refusal, finish, providertest.InputTokens, providertest.OutputTokens, model}
			if api == "messages" {
				want.Refusal = "" // it has no text for it
			}
			for way, ask := range map[string]sdk{"whole": sdks[api].whole, "streamed": sdks[api].stream} {
				t.Run(string(c.mode)+" "+api+" "+way, func(t *testing.T) {
					server := providertest.New(t)
					server.Set(providertest.Script{Mode: c.mode, Delay: time.Millisecond})
					got, err := ask(t.Context(), server.URL)
					if err != nil || got != want {
						t.Errorf("the SDK read %+v, %v; want %+v", got, err, want)
					}
					call := server.Last()
					if call.System != "Be brief." || len(call.Messages) != 1 || call.Messages[0] != (providertest.Message{Role: "user", Content: "Hello"}) || call.Key != "key" || call.Model != model || call.Stream != (way == "streamed") {
						t.Errorf("the server recorded %+v; want the conversation that was sent", call)
					}
				})
			}
		}
	}
}

// TestFailsAsTheSDKsReadIt is the same for errors.
func TestFailsAsTheSDKsReadIt(t *testing.T) {
	for mode, status := range map[providertest.Mode]int{
		providertest.RateLimited: http.StatusTooManyRequests,
		providertest.Failing:     http.StatusInternalServerError,
		providertest.Overloaded:  529,
		providertest.Refused:     http.StatusUnauthorized,
		providertest.Complaint:   http.StatusOK,
		providertest.Malformed:   0,
		providertest.Cut:         0,
	} {
		for api, ask := range sdks {
			for way, ask := range map[string]sdk{"whole": ask.whole, "streamed": ask.stream} {
				if mode == providertest.Complaint && way == "whole" {
					continue // an error in place of a whole answer has a status
				}
				t.Run(string(mode)+" "+api+" "+way, func(t *testing.T) {
					server := providertest.New(t)
					server.Set(providertest.Script{Mode: mode, RetryAfter: "7", Status: http.StatusUnauthorized})
					got, err := ask(t.Context(), server.URL)
					if api == "responses" && mode == providertest.Complaint {
						return // an event like any other to the SDK
					}
					if err == nil {
						t.Fatalf("the SDK read %+v, want an error", got)
					}
					var o *openai.Error
					var a *anthropic.Error
					switch {
					case errors.As(err, &o) && status != 0:
						if o.StatusCode != status || o.Message == "" || o.Response.Header.Get("Retry-After") != "7" {
							t.Errorf("the SDK read the error %d %q, want %d, a message and Retry-After", o.StatusCode, o.Message, status)
						}
					case errors.As(err, &a) && status != 0:
						if a.StatusCode != status || a.Type() == "" {
							t.Errorf("the SDK read the error %d of type %q, want %d and a type", a.StatusCode, a.Type(), status)
						}
					case status > http.StatusOK:
						t.Errorf("the SDK read %v, want an error of the API with status %d", err, status)
					}
				})
			}
		}
	}
}

func TestHangsUntilTheClientLeaves(t *testing.T) {
	for _, mode := range []providertest.Mode{providertest.HangBefore, providertest.HangMiddle} {
		for api, ask := range sdks {
			t.Run(string(mode)+" "+api, func(t *testing.T) {
				server := providertest.New(t)
				server.Set(providertest.Script{Mode: mode})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() {
					_, err := ask.stream(ctx, server.URL)
					done <- err
				}()
				server.Await(t, 1)
				cancel()
				if err := <-done; !errors.Is(err, context.Canceled) {
					t.Errorf("the SDK returned %v, want that the context was cancelled", err)
				}
				server.Await(t, 0)
				if call := server.Last(); !call.Cancelled || call.Ended.Before(call.Began) {
					t.Errorf("the server recorded %+v, want that the client left", call)
				}
			})
		}
	}
}
