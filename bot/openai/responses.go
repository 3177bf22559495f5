package openai

import (
	"context"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/provider"
)

// askResponses asks by Responses.
func (b *Bot) askResponses(ctx context.Context, messages []parley.Message, answer *provider.Answer) (provider.End, error) {
	stream := b.responses.NewStreaming(ctx, b.responsesParams(messages))
	defer stream.Close()
	for stream.Next() {
		event := stream.Current()
		switch event.Type {
		case "response.output_text.delta", "response.refusal.delta":
			if !answer.Add(event.Delta) {
				return provider.TooLong, nil
			}
		case "response.completed", "response.incomplete":
			answer.Used(event.Response.Usage.InputTokens, event.Response.Usage.OutputTokens)
			return responsesEnd(event.Response.IncompleteDetails.Reason), nil
		case "response.failed":
			answer.Used(event.Response.Usage.InputTokens, event.Response.Usage.OutputTokens)
			failed := event.Response.Error
			return provider.Cut, b.service.GaveUp(provider.Complaint{Message: failed.Message, Kinds: []string{string(failed.Code), failed.Type}})
		case "error":
			return provider.Cut, b.service.GaveUp(provider.Complaint{Message: event.Message, Kinds: []string{event.Code}})
		}
	}
	return provider.Cut, b.complaint(stream.Err())
}

func responsesEnd(incomplete string) provider.End {
	switch incomplete {
	case "max_output_tokens":
		return provider.Length
	case "content_filter":
		return provider.Filtered
	}
	return provider.Done
}

func (b *Bot) responsesParams(messages []parley.Message) responses.ResponseNewParams {
	input := make(responses.ResponseInputParam, len(messages))
	for i, m := range messages {
		input[i] = responses.ResponseInputItemParamOfMessage(m.Content, responses.EasyInputMessageRole(m.Role))
	}
	params := responses.ResponseNewParams{
		Model:        b.service.Model,
		Instructions: openai.String(b.service.System),
		Input:        responses.ResponseNewParamsInputUnion{OfInputItemList: input},
		Store:        openai.Bool(false), // the conversation is kept here, and nowhere else
	}
	if limit := int64(b.service.MaxTokens); limit > 0 {
		params.MaxOutputTokens = openai.Int(limit)
	}
	if t := b.service.Temperature; t != nil && !refusesTemperature(b.service.Model) {
		params.Temperature = openai.Float(*t)
	}
	return params
}
