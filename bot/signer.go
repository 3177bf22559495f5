package bot

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A signer is the key that signs what is sent, as Standard Webhooks do: an
// HMAC-SHA256 over the id, the time and the body, so that the receiver knows who
// sent it, that it is whole, and that it is not an old one sent again.
type signer []byte

// newSigner reads a secret; none makes nil. Its errors do not tell the secret.
func newSigner(secret string) (signer, error) {
	if secret == "" {
		return nil, nil
	}
	encoded, ok := strings.CutPrefix(secret, "whsec_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New(`is not "whsec_" and 24 to 64 bytes in base64; "openssl rand -base64 32" makes what stands behind whsec_`)
	}
	return key, nil
}

func (key signer) setHeaders(h http.Header, id string, now time.Time, body []byte) {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.%s", id, now.Unix(), body)
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	h.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}
