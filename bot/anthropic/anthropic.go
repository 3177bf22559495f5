// Package anthropic answers with a model of Anthropic, or of any server that has
// the same Messages API:
//
//	bot, err := anthropic.New(anthropic.Config{APIKey: key})
//	if err != nil {
//		log.Fatal(err)
//	}
//	chat, err := parley.New(parley.Config{Bot: bot})
//
// It uses Anthropic's official SDK, which makes a stripped program about 6 MB larger.
package anthropic

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/provider"
)

const (
	// DefaultModel is the model of a bot that is given none: the fastest and
	// smallest of the current ones.
	DefaultModel = anthropic.ModelClaudeHaiku5_5
	// DefaultBaseURL is Anthropic itself.
	DefaultBaseURL = "https://api.anthropic.com"
	// DefaultSystem is the system prompt of a bot that is given none.
	DefaultSystem = provider.DefaultSystem
	// defaultMaxTokens is room for an answer of several pages, and for a model
	// that thinks first. The API insists on a number.
	defaultMaxTokens = 4096
)

// Config says which model is asked, and how. A key is all it takes.
type Config struct {
	// APIKey is the provider's key. It may be empty where there is a BaseURL, or
	// an Authorization among the Headers.
	APIKey string
	// BaseURL is the address of a compatible server. Empty means
	// [DefaultBaseURL]. It may end with /v1 or /v1/messages or neither, and with
	// slashes, which makes no difference: whatever is before that is kept, and
	// /v1/messages is asked. A query goes along with each call.
	BaseURL string
	// Model is the name of a model. Empty means [DefaultModel].
	Model string
	// System is the system prompt: who the bot is, and what it knows of the site.
	// Empty means [DefaultSystem].
	System string
	// MaxTokens is how long an answer may be, with what a model thinks before it
	// speaks. 0 means 4096.
	MaxTokens int
	// Temperature is how freely the model speaks, from 0 to 1. Nil leaves that to
	// the provider. Models after Claude Opus 4.6 refuse it, so they are not sent
	// any.
	Temperature *float64
	// HistoryTurns is how many earlier turns the model is told of. 0 means 10; -1
	// means none.
	HistoryTurns int
	// HistoryTokens is how long these turns may be together, as
	// [parley.LastTokens] counts. 0 means 2000.
	HistoryTokens int
	// Headers are sent with each call, besides the bot's own.
	Headers map[string]string
	// HTTPClient makes the calls, without following redirects. Nil means a client
	// of the bot's own.
	HTTPClient *http.Client
}

// A Bot answers with a model. It is safe for concurrent use.
//
// Answers are streamed from the provider and emitted as they come. One that the
// provider does not bring to an end, or that is longer than 1 MiB, is a
// [parley.Failure], as is all that a provider says in place of an answer, and a
// refusal, which has no text of its own. The Bot asks once and knows no deadline
// but its context's; put a bot.Guard around it.
//
// It reads nothing from the environment but a proxy's address, and only if it
// has no HTTPClient.
type Bot struct {
	service  *provider.Service
	messages anthropic.MessageService
}

// New returns a bot, or every [parley.Problem] of cfg at once. It asks nobody.
func New(cfg Config) (*Bot, error) {
	var ps parley.Problems
	base, _, err := provider.ParseURL(cmp.Or(cfg.BaseURL, DefaultBaseURL), "/v1/messages", "/v1")
	ps.AddAll("BaseURL", err)
	if err != nil {
		base = &url.URL{} // to see what else is wrong
	}
	service, err := provider.New(provider.Settings{
		APIKey:         cfg.APIKey,
		BaseURL:        base,
		Model:          cmp.Or(cfg.Model, DefaultModel),
		System:         cfg.System,
		MaxTokens:      cmp.Or(cfg.MaxTokens, defaultMaxTokens),
		Temperature:    cfg.Temperature,
		MaxTemperature: 1,
		HistoryTurns:   cfg.HistoryTurns,
		HistoryTokens:  cfg.HistoryTokens,
		Headers:        cfg.Headers,
		HTTPClient:     cfg.HTTPClient,
		KeyName:        "ANTHROPIC_API_KEY",
		KeyOptional:    cfg.BaseURL != "" || provider.HasHeader(cfg.Headers, "Authorization"),
	})
	ps.AddAll("", err)
	if err := ps.Err(); err != nil {
		return nil, err
	}
	// A service made by itself reads no environment, unlike a whole client.
	return &Bot{service: service, messages: anthropic.NewMessageService(clientOptions(service)...)}, nil
}

// clientOptions are the SDK's options for a service, all of them explicit.
func clientOptions(s *provider.Service) []option.RequestOption {
	options := []option.RequestOption{
		option.WithBaseURL(s.Root()),
		option.WithHTTPClient(s.Client),
		option.WithMaxRetries(0),
		option.WithMiddleware(s.Check),
		option.WithoutOpenTelemetry(), // which the environment could switch on
	}
	for name, values := range s.BaseURL.Query() {
		for _, value := range values {
			options = append(options, option.WithQueryAdd(name, value))
		}
	}
	if s.APIKey != "" {
		options = append(options, option.WithAPIKey(s.APIKey))
	}
	for name, value := range s.Headers {
		options = append(options, option.WithHeader(name, value))
	}
	return options
}

// Reply implements [parley.Bot].
func (b *Bot) Reply(ctx context.Context, turn *parley.Turn, emit func(string)) (parley.Reply, error) {
	messages, err := b.service.Messages(ctx, turn)
	if err != nil {
		return parley.Reply{}, err
	}
	answer := b.service.NewAnswer(emit)
	end, err := b.ask(ctx, messages, answer)
	return answer.Reply(ctx, turn, end, err)
}

func (b *Bot) ask(ctx context.Context, messages []parley.Message, answer *provider.Answer) (provider.End, error) {
	stream := b.messages.NewStreaming(ctx, b.params(messages))
	defer stream.Close()
	end := provider.Cut
	for stream.Next() {
		switch event := stream.Current(); event.Type {
		case "message_start":
			usage := event.Message.Usage
			answer.Used(usage.InputTokens+usage.CacheCreationInputTokens+usage.CacheReadInputTokens, usage.OutputTokens)
		case "content_block_delta":
			if !answer.Add(event.Delta.Text) { // which only text has, and not what the model thinks
				return provider.TooLong, nil
			}
		case "message_delta": // counts anew, and some servers count the input only now
			usage := event.Usage
			answer.Used(usage.InputTokens+usage.CacheCreationInputTokens+usage.CacheReadInputTokens, usage.OutputTokens)
			if event.Delta.StopReason != "" {
				end = endOf(event.Delta.StopReason)
			}
		case "message_stop":
			return end, nil
		}
	}
	err := stream.Err()
	var said *anthropic.Error
	if errors.As(err, &said) {
		err = b.service.GaveUp(provider.ParseComplaint([]byte(said.RawJSON())))
	}
	return end, err
}

func endOf(reason anthropic.StopReason) provider.End {
	switch reason {
	case anthropic.StopReasonMaxTokens, anthropic.StopReasonModelContextWindowExceeded:
		return provider.Length
	case anthropic.StopReasonRefusal:
		return provider.Filtered
	}
	return provider.Done
}

// takesTemperature finds the models that have a temperature still: those up to
// Claude Opus 4.6, and those that are not Anthropic's.
var takesTemperature = regexp.MustCompile(`^claude-(2|3|instant|[a-z]+-4($|-[0-6]($|-)|-2025))`)

func (b *Bot) params(messages []parley.Message) anthropic.MessageNewParams {
	params := anthropic.MessageNewParams{
		Model:     b.service.Model,
		MaxTokens: int64(b.service.MaxTokens),
		System:    []anthropic.TextBlockParam{{Text: b.service.System}},
	}
	for _, m := range messages {
		text := anthropic.NewTextBlock(m.Content)
		if m.Role == parley.RoleUser {
			params.Messages = append(params.Messages, anthropic.NewUserMessage(text))
		} else {
			params.Messages = append(params.Messages, anthropic.NewAssistantMessage(text))
		}
	}
	model := b.service.Model
	if t := b.service.Temperature; t != nil && (!strings.HasPrefix(model, "claude-") || takesTemperature.MatchString(model)) {
		params.Temperature = anthropic.Float(*t)
	}
	return params
}
