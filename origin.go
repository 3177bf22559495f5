package parley

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// origins says which pages may read answers: the CORS protocol of the Fetch
// standard, section 3.3, without credentials.
type origins struct {
	any      bool
	loopback bool            // loopback origins on any port
	exact    map[string]bool // "https://example.com"
	suffixes []originSuffix  // "https://*.example.com"
}

type originSuffix struct{ scheme, domain string } // "https://" and ".example.com"

// parseOrigins reads a list of allowed origins and reports every entry that
// could never match or would allow more than it seems to.
func parseOrigins(list []string) (origins, error) {
	o := origins{loopback: len(list) == 0, exact: map[string]bool{}}
	var ps Problems
	for i, entry := range list {
		path := fmt.Sprintf("[%d]", i)
		if entry == "*" {
			o.any = true
			if len(list) > 1 {
				ps.Add(path, `"*" allows every origin, so the others say nothing; write either "*" or a list`)
			}
			continue
		}
		if reason := checkOrigin(entry); reason != "" {
			ps.Add(path, "%q %s", entry, reason)
			continue
		}
		scheme, host, _ := strings.Cut(entry, "://")
		if domain, ok := strings.CutPrefix(host, "*"); ok {
			o.suffixes = append(o.suffixes, originSuffix{scheme + "://", domain})
		} else {
			o.exact[entry] = true
		}
	}
	return o, ps.Err()
}

var (
	hostName    = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?$`)
	numericHost = regexp.MustCompile(`(^|\.)([0-9]+|0x[0-9a-f]*)\.?$`) // an IPv4 address to browsers (WHATWG URL, section 3.5)
)

// checkOrigin returns what is wrong with an allowed origin, or nothing. An
// origin is compared as text, so it must be written as browsers serialise it
// (RFC 6454, section 6.1).
func checkOrigin(entry string) string {
	scheme, rest, ok := strings.Cut(entry, "://")
	switch {
	case entry == "null":
		return "stands for every sandboxed frame and local file, so it protects nobody; name the site"
	case !ok:
		return "has no scheme; write https://" + strings.ToLower(strings.TrimRight(entry, "/"))
	case strings.Contains(rest, " "):
		return "has a space in it; write several origins with a comma between them"
	case scheme != "http" && scheme != "https":
		return "has a scheme that is not http or https, which pages do not have; write https://example.com"
	case strings.HasSuffix(rest, "/"):
		return "ends with a slash, which no origin does; write " + strings.TrimRight(entry, "/")
	case strings.ContainsAny(rest, "/?#"):
		host, _, _ := strings.Cut(rest, "/")
		return "has more than a scheme and a host; write " + scheme + "://" + host
	case strings.Contains(rest, "@"):
		return "contains a user name; write the scheme and the host only"
	case rest != strings.ToLower(rest):
		return "has capital letters, which browsers do not send; write " + strings.ToLower(entry)
	case strings.IndexFunc(rest, func(r rune) bool { return r > '~' || r <= ' ' }) >= 0:
		return "has characters that browsers do not send; write the host in Punycode (xn--…)"
	}
	if domain, wild := strings.CutPrefix(rest, "*."); wild {
		if strings.Count(domain, ".") < 1 || strings.HasPrefix(domain, ".") {
			return "would allow every site under ." + domain + "; name at least example.com behind the *"
		}
		rest = domain
	}
	if strings.Contains(rest, "*") {
		return `has a * where none can stand; write https://*.example.com for every subdomain, or "*" alone for every site`
	}
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil || strings.HasSuffix(u.Host, ":") {
		return "is not a scheme and a host; write https://example.com"
	}
	ip, err := netip.ParseAddr(u.Hostname())
	switch port := u.Port(); {
	case err != nil && !hostName.MatchString(u.Hostname()):
		return "is not a scheme and a host; write https://example.com"
	case err != nil && numericHost.MatchString(u.Hostname()):
		return "has an address that browsers write as four numbers, like 127.0.0.1"
	case err == nil && (ip.Zone() != "" || ip.Is4In6()):
		return "has an address that no page has; write one without a zone, and IPv4 like 127.0.0.1"
	case err == nil && ip.String() != u.Hostname():
		return "has an address that browsers write as [" + ip.String() + "]"
	case port == "":
	case scheme == "http" && port == "80", scheme == "https" && port == "443":
		return "names the default port, which browsers leave out; write " + strings.TrimSuffix(entry, ":"+port)
	case port[0] == '0' || len(port) > 5 || (len(port) == 5 && port > "65535"):
		return "has a port that does not exist; write one from 1 to 65535"
	}
	return ""
}

// allowed returns what Access-Control-Allow-Origin must be for a request, or
// nothing where its page may not read the answer.
func (o *origins) allowed(r *http.Request) string {
	origin := r.Header.Get("Origin")
	switch {
	case origin == "":
		return ""
	case o.any:
		return "*"
	case o.exact[origin], sameOrigin(origin, r), o.loopback && isLoopback(origin),
		slices.ContainsFunc(o.suffixes, func(s originSuffix) bool { return s.match(origin) }):
		return origin
	}
	return ""
}

// match reports whether origin is a subdomain, and so what a browser may send.
func (s originSuffix) match(origin string) bool {
	host, ok := strings.CutPrefix(origin, s.scheme)
	subdomain, under := strings.CutSuffix(host, s.domain)
	return ok && under && hostName.MatchString(subdomain)
}

// sameOrigin reports whether a page of this very server sent the request.
func sameOrigin(origin string, r *http.Request) bool {
	scheme, host, _ := strings.Cut(origin, "://")
	return (scheme == "http" || scheme == "https") && host != "" && host == r.Host
}

func isLoopback(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Scheme+"://"+u.Host != origin {
		return false
	}
	return isLoopbackHost(u.Hostname())
}

func isLoopbackHost(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// The headers of the CORS protocol. The lists are fixed, whatever a preflight
// asks for, in whatever case and order.
const (
	corsRequestHeaders  = "Content-Type, X-CSRFToken, X-CSRF-Token, Idempotency-Key, Last-Event-ID, X-Parley-Session"
	corsResponseHeaders = "Retry-After, RateLimit, RateLimit-Policy, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id, X-Parley-Session"
)

// setHeaders adds what the CORS protocol asks for to an answer.
func (o *origins) setHeaders(h http.Header, r *http.Request, methods string) {
	h.Add("Vary", "Origin")
	origin := o.allowed(r)
	if origin == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if r.Method != http.MethodOptions {
		h.Set("Access-Control-Expose-Headers", corsResponseHeaders)
		return
	}
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", corsRequestHeaders)
	h.Set("Access-Control-Max-Age", "600")
}
