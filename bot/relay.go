package bot

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/upstream"
)

// RelayConfig says where a [Relay] sends prompts, and how. Only URL is required.
type RelayConfig struct {
	// URL is what prompts are posted to, such as "https://bot.example.com/chat".
	URL string
	// Headers are sent with each prompt, such as an Authorization.
	Headers map[string]string
	// Secret signs each prompt, as Standard Webhooks do: "whsec_" and 24 bytes or
	// more in base64.
	Secret string
	// History is how many earlier turns are sent along. 0 means none.
	History int
	// PromptField and SessionField are the keys of the prompt and of the session
	// in what is sent. Empty means "prompt" and "session_id".
	PromptField, SessionField string
	// N8N sends what n8n's chat trigger expects: the fields are chatInput and
	// sessionId if they are not named here, and the action is sendMessage. It
	// accepts the replies of n8n's nodes too: {"text": …}, and a list of one
	// reply.
	N8N bool
}

// A Relay is a bot that has a backend of the owner's answer: it posts each
// prompt to a URL and serves what comes back. It is safe for concurrent use.
//
// It sends the JSON that a chat widget sends to a webhook, {"prompt": …,
// "session_id": …}. The session is [parley.Turn.Session], and null where there
// is none; for a backend that insists on one, set
// [parley.Config.RequireSession]. With a History there is "history" too, a list
// of {"role": "user" or "assistant", "content": …, "time": …}, oldest first.
//
// The header Idempotency-Key is [parley.Turn.ID], the same whenever the same turn
// is sent again, so that a backend can answer it once. With a Secret there are
// webhook-id (which is the same), webhook-timestamp and webhook-signature too, by
// the Standard Webhooks specification 1.0.
//
// The backend answers with a status of 2xx and one of:
//
//   - A reply of the wire contract as JSON, under any media type but the two
//     below. What is in it is used as it is.
//   - Server-sent events (text/event-stream): "delta" with {"text": …} for each
//     piece of text, then "reply" with the whole reply as JSON, which is the
//     truth. Where there is no "reply", the texts together are it, but then a
//     backend that speaks HTTP/1.0 cannot be told from one that broke off. A
//     connection that breaks is a failure otherwise. An "error" event says that
//     there is no answer. Comments and other events are passed over.
//   - Plain text (text/plain) in UTF-8, which is shown as it comes. Where it
//     begins with {, it has to be JSON.
//
// Anything else is a [parley.Failure] that says what came back, in one short line
// without what is secret in the URL and the Headers. It is temporary where the
// backend cannot be reached, breaks off, or says 408, 409, 429 or 5xx but 501;
// then its Retry-After counts. A reply may be 1 MiB long, and a stream 8 MiB with
// all that is around the texts. Redirects are not followed: they would take the
// headers, and what visitors say, to a place that the owner did not write down.
//
// A Relay knows no deadline but its context's, and asks once; put a [Guard]
// around it.
type Relay struct {
	cfg    RelayConfig
	sign   signer // nil without a secret
	server *upstream.Server
}

// NewRelay returns a relay, or every [parley.Problem] of cfg at once.
func NewRelay(cfg RelayConfig) (*Relay, error) {
	if cfg.N8N {
		cfg.PromptField = cmp.Or(cfg.PromptField, "chatInput")
		cfg.SessionField = cmp.Or(cfg.SessionField, "sessionId")
	}
	cfg.PromptField = cmp.Or(cfg.PromptField, "prompt")
	cfg.SessionField = cmp.Or(cfg.SessionField, "session_id")
	cfg.Headers = maps.Clone(cfg.Headers)

	var ps parley.Problems
	address, err := upstream.ParseURL(cfg.URL, "https://bot.example.com/chat")
	ps.AddAll("URL", err)
	ps.AddAll("Headers", upstream.CheckHeaders(cfg.Headers, "Idempotency-Key", "Webhook-Id", "Webhook-Signature", "Webhook-Timestamp"))
	sign, err := newSigner(cfg.Secret)
	ps.AddAll("Secret", err)
	if cfg.History < 0 {
		ps.Add("History", "%d is negative", cfg.History)
	}
	ps.AddAll("", checkFields(cfg))
	if err := ps.Err(); err != nil {
		return nil, err
	}
	return &Relay{cfg: cfg, sign: sign, server: upstream.NewServer(address, nil, cfg.Headers, cfg.Secret)}, nil
}

// checkFields reports keys of the message that stand for two things.
func checkFields(cfg RelayConfig) error {
	var ps parley.Problems
	taken := map[string]bool{"history": cfg.History > 0, "action": cfg.N8N}
	if taken[cfg.PromptField] {
		ps.Add("PromptField", "%q is taken; choose another name", cfg.PromptField)
	}
	if taken[cfg.SessionField] || cfg.SessionField == cfg.PromptField {
		ps.Add("SessionField", "%q is taken; choose another name", cfg.SessionField)
	}
	return ps.Err()
}

// Reply implements [parley.Bot].
func (r *Relay) Reply(ctx context.Context, turn *parley.Turn, emit func(string)) (parley.Reply, error) {
	req, err := r.request(ctx, turn)
	if err != nil {
		return parley.Reply{}, fmt.Errorf("relay: %w", err)
	}
	reply, err := r.post(req, emit)
	if err != nil && ctx.Err() != nil { // the backend is not to blame
		return parley.Reply{}, ctx.Err()
	}
	return reply, err
}

func (r *Relay) request(ctx context.Context, turn *parley.Turn) (*http.Request, error) {
	body, err := r.body(ctx, turn)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range r.cfg.Headers {
		req.Header.Set(name, value)
	}
	id := cmp.Or(turn.ID, rand.Text())
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream, application/json")
	// Under its canonical name, net/http would take this header for the leave to
	// send a prompt again by itself, and the guard is the one owner of retries.
	req.Header["idempotency-key"] = []string{id}
	if r.sign != nil {
		r.sign.setHeaders(req.Header, id, time.Now(), body)
	}
	return req, nil
}

// body returns what is posted for a turn.
func (r *Relay) body(ctx context.Context, turn *parley.Turn) ([]byte, error) {
	message := map[string]any{r.cfg.PromptField: turn.Prompt, r.cfg.SessionField: nil}
	if turn.Session != "" {
		message[r.cfg.SessionField] = turn.Session
	}
	if r.cfg.N8N {
		message["action"] = "sendMessage"
	}
	if r.cfg.History > 0 {
		history, err := turn.History(ctx, r.cfg.History)
		if err != nil {
			return nil, fmt.Errorf("read the history: %w", err)
		}
		message["history"] = append([]parley.Message{}, history...) // a list, even if it is empty
	}
	return json.Marshal(message)
}

func (r *Relay) post(req *http.Request, emit func(string)) (parley.Reply, error) {
	resp, err := r.server.Client.Do(req)
	if err != nil {
		return parley.Reply{}, r.server.Unreachable(err)
	}
	resp.Body = upstream.LimitBody(resp.Body, maxRelayStream)
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		return parley.Reply{}, r.server.Refused(resp, upstream.IsTemporary(resp.StatusCode), "", string(said))
	}
	return r.read(resp, emit)
}
