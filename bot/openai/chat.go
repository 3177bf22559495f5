package openai

import (
	"context"
	"errors"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/ssestream"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/provider"
)

// askChat asks by Chat Completions.
func (b *Bot) askChat(ctx context.Context, messages []parley.Message, answer *provider.Answer) (provider.End, error) {
	stream := b.chats.NewStreaming(ctx, b.chatParams(messages))
	defer stream.Close()
	end := provider.Cut
	for stream.Next() { // to the end: the usage comes behind the last choice
		chunk := stream.Current()
		answer.Used(chunk.Usage.PromptTokens, chunk.Usage.CompletionTokens)
		for _, choice := range chunk.Choices {
			if !answer.Add(choice.Delta.Content) || !answer.Add(choice.Delta.Refusal) {
				return provider.TooLong, nil
			}
			if choice.FinishReason != "" {
				end = chatEnd(choice.FinishReason)
			}
		}
	}
	return end, b.complaint(stream.Err())
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

func (b *Bot) chatParams(messages []parley.Message) openai.ChatCompletionNewParams {
	params := openai.ChatCompletionNewParams{
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

// complaint turns what a provider said within its stream into a failure. Other
// errors are returned as they are.
func (b *Bot) complaint(err error) error {
	var said *ssestream.StreamError
	if errors.As(err, &said) {
		return b.service.GaveUp(provider.ParseComplaint(said.Event.Data))
	}
	return err
}
