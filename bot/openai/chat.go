package openai

import (
	"context"

	"github.com/openai/openai-go/v3"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/provider"
)

// A chatChunk is what we read of an event of Chat Completions.
type chatChunk struct {
	Error   any `json:"error"`
	Choices []struct {
		Delta        chatText `json:"delta"`
		Message      chatText `json:"message"` // where the server does not stream
		FinishReason string   `json:"finish_reason"`
	} `json:"choices"`
	Usage struct {
		PromptTokens     int64 `json:"prompt_tokens"`
		CompletionTokens int64 `json:"completion_tokens"`
	} `json:"usage"`
}

type chatText struct {
	Content string `json:"content"`
	Refusal string `json:"refusal"`
}

// askChat asks by Chat Completions.
func (b *Bot) askChat(ctx context.Context, messages []parley.Message, answer *provider.Answer) (provider.End, error) {
	end := provider.Cut
	// To the very end: the usage comes behind the last choice.
	for data, err := range b.events(ctx, "chat/completions", b.chatParams(messages)) {
		var chunk chatChunk
		if err == nil {
			err = decode(data, &chunk)
		}
		switch {
		case err != nil:
			return end, err
		case chunk.Error != nil:
			return end, b.service.GaveUp(provider.ParseComplaint(data))
		}
		answer.Used(chunk.Usage.PromptTokens, chunk.Usage.CompletionTokens)
		for _, choice := range chunk.Choices {
			for _, text := range []string{choice.Delta.Content, choice.Delta.Refusal, choice.Message.Content, choice.Message.Refusal} {
				if !answer.Add(text) {
					return provider.TooLong, nil
				}
			}
			if choice.FinishReason != "" {
				end = chatEnd(choice.FinishReason)
			}
		}
	}
	return end, nil
}

func chatEnd(reason string) provider.End {
	switch reason {
	case "length":
		return provider.Length
	case "content_filter":
		return provider.Filtered
	}
	return provider.Done // servers have more words for it than "stop"
}

// chatParams returns what to ask with. It is a pointer, because its two kilobytes
// would otherwise lie on the stack of every stream.
func (b *Bot) chatParams(messages []parley.Message) *openai.ChatCompletionNewParams {
	params := &openai.ChatCompletionNewParams{
		Model:         b.service.Model,
		Messages:      []openai.ChatCompletionMessageParamUnion{openai.SystemMessage(b.service.System)},
		StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
	}
	for _, m := range messages {
		if m.Role == parley.RoleUser {
			params.Messages = append(params.Messages, openai.UserMessage(m.Content))
		} else {
			params.Messages = append(params.Messages, openai.AssistantMessage(m.Content))
		}
	}
	switch limit := int64(b.service.MaxTokens); {
	case limit == 0:
	case b.official:
		params.MaxCompletionTokens = openai.Int(limit)
	default: // most compatible servers know the older name only
		params.MaxTokens = openai.Int(limit)
	}
	if t := b.service.Temperature; t != nil && !refusesTemperature(b.service.Model) {
		params.Temperature = openai.Float(*t)
	}
	return params
}
