package bot

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/tmaxmax/go-sse"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/upstream"
)

const (
	// maxRelayReply is the longest answer of a backend that is read in bytes, as
	// JSON or as text. As a reply, its JSON must not be longer either.
	maxRelayReply = 1 << 20
	// maxRelayEvent is the longest event, which can be the reply, in bytes.
	maxRelayEvent = maxRelayReply + 1<<10
	// maxRelayStream is the longest event stream in bytes: a word a piece, events
	// are about six times as long as their texts.
	maxRelayStream = 8 << 20
	// enoughHeard is how much of a stream is kept to be quoted, in bytes, with a
	// last event of any length.
	enoughHeard = 256
)

// read reads a reply in any of the forms that a backend may use.
func (r *Relay) read(resp *http.Response, emit func(string)) (parley.Reply, error) {
	media := upstream.MediaType(resp)
	if media == "text/event-stream" {
		return r.readEvents(resp.Body, emit)
	}
	body := bufio.NewReader(http.MaxBytesReader(nil, resp.Body, maxRelayReply))
	if media == "text/plain" {
		if first, _ := body.Peek(1); string(first) != "{" { // some servers call JSON that was given no name so
			return r.readText(body, emit)
		}
	}
	return r.readJSON(resp, body) // under whatever name
}

func (r *Relay) readJSON(resp *http.Response, body io.Reader) (parley.Reply, error) {
	data, err := io.ReadAll(body)
	if err != nil {
		return parley.Reply{}, r.server.BrokeOff(err)
	}
	reply, err := r.decode(data)
	if err != nil {
		return parley.Reply{}, r.noReply(fmt.Sprintf("answered %d with %q", resp.StatusCode, upstream.MediaType(resp)), err, data)
	}
	return reply, nil
}

// noReply is the failure of an answer that is no reply of the wire contract.
func (r *Relay) noReply(did string, err error, data []byte) error {
	return r.server.Failure(false, "%s, which is no reply: %s. It said: %s",
		r.server.Quote(did), r.server.Quote(err.Error()), r.server.Quote(string(data)))
}

// decode decodes and checks a reply of the wire contract.
func (r *Relay) decode(data []byte) (parley.Reply, error) {
	var reply parley.Reply
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	err := json.Unmarshal(data, &reply)
	if err != nil && r.cfg.N8N {
		reply, err = decodeN8N(data, err)
	}
	if err == nil {
		err = reply.Validate()
	}
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		err = errors.New(strings.Replace(err.Error(), mismatch.Error(), r.explain(mismatch), 1))
	}
	return reply, err
}

// jsonTypes are what JSON has, by the words of encoding/json.
var jsonTypes = map[string]string{"array": "a list", "bool": "true or false", "number": "a number", "object": "an object", "string": "a string"}

// explain says what JSON of the wrong type is, without the names of Go.
func (r *Relay) explain(mismatch *json.UnmarshalTypeError) string {
	word, _, _ := strings.Cut(mismatch.Value, " ") // behind a number stands which
	is := jsonTypes[word]
	switch {
	case mismatch.Field != "":
		return fmt.Sprintf("%q cannot be %s", mismatch.Field, is)
	case word == "array" && !r.cfg.N8N:
		return "it cannot be a list, but for one of a single reply in the n8n format (RELAY_FORMAT=n8n)"
	}
	return "it cannot be " + is
}

// decodeN8N decodes what n8n's nodes answer beside the wire contract: the text
// of a language model's chain, and a list of one. It returns the error if data
// is neither.
func decodeN8N(data []byte, err error) (parley.Reply, error) {
	var list []json.RawMessage
	if json.Unmarshal(data, &list) == nil && len(list) == 1 {
		data = list[0]
	}
	var reply parley.Reply
	if json.Unmarshal(data, &reply) == nil {
		return reply, nil
	}
	var chain struct{ Text *string }
	if json.Unmarshal(data, &chain) == nil && chain.Text != nil {
		return parley.Text(*chain.Text), nil
	}
	return parley.Reply{}, err
}

// readEvents reads server-sent events (WHATWG HTML, section 9.2).
func (r *Relay) readEvents(body io.Reader, emit func(string)) (parley.Reply, error) {
	// A last event that lacks its blank line counts. One that was cut off is no
	// JSON, so it is not taken for a whole one.
	stream := io.MultiReader(body, strings.NewReader("\n\n"))
	var text, heard strings.Builder
	for event, err := range sse.Read(stream, &sse.ReadConfig{MaxEventSize: maxRelayEvent}) {
		switch {
		case errors.Is(err, bufio.ErrTooLong):
			return parley.Reply{}, r.server.Failure(false, "sent an event longer than %d bytes", maxRelayEvent)
		case err != nil:
			return parley.Reply{}, r.server.BrokeOff(err)
		}
		if heard.Len() < enoughHeard { // whole events only: half a key is no longer found
			fmt.Fprintf(&heard, "event: %s data: %s ", cmp.Or(event.Type, "message"), event.Data)
		}
		data := []byte(event.Data)
		switch event.Type {
		case "delta":
			piece, err := decodeDelta(data)
			if err != nil {
				return parley.Reply{}, r.server.Failure(false, `sent a delta that is not {"text": …}: %s`, r.server.Quote(event.Data))
			}
			if text.Len()+len(piece) > maxRelayReply {
				return parley.Reply{}, r.server.BrokeOff(&http.MaxBytesError{Limit: maxRelayReply})
			}
			text.WriteString(piece)
			emit(piece)
		case "reply":
			reply, err := r.decode(data)
			if err != nil {
				return parley.Reply{}, r.noReply("sent a reply event", err, data)
			}
			return reply, nil
		case "error":
			return parley.Reply{}, r.server.Failure(true, "sent an error event: %s", r.server.Quote(event.Data))
		}
	}
	if strings.TrimSpace(text.String()) == "" {
		return parley.Reply{}, r.server.Failure(false, "ended its stream without text in an event that is named delta or reply. It said: %s",
			cmp.Or(r.server.Quote(heard.String()), "nothing"))
	}
	return r.textReply(text.String())
}

// decodeDelta returns the text of a delta, where null is none.
func decodeDelta(data []byte) (text string, err error) {
	var delta struct{ Text json.RawMessage }
	if err := json.Unmarshal(data, &delta); err != nil {
		return "", err
	}
	return text, json.Unmarshal(delta.Text, &text) // which fails where there is no text at all
}

// readText reads a text that comes as plain text.
func (r *Relay) readText(body io.Reader, emit func(string)) (parley.Reply, error) {
	var text strings.Builder
	buf := make([]byte, 4<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			text.Write(buf[:n])
			emit(string(buf[:n]))
		}
		if err == io.EOF {
			return r.textReply(strings.ToValidUTF8(text.String(), "\uFFFD"))
		}
		if err != nil {
			return parley.Reply{}, r.server.BrokeOff(err)
		}
	}
}

// textReply makes a reply of a text that came to its end.
func (r *Relay) textReply(text string) (parley.Reply, error) {
	if strings.TrimSpace(text) == "" {
		return parley.Reply{}, r.server.Failure(false, "ended its answer without text")
	}
	reply := parley.Text(text)
	if err := reply.Validate(); err != nil {
		return parley.Reply{}, r.noReply("sent a text", err, []byte(text))
	}
	return reply, nil
}
