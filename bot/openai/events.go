package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"

	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
)

// events asks at an endpoint and yields what each event of the answer holds,
// until there are no more. An error comes last.
//
// The SDK makes the call and splits the stream into events. Each API reads of
// them the few fields that it needs: the SDK's own types keep all there are, by
// reflection, which takes about three times as long.
func (b *Bot) events(ctx context.Context, endpoint string, params any) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		var resp *http.Response
		if err := b.client.Post(ctx, endpoint, params, &resp, option.WithJSONSet("stream", true)); err != nil {
			yield(nil, err)
			return
		}
		events := ssestream.NewDecoder(resp)
		defer events.Close()
		for events.Next() {
			data := events.Event().Data
			if bytes.HasPrefix(data, []byte("[DONE]")) || !yield(data, nil) {
				return
			}
		}
		if err := events.Err(); err != nil {
			yield(nil, err)
		}
	}
}

// decode reads an event. A field of another type than ours is left out:
// compatible servers add things of their own, such as a list of a model's
// thoughts where its text would be.
func decode(data []byte, event any) error {
	err := json.Unmarshal(data, event)
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) && mismatch.Field != "" {
		return nil
	}
	return err
}
