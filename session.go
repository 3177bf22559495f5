package parley

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"net/http"
	"net/netip"
	"strings"
	"sync"
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
	hashes sync.Pool // of HMACs with the secret, which cost more to make than to use
	open   bool      // any id continues its conversation from anywhere
}

func (s *sessions) init(secret []byte, open bool) {
	s.open = open
	s.hashes.New = func() any { return hmac.New(sha256.New, secret) }
}

// key returns the stored name of the conversation. A message without a session
// gets one of its own, the same only for the same message from the same
// client, so that a retry finds its twin.
func (s *sessions) key(q Request) string {
	switch {
	case q.token != nil:
		return s.mac("token", string(q.token.id[:]))
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
func (s *sessions) mac(parts ...string) string {
	text := make([]byte, 0, 256)
	for _, part := range parts {
		text = binary.BigEndian.AppendUint32(text, uint32(len(part)))
		text = append(text, part...)
	}
	h := s.hashes.Get().(hash.Hash)
	defer s.hashes.Put(h)
	h.Reset()
	h.Write(text)
	return hex.EncodeToString(h.Sum(text[:0])[:16])
}

// clientOf names the client of a request: the network of its address, and the
// page that it runs in.
func clientOf(r *http.Request) string {
	return Network(r.RemoteAddr) + " " + r.Header.Get("Origin")
}

// Network returns the part of an address that one subscriber holds: an IPv4
// address, or the /56 of an IPv6 address. An IPv4 address in IPv6 clothes is
// the IPv4 address. It takes an address with its port, as RemoteAddr of a
// request is, and returns what it cannot read as it is. Whatever tells clients
// apart by their address, such as a rate limit, uses it.
func Network(addr string) string {
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
