package parley

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxSessionID is the longest session id that a client may send, in bytes.
const maxSessionID = 256

// checkSessionID reports whether a client may use id to name its session.
func checkSessionID(id string) bool {
	return id != "" && len(id) <= maxSessionID && utf8.ValidString(id) &&
		strings.IndexFunc(id, unicode.IsControl) < 0
}

// sessions turns what a client sends into the key under which a conversation
// is stored.
//
// A session id is an identifier and no credential: clients choose it, and many
// choose one that others can guess. So an id that looks guessable is combined
// with the client that uses it, and the same id from another client is simply
// another conversation. No answer tells the two apart.
type sessions struct {
	secret []byte
	open   bool // any id continues its conversation from anywhere
}

// key returns the stored name of the conversation. A message without a session
// gets one of its own, the same only for the same message from the same
// client, so that a retry finds its twin.
func (s sessions) key(q Request) string {
	switch {
	case q.Session == "" && q.Key != "":
		return s.mac("keyed", q.Client, q.Key)
	case q.Session == "":
		return s.mac("single", q.Client, q.Prompt)
	case s.open || !guessable(q.Session):
		return s.mac("id", q.Session)
	default:
		return s.mac("bound", q.Client, q.Session)
	}
}

// mac returns 128 bits of HMAC-SHA256 over parts, in hex. Each part is preceded
// by its length, so that no two lists of parts run together.
func (s sessions) mac(parts ...string) string {
	h := hmac.New(sha256.New, s.secret)
	var size [4]byte
	for _, part := range parts {
		n := len(part)
		size = [4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
		h.Write(size[:])
		h.Write([]byte(part))
	}
	var sum [sha256.Size]byte
	return hex.EncodeToString(h.Sum(sum[:0])[:16])
}

// clientOf names the client of a request: the network of its address, and the
// page that it runs in.
func clientOf(r *http.Request) string {
	return network(r.RemoteAddr) + " " + r.Header.Get("Origin")
}

// network returns the part of an address that one subscriber holds: an IPv4
// address, or the /56 of an IPv6 address. An IPv4 address in IPv6 clothes is
// the IPv4 address.
func network(addr string) string {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return addr
	}
	ip := ap.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	prefix, _ := ip.Prefix(56)
	return prefix.String()
}

// randomUUID finds a UUID of a version that is filled with random bits: 4
// (RFC 9562, section 5.4) or 7 (section 5.7).
var randomUUID = regexp.MustCompile(`(?i)[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)

// guessable reports whether a session id may be one that another could guess:
// all but UUIDs of random bits and ids that look like 22 random characters or
// more. A wrong yes costs a visitor who changes networks the thread; a wrong
// no could cost somebody's privacy, so doubt means yes.
//
// Names, dates, counters and e-mail addresses are long runs of letters or of
// digits; random text changes between upper case, lower case and digits every
// other character. So characters count as random in runs of at most four.
func guessable(id string) bool {
	if randomUUID.MatchString(id) {
		return false
	}
	if len(id) < 22 {
		return true
	}
	const digit, lower, upper = 1, 2, 3
	random, run, last := 0, 0, 0
	seen := map[rune]bool{}
	endRun := func() {
		if run <= 4 {
			random += run
		}
		run = 0
	}
	for _, r := range id {
		class := 0
		switch {
		case r >= '0' && r <= '9':
			class = digit
		case r >= 'a' && r <= 'z':
			class = lower
		case r >= 'A' && r <= 'Z':
			class = upper
		default: // separators neither end a run nor count
			continue
		}
		seen[r] = true
		if class != last {
			endRun()
		}
		last = class
		run++
	}
	endRun()
	return random < 16 || len(seen) < 10
}
