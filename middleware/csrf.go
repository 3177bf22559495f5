package middleware

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/parley-chat/parley"
)

// CSRF makes and checks the tokens with which a page proves that it could read
// an answer of this server a short while ago, which pages of other sites cannot
// (CORS). Make it with [NewCSRF].
//
// A token is 57 bytes in base64url: a version, the second at which it expires, 16
// random bytes, and the HMAC-SHA256 of those. It is not tied to an origin,
// because browsers name none when a page asks its own server, nor to an address,
// because visitors change networks, nor to a cookie, because the chat has none.
type CSRF struct {
	secrets  [][]byte
	required bool
}

const (
	csrfVersion  = 1
	csrfLife     = 2 * time.Hour
	csrfPayload  = 1 + 8 + 16
	csrfToken    = csrfPayload + sha256.Size // a multiple of 3, so that base64 has no spare bits
	minSecretLen = 16
)

// csrfHeaders carry a token: the name in the wire contract, and the one that the
// existing React widget sends. In canonical form.
var csrfHeaders = [...]string{"X-Csrftoken", "X-Csrf-Token"}

// NewCSRF returns a CSRF that signs with the first secret and accepts tokens
// signed with any of them, so that a secret can be replaced: put the new one
// first, and drop the old one two hours later. A secret has 16 bytes or more.
//
// Without a secret nothing is checked. With required, requests without a token
// are refused too. The error is of type [parley.Problems].
func NewCSRF(required bool, secrets ...string) (*CSRF, error) {
	c := &CSRF{required: required}
	var ps parley.Problems
	for i, secret := range secrets {
		if len(secret) < minSecretLen {
			ps.Add(fmt.Sprintf("[%d]", i), "has %d bytes, which can be guessed; write %d or more, such as what `openssl rand -hex 32` prints", len(secret), minSecretLen)
		}
		c.secrets = append(c.secrets, []byte(secret))
	}
	if required && len(secrets) == 0 {
		ps.Add("", "tokens are required, and there is no secret to check them with; write one, such as what `openssl rand -hex 32` prints")
	}
	if err := ps.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// Check is the middleware. A request whose X-CSRFToken or X-CSRF-Token is not
// [CSRF.Valid] is answered with 403, and so is one without either where tokens
// are required. An empty header counts as none. What only reads (GET and HEAD)
// needs no token: other sites cannot see the answer.
func (c *CSRF) Check(next http.Handler) http.Handler {
	if len(c.secrets) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found := false
		for _, name := range csrfHeaders {
			for _, token := range r.Header[name] {
				if token == "" {
					continue
				}
				if !c.Valid(token) {
					refuseCSRF(w)
					return
				}
				found = true
			}
		}
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		if c.required && !found && !reads {
			refuseCSRF(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func refuseCSRF(w http.ResponseWriter) {
	parley.WriteError(w, &parley.Error{Code: parley.CodeForbidden, Message: "Invalid CSRF token"})
}

// ServeHTTP hands out a token, {"csrf_token": …, "expires_at": …}. It belongs at
// GET /csrf-token, behind CORS. Without a secret there is nothing to be found.
func (c *CSRF) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if len(c.secrets) == 0 {
		parley.WriteError(w, &parley.Error{Code: parley.CodeNotFound, Message: "Not found"})
		return
	}
	token, expires := c.Token()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(struct {
		Token   string    `json:"csrf_token"`
		Expires time.Time `json:"expires_at"`
	}{token, expires})
}

// Token returns a new token and when it expires: in two hours. It panics without
// a secret.
func (c *CSRF) Token() (token string, expires time.Time) {
	expires = time.Now().Add(csrfLife).UTC().Truncate(time.Second)
	data := make([]byte, csrfPayload, csrfToken)
	data[0] = csrfVersion
	binary.BigEndian.PutUint64(data[1:9], uint64(expires.Unix()))
	rand.Read(data[9:])
	data = appendMAC(data, c.secrets[0], data)
	return base64.RawURLEncoding.EncodeToString(data), expires
}

// Valid reports whether one of the secrets signed the token and it has not
// expired. The signatures are compared in constant time.
func (c *CSRF) Valid(token string) bool {
	if len(token) != base64.RawURLEncoding.EncodedLen(csrfToken) {
		return false
	}
	data, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(data) != csrfToken || data[0] != csrfVersion {
		return false
	}
	payload, mac := data[:csrfPayload], data[csrfPayload:]
	if time.Now().Unix() >= int64(binary.BigEndian.Uint64(payload[1:9])) {
		return false
	}
	for _, secret := range c.secrets {
		var sum [sha256.Size]byte
		if hmac.Equal(mac, appendMAC(sum[:0], secret, payload)) {
			return true
		}
	}
	return false
}

func appendMAC(dst, secret, payload []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write(payload)
	return h.Sum(dst)
}
