package openai

import (
	"context"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/provider"
)

// A responsesEvent is what we read of an event of Responses.
type responsesEvent struct {
	Type     string `json:"type"`
	Delta    string `json:"delta"`
	Response struct {
		Usage struct {
			InputTokens  int64 `json:"input_tokens"`
			OutputTokens int64 `json:"output_tokens"`
		} `json:"usage"`
		IncompleteDetails struct {
			Reason string `json:"reason"`
		} `json:"incomplete_details"`
		Error struct {
			Code    string `json:"code"`
			Type    string `json:"type"`
			Message string `json:"message"`
		} `json:"error"`
	} `json:"response"`
	Error   any    `json:"error"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// askResponses asks by Responses.
func (b *Bot) askResponses(ctx context.Context, messages []parley.Message, answer *provider.Answer) (provider.End, error) {
	for data, err := range b.events(ctx, "responses", b.responsesParams(messages)) {
		var event responsesEvent
		if err == nil {
			err = decode(data, &event)
		}
		switch {
		case err != nil:
			return provider.Cut, err
		case event.Error != nil:
			return provider.Cut, b.service.GaveUp(provider.ParseComplaint(data))
		}
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
			return provider.Cut, b.service.GaveUp(provider.Complaint{Message: failed.Message, Kinds: []string{failed.Code, failed.Type}})
		case "error":
			return provider.Cut, b.service.GaveUp(provider.Complaint{Message: event.Message, Kinds: []string{event.Code}})
		}
	}
	return provider.Cut, nil
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

func (b *Bot) responsesParams(messages []parley.Message) *responses.ResponseNewParams {
	input := make(responses.ResponseInputParam, len(messages))
	for i, m := range messages {
		input[i] = responses.ResponseInputItemParamOfMessage(m.Content, responses.EasyInputMessageRole(m.Role))
	}
	params := &responses.ResponseNewParams{
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
