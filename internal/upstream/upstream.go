// Package upstream is what the bots that ask a service over HTTP have in common:
// a checked address and headers, a client that follows no redirects, bodies of
// bounded length, and failures that tell the operator what happened and nobody
// what is secret.
package upstream

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/parley-chat/parley"
)

// A Server is what a service is asked at. It is safe for concurrent use.
type Server struct {
	// Client makes the calls.
	Client *http.Client
	host   string
	hide   *strings.Replacer
}

// NewServer returns the server at an address, and [NewClient] of client. Nobody
// gets to read the headers that are sent there, the address beyond its host, or
// the secrets.
func NewServer(address *url.URL, client *http.Client, headers map[string]string, secrets ...string) *Server {
	return &Server{Client: NewClient(client), host: address.Host, hide: newReplacer(address, headers, secrets)}
}

// ParseURL reads the address of a service, such as the example. Its errors do
// not quote it, because it may hold a password.
func ParseURL(raw, example string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return nil, fmt.Errorf("is missing; write one such as %q", example)
	case err != nil:
		return nil, fmt.Errorf("is not a URL; write one such as %q", example)
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return nil, fmt.Errorf("has to begin with http:// or https:// and a host, as in %q", example)
	case u.User != nil:
		return nil, fmt.Errorf("holds a user or password, which end up in logs; send them in a header, such as Authorization")
	case u.Fragment != "":
		return nil, fmt.Errorf("has a part after #, which is never sent; leave it out")
	}
	return u, nil
}

var (
	headerName  = regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$") // RFC 9110, section 5.6.2
	headerValue = regexp.MustCompile(`^[\t -~\x{80}-\x{10FFFF}]*$`)   // section 5.5
	ownHeaders  = []string{"Accept", "Accept-Encoding", "Connection", "Content-Length", "Content-Type", "Host", "Transfer-Encoding"}
)

// CheckHeaders reports every header that cannot be sent with each call, or that
// the bot sets itself: those that belong to a call, and the given ones, whose
// names are canonical.
func CheckHeaders(headers map[string]string, own ...string) error {
	own = append(own, ownHeaders...)
	var ps parley.Problems
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		path := fmt.Sprintf("[%q]", name)
		switch {
		case !headerName.MatchString(name):
			ps.Add(path, "is no name of a header; write letters, digits and dashes")
		case slices.Contains(own, http.CanonicalHeaderKey(name)):
			ps.Add(path, "is set by the bot; leave it out")
		case !headerValue.MatchString(headers[name]):
			ps.Add(path, "has a value with control characters, such as a line break; leave them out")
		}
	}
	return ps.Err()
}
