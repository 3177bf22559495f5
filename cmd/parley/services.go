package main

import (
	"cmp"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/bot"
	"github.com/parley-chat/parley/bot/anthropic"
	"github.com/parley-chat/parley/bot/openai"
	"github.com/parley-chat/parley/cmd/parley/internal/config"
)

// relayService has a backend of the owner's answer.
func relayService() config.Service {
	return config.Service{
		Name:     "relay",
		Switches: []string{"relay_url"},
		Settings: map[string]string{"URL": "relay_url", "Headers": "relay_headers", "Secret": "relay_secret", "History": "relay_history", "N8N": "relay_format"},
		New: func(s *config.Settings) (parley.Bot, error) {
			return bot.NewRelay(bot.RelayConfig{
				URL:     s.RelayURL,
				Headers: s.RelayHeaders.Map(),
				Secret:  s.RelaySecret.Reveal(),
				History: s.RelayHistory,
				N8N:     s.RelayFormat == "n8n",
			})
		},
		Asks:       func(s *config.Settings) (address, model string) { return s.RelayURL, "" },
		InOnePiece: true,
	}
}

// openaiService has a model of OpenAI answer, or one of a compatible server.
func openaiService() config.Service {
	return config.Service{
		Name:     "openai",
		Switches: []string{"openai_api_key", "openai_base_url"},
		Settings: modelSettings("openai"),
		New: func(s *config.Settings) (parley.Bot, error) {
			return openai.New(openai.Config{
				APIKey:        s.OpenAIAPIKey.Reveal(),
				BaseURL:       s.OpenAIBaseURL,
				API:           openai.API(s.OpenAIAPI),
				Model:         s.OpenAIModel,
				System:        s.SystemPrompt,
				MaxTokens:     s.MaxTokens,
				Temperature:   s.Temperature,
				HistoryTurns:  historyTurns(s),
				HistoryTokens: s.HistoryTokens,
				Headers:       s.OpenAIHeaders.Map(),
			})
		},
		Asks: func(s *config.Settings) (address, model string) {
			return cmp.Or(s.OpenAIBaseURL, openai.DefaultBaseURL), cmp.Or(s.OpenAIModel, openai.DefaultModel)
		},
	}
}

// anthropicService has a model of Anthropic answer.
func anthropicService() config.Service {
	return config.Service{
		Name:     "anthropic",
		Switches: []string{"anthropic_api_key", "anthropic_base_url"},
		Settings: modelSettings("anthropic"),
		New: func(s *config.Settings) (parley.Bot, error) {
			return anthropic.New(anthropic.Config{
				APIKey:        s.AnthropicAPIKey.Reveal(),
				BaseURL:       s.AnthropicBaseURL,
				Model:         s.AnthropicModel,
				System:        s.SystemPrompt,
				MaxTokens:     s.MaxTokens,
				Temperature:   s.Temperature,
				HistoryTurns:  historyTurns(s),
				HistoryTokens: s.HistoryTokens,
				Headers:       s.AnthropicHeaders.Map(),
			})
		},
		Asks: func(s *config.Settings) (address, model string) {
			return cmp.Or(s.AnthropicBaseURL, anthropic.DefaultBaseURL), cmp.Or(s.AnthropicModel, anthropic.DefaultModel)
		},
	}
}

// modelSettings returns the settings of a provider's models, by the fields of
// the bot's Config.
func modelSettings(provider string) map[string]string {
	return map[string]string{
		"APIKey":        provider + "_api_key",
		"BaseURL":       provider + "_base_url",
		"API":           provider + "_api",
		"Model":         provider + "_model",
		"Headers":       provider + "_headers",
		"System":        "system_prompt",
		"MaxTokens":     "max_tokens",
		"Temperature":   "temperature",
		"HistoryTurns":  "history_turns",
		"HistoryTokens": "history_tokens",
	}
}

// historyTurns returns HISTORY_TURNS as the models' bots have it, where 0 stands
// for nothing said.
func historyTurns(s *config.Settings) int {
	if s.HistoryTurns == 0 {
		return -1
	}
	return s.HistoryTurns
}
