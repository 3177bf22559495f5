package parley

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"
	"time"
)

// sessionHeader carries a session token: from the client to name its session,
// and back to the client when there is a fresher one.
const sessionHeader = "X-Parley-Session"

// tokenLife is how long one session's tokens are renewed. After that the client
// begins a new session.
const tokenLife = 24 * time.Hour

// tokens makes and checks session tokens. Unlike a session id, a token is a
// credential: the server made its id from 192 random bits and signed it, so
// whoever bears it may read the conversation back.
//
// A token is "v1.", the id, the times at which its session was made and at
// which it expires, and HMAC-SHA256 over all of that, in unpadded base64url.
// It expires ttl after it was made; every answer to a token that has lived for a
// quarter of that carries a fresh one, so a session in use lasts, up to tokenLife.
type tokens struct {
	secret []byte
	ttl    time.Duration
}

// A sessionToken is what a verified token says.
type sessionToken struct {
	id      [24]byte
	made    time.Time // when its session was made
	expires time.Time
}

const (
	tokenPrefix  = "v1."
	tokenPayload = 24 + 8 + 8
)

// new returns a token of a new session.
func (t tokens) new(now time.Time) sessionToken {
	token := sessionToken{made: now, expires: now.Add(t.ttl)}
	rand.Read(token.id[:]) // never fails: see crypto/rand
	return token
}

// renew returns a token that lives longer, and whether it is worth sending.
func (t tokens) renew(token sessionToken, now time.Time) (sessionToken, bool) {
	fresh := token
	fresh.expires = now.Add(t.ttl)
	if end := token.made.Add(tokenLife); fresh.expires.After(end) {
		fresh.expires = end
	}
	return fresh, fresh.expires.Sub(token.expires) >= t.ttl/4
}

func (t tokens) sign(token sessionToken) string {
	data := make([]byte, 0, tokenPayload+sha256.Size)
	data = append(data, token.id[:]...)
	data = binary.BigEndian.AppendUint64(data, uint64(token.made.Unix()))
	data = binary.BigEndian.AppendUint64(data, uint64(token.expires.Unix()))
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(data, t.mac(data)...))
}

func (t tokens) mac(payload []byte) []byte {
	h := hmac.New(sha256.New, t.secret)
	h.Write([]byte(tokenPrefix))
	h.Write(payload)
	return h.Sum(nil)
}

// verify returns what a token says, or false for one that this server did not
// make or that has expired.
func (t tokens) verify(text string, now time.Time) (sessionToken, bool) {
	encoded, ok := strings.CutPrefix(text, tokenPrefix)
	data, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if !ok || err != nil || len(data) != tokenPayload+sha256.Size {
		return sessionToken{}, false
	}
	payload, mac := data[:tokenPayload], data[tokenPayload:]
	if !hmac.Equal(mac, t.mac(payload)) {
		return sessionToken{}, false
	}
	token := sessionToken{
		made:    time.Unix(int64(binary.BigEndian.Uint64(payload[24:])), 0),
		expires: time.Unix(int64(binary.BigEndian.Uint64(payload[32:])), 0),
	}
	copy(token.id[:], payload)
	return token, now.Before(token.expires)
}

// sessionFromToken returns the session that a request's token names, or nil
// where it has none. The answer will carry a fresh token where one is due.
func (c *Chat) sessionFromToken(w http.ResponseWriter, r *http.Request) (*sessionToken, error) {
	text := r.Header.Get(sessionHeader)
	if text == "" {
		return nil, nil
	}
	now := time.Now()
	token, ok := c.tokens.verify(text, now)
	if !ok {
		return nil, errBadToken
	}
	if fresh, due := c.tokens.renew(token, now); due {
		w.Header().Set(sessionHeader, c.tokens.sign(fresh))
	}
	return &token, nil
}

// errBadToken is the answer to a token that is missing where one is needed, or
// that is not valid.
var errBadToken = &Error{Code: CodeForbidden, Message: "Invalid session token"}

// requireToken is sessionFromToken for what a token alone opens: a request
// without one is refused.
func (c *Chat) requireToken(w http.ResponseWriter, r *http.Request) (*sessionToken, error) {
	token, err := c.sessionFromToken(w, r)
	if err == nil && token == nil {
		err = errBadToken
	}
	return token, err
}

// serveSession begins a session: it answers with a token for a conversation
// that has no message yet. Nothing is stored.
func (c *Chat) serveSession(w http.ResponseWriter, r *http.Request) {
	if _, err := readObject(w, r, maxChatBody); err != nil {
		WriteError(w, err)
		return
	}
	token := c.tokens.new(time.Now())
	writeJSON(w, http.StatusOK, map[string]string{
		"session_token": c.tokens.sign(token),
		"expires_at":    token.expires.UTC().Format(time.RFC3339),
	})
}
