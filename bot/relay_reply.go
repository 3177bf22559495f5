package bot

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tmaxmax/go-sse"

	"github.com/parley-chat/parley"
)

const (
	// maxRelayReply is the longest reply of a backend in bytes, as JSON or as
	// text. A Chat takes no longer one.
	maxRelayReply = 1 << 20
	// maxRelayEvent is the longest event, which can be the reply, in bytes.
	maxRelayEvent = maxRelayReply + 1<<10
	// maxRelayStream is the longest event stream in bytes: a word a piece, events
	// are about six times as long as their texts.
	maxRelayStream = 8 << 20
)

// read reads a reply in any of the forms that a backend may use.
func (r *Relay) read(resp *http.Response, emit func(string)) (parley.Reply, error) {
	switch mediaType(resp) {
	case "text/event-stream":
		return r.readEvents(http.MaxBytesReader(nil, resp.Body, maxRelayStream), emit)
	case "text/plain":
		body := bufio.NewReader(http.MaxBytesReader(nil, resp.Body, maxRelayReply))
		if first, _ := body.Peek(1); string(first) == "{" { // as some servers call JSON that was given no name
			return r.readJSON(resp, body)
		}
		return readText(body, emit)
	default: // many backends send JSON under another name
		return r.readJSON(resp, http.MaxBytesReader(nil, resp.Body, maxRelayReply))
	}
}

// mediaType returns the media type of an answer, and "" for what is none.
func mediaType(resp *http.Response) string {
	name, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return name
}

func (r *Relay) readJSON(resp *http.Response, body io.Reader) (parley.Reply, error) {
	data, err := io.ReadAll(body)
	if err != nil {
		return parley.Reply{}, brokenOff(err)
	}
	reply, err := r.decode(data)
	if err != nil {
		return parley.Reply{}, permanent("the backend answered %d with %q, which is no reply: %.500s: %s",
			resp.StatusCode, mediaType(resp), err, r.excerpt(data))
	}
	return reply, nil
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
	return reply, err
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
	var text strings.Builder
	for event, err := range sse.Read(stream, &sse.ReadConfig{MaxEventSize: maxRelayEvent}) {
		if err != nil {
			return parley.Reply{}, brokenOff(err)
		}
		switch event.Type {
		case "delta":
			var delta struct{ Text *string }
			if err := json.Unmarshal([]byte(event.Data), &delta); err != nil || delta.Text == nil {
				return parley.Reply{}, permanent(`the backend sent a delta that is not {"text": …}: %s`, r.excerpt([]byte(event.Data)))
			}
			if text.Len()+len(*delta.Text) > maxRelayReply {
				return parley.Reply{}, brokenOff(&http.MaxBytesError{Limit: maxRelayReply})
			}
			text.WriteString(*delta.Text)
			emit(*delta.Text)
		case "reply":
			reply, err := r.decode([]byte(event.Data))
			if err != nil {
				return parley.Reply{}, permanent("the backend sent a reply event that is no reply: %.500s: %s", err, r.excerpt([]byte(event.Data)))
			}
			return reply, nil
		case "error":
			return parley.Reply{}, temporary("the backend sent an error event: %s", r.excerpt([]byte(event.Data)))
		}
	}
	return textReply(text.String())
}

// readText reads a text that comes as plain text.
func readText(body io.Reader, emit func(string)) (parley.Reply, error) {
	var text strings.Builder
	buf := make([]byte, 4<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			text.Write(buf[:n])
			emit(string(buf[:n]))
		}
		if err == io.EOF {
			return textReply(strings.ToValidUTF8(text.String(), "\uFFFD"))
		}
		if err != nil {
			return parley.Reply{}, brokenOff(err)
		}
	}
}

func textReply(text string) (parley.Reply, error) {
	reply := parley.Text(text)
	if err := reply.Validate(); err != nil {
		return parley.Reply{}, temporary("the backend's answer ended without text")
	}
	return reply, nil
}

// brokenOff returns why the rest of an answer could not be read.
func brokenOff(err error) error {
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return permanent("the backend's answer is longer than %d bytes", tooLong.Limit)
	case errors.Is(err, bufio.ErrTooLong):
		return permanent("the backend sent an event longer than %d bytes", maxRelayEvent)
	}
	return temporary("the backend's answer broke off: %w", err)
}

// refusal returns what an answer without a reply says to the operator.
func (r *Relay) refusal(resp *http.Response) error {
	status := fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	if to, err := resp.Location(); err == nil && resp.StatusCode/100 == 3 {
		return permanent("the backend answered %s, a redirect to %s, which is not followed; set the URL to where it leads", status, to.Scheme+"://"+to.Host)
	}
	head, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil && len(head) == 0 {
		head = []byte(err.Error())
	}
	return &parley.Failure{
		Err:        fmt.Errorf("the backend answered %s with %q: %s", status, mediaType(resp), r.excerpt(head)),
		Temporary:  resp.StatusCode == http.StatusRequestTimeout || resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500,
		RetryAfter: retryAfter(resp.Header.Get("Retry-After")),
	}
}

// retryAfter reads a Retry-After header (RFC 9110, section 10.2.3), and returns
// 0 where there is none.
func retryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

func temporary(format string, args ...any) error {
	return &parley.Failure{Err: fmt.Errorf(format, args...), Temporary: true}
}

func permanent(format string, args ...any) error {
	return &parley.Failure{Err: fmt.Errorf(format, args...)}
}

// excerpt returns the beginning of what a backend sent in one line, for the log.
func (r *Relay) excerpt(data []byte) string {
	text := string(data[:min(len(data), 4<<10)])
	text = strings.Join(strings.Fields(r.secrets.Replace(text)), " ")
	return strconv.Quote(text[:min(len(text), 200)])
}

// redactor takes away what a backend was told in confidence and says back, such
// as a wrong API key: the words of the headers' values, and the values in the
// URL's query. Short ones are not secret, and are part of many words.
func redactor(u *url.URL, headers map[string]string) *strings.Replacer {
	var pairs []string
	add := func(word string) {
		if len(word) >= 8 {
			pairs = append(pairs, word, "[redacted]")
		}
	}
	for _, value := range headers {
		for _, word := range strings.Fields(value) {
			add(word)
		}
	}
	for _, values := range u.Query() {
		for _, value := range values {
			add(value)
			add(url.QueryEscape(value))
		}
	}
	return strings.NewReplacer(pairs...)
}
