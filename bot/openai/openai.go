// Package openai answers with a model of OpenAI, or of any server that speaks
// the same protocol, such as Ollama, vLLM, llama.cpp, LiteLLM or Azure:
//
//	bot, err := openai.New(openai.Config{APIKey: key})
//	if err != nil {
//		log.Fatal(err)
//	}
//	chat, err := parley.New(parley.Config{Bot: bot})
//
// It uses OpenAI's official SDK, which makes a stripped program about 19 MB larger.
package openai

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/provider"
)

const (
	// DefaultModel is the model of a bot that is given none: small, current, and
	// quick to begin an answer, because it does not reason unless it is told to.
	DefaultModel = openai.ChatModelGPT5_4Mini
	// DefaultBaseURL is OpenAI itself.
	DefaultBaseURL = "https://api.openai.com/v1"
	// DefaultSystem is the system prompt of a bot that is given none.
	DefaultSystem = provider.DefaultSystem
	// defaultMaxTokens is room for an answer of several pages, and for a model
	// that thinks first.
	defaultMaxTokens = 4096
)

// An API is one of the two ways in which models are asked.
type API string

// The APIs.
const (
	Chat      API = "chat"      // Chat Completions, which every compatible server has
	Responses API = "responses" // Responses, which some of OpenAI's models insist on
)

// Config says which model is asked, and how. A key, or the address of a server
// that needs none, is all it takes.
type Config struct {
	// APIKey is the provider's key. It may be empty where there is a BaseURL, or
	// an Authorization among the Headers.
	APIKey string
	// BaseURL is the address of a compatible server. Empty means
	// [DefaultBaseURL]. It becomes the URL that is asked like this:
	//
	//   - Slashes at the end do not count.
	//   - An address without a path gets /v1: "http://localhost:11434" and
	//     "http://localhost:11434/v1" are the same.
	//   - Any other path is kept: "https://openrouter.ai/api/v1".
	//   - "/chat/completions" or "/responses" is appended. An address that ends
	//     with one of them is used as it is, and chooses the API.
	//   - A query goes along with each call. Where it has an api-version, the
	//     server is Azure, and gets the key in the header that Azure wants:
	//     "https://NAME.openai.azure.com/openai/deployments/MODEL?api-version=…".
	BaseURL string
	// API is how the model is asked. Empty means Responses for those models of
	// OpenAI that have nothing else, and Chat for all others.
	API API
	// Model is the name of a model. Empty means [DefaultModel].
	Model string
	// System is the system prompt: who the bot is, and what it knows of the site.
	// Empty means [DefaultSystem].
	System string
	// MaxTokens is how long an answer may be, with what a model thinks before it
	// speaks. 0 means 4096 for OpenAI, and whatever the server allows elsewhere:
	// a small model on a small machine has less room.
	MaxTokens int
	// Temperature is how freely the model speaks, from 0 to 2. Nil leaves that to
	// the provider. Models that reason refuse it, so they are not sent any.
	Temperature *float64
	// HistoryTurns is how many earlier turns the model is told of. 0 means 10; -1
	// means none.
	HistoryTurns int
	// HistoryTokens is how long these turns may be together, as
	// [parley.LastTokens] counts. 0 means 2000.
	HistoryTokens int
	// Headers are sent with each call, besides the bot's own. An Authorization
	// takes the place of the key's.
	Headers map[string]string
	// HTTPClient makes the calls, without following redirects. Nil means a client
	// of the bot's own.
	HTTPClient *http.Client
}

// A Bot answers with a model. It is safe for concurrent use.
//
// Answers are streamed from the provider and emitted as they come; a server that
// answers a chat with one whole completion is understood too. One that the
// provider does not bring to an end, or that is longer than 1 MiB, is a
// [parley.Failure], as is all that a provider says in place of an answer. A
// model's refusal is an answer. The Bot asks once and knows no deadline but its
// context's; put a bot.Guard around it.
//
// It reads nothing from the environment but a proxy's address, and only if it
// has no HTTPClient.
type Bot struct {
	service  *provider.Service
	api      API
	official bool // the server is OpenAI's or Azure's
	client   openai.Client
}

// New returns a bot, or every [parley.Problem] of cfg at once. It asks nobody.
func New(cfg Config) (*Bot, error) {
	var ps parley.Problems
	if cfg.API != "" && cfg.API != Chat && cfg.API != Responses {
		ps.Add("API", "%q is unknown; write %q, %q, or nothing", cfg.API, Chat, Responses)
	}
	base, api, err := parseBaseURL(cmp.Or(cfg.BaseURL, DefaultBaseURL))
	ps.AddAll("BaseURL", err)
	if err != nil {
		base = &url.URL{} // to see what else is wrong
	}
	model := cmp.Or(cfg.Model, DefaultModel)
	service, err := provider.New(provider.Settings{
		APIKey:         cfg.APIKey,
		BaseURL:        base,
		Model:          model,
		System:         cfg.System,
		MaxTokens:      cfg.MaxTokens,
		Temperature:    cfg.Temperature,
		MaxTemperature: 2,
		HistoryTurns:   cfg.HistoryTurns,
		HistoryTokens:  cfg.HistoryTokens,
		Headers:        cfg.Headers,
		HTTPClient:     cfg.HTTPClient,
		KeyName:        "OPENAI_API_KEY",
		KeyOptional:    cfg.BaseURL != "" || provider.HasHeader(cfg.Headers, "Authorization"),
	})
	ps.AddAll("", err)
	if err := ps.Err(); err != nil {
		return nil, err
	}

	b := &Bot{service: service, api: cmp.Or(cfg.API, api), official: isOfficial(base.Hostname())}
	if b.api == "" {
		b.api = apiOf(model, b.official)
	}
	service.TakesJSON = b.api == Chat
	if service.MaxTokens == 0 && b.official {
		service.MaxTokens = defaultMaxTokens
	}
	// A client with options only reads no environment, unlike that of NewClient.
	b.client.Options = clientOptions(service)
	return b, nil
}

// parseBaseURL returns the address that endpoints are appended to, and the API
// if the address names its endpoint.
func parseBaseURL(raw string) (*url.URL, API, error) {
	u, endpoint, err := provider.ParseURL(raw, "/chat/completions", "/responses")
	if err != nil {
		return nil, "", err
	}
	switch endpoint {
	case "/chat/completions":
		return u, Chat, nil
	case "/responses":
		return u, Responses, nil
	}
	if u.Path == "" {
		u.Path = "/v1"
	}
	return u, "", nil
}

// isOfficial reports whether a host is OpenAI's, in whatever region, or Azure's.
func isOfficial(host string) bool {
	return host == "api.openai.com" || strings.HasSuffix(host, ".api.openai.com") || strings.HasSuffix(host, ".azure.com")
}

var (
	// onlyResponses finds the models that Chat Completions does not have, by the
	// list of them in the SDK (shared.ResponsesModel).
	onlyResponses = regexp.MustCompile(`-(pro|codex|cyber|rosalind|deep-research)\b|^(computer-use|codex|gpt-daybreak|gpt-rosalind)-`)
	// reasoning finds the models that reason unless told otherwise, and refuse a
	// temperature then. The chat models between them do not reason.
	reasoning = regexp.MustCompile(`^(o[0-9]|gpt-5($|-)|gpt-5\.[5-9]|gpt-[6-9]|gpt-[1-9][0-9])|-(pro|codex)\b|^codex-`)
	chatModel = regexp.MustCompile(`-chat\b`)
)

func apiOf(model string, official bool) API {
	if official && onlyResponses.MatchString(model) {
		return Responses
	}
	return Chat
}

// refusesTemperature reports whether a model, which may be called as in
// "openai/o3", takes no temperature.
func refusesTemperature(model string) bool {
	model = model[strings.LastIndexByte(model, '/')+1:]
	return reasoning.MatchString(model) && !chatModel.MatchString(model)
}

// clientOptions are the SDK's options for a service, all of them explicit.
func clientOptions(s *provider.Service) []option.RequestOption {
	options := []option.RequestOption{
		option.WithBaseURL(s.Root()),
		option.WithHTTPClient(s.Client),
		option.WithMaxRetries(0),
		option.WithMiddleware(s.Check),
	}
	query := s.BaseURL.Query()
	for name, values := range query {
		for _, value := range values {
			options = append(options, option.WithQueryAdd(name, value))
		}
	}
	switch {
	case s.APIKey == "":
	case query.Has("api-version"):
		options = append(options, option.WithHeader("Api-Key", s.APIKey))
	default:
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
	ask := b.askChat
	if b.api == Responses {
		ask = b.askResponses
	}
	answer := b.service.NewAnswer(emit)
	end, err := ask(ctx, messages, answer)
	return answer.Reply(ctx, turn, end, err)
}
