package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"

	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"

	"github.com/parley-chat/parley/internal/provider"
)

// events asks at an endpoint and yields what each event of the answer holds,
// until there are no more. An error comes last. A server that does not stream
// sends one whole answer in place of them.
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
		if !provider.IsStream(resp) {
			yield(b.whole(resp))
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

// whole reads an answer in one piece.
func (b *Bot) whole(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && !bytes.Contains(data, []byte(`"choices"`)) {
		err = b.service.NoAnswer(resp, data)
	}
	return data, err
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
