package middleware

import (
	"cmp"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/parley-chat/parley"
)

// ClientAddr puts the address of the client, which a proxy in front of the
// server hides, into the request's RemoteAddr, and the scheme that the client
// used into its URL. What is inside reads both as though there were no proxy.
//
// Spec says which proxies are believed (the setting TRUST_PROXY):
//
//   - "", "false" or "0": none. RemoteAddr is who connected.
//   - "1", "2", …: that many, whoever they are. The client is what the outermost
//     of them saw: the n-th address from the right of X-Forwarded-For. Right
//     only where nobody reaches the server but through them.
//   - "10.1.2.3, 10.0.0.0/24, loopback": those at these addresses, with
//     "loopback" for the machine itself. The client is the first address from
//     the right that is none of them. Visitors at such an address can claim any
//     other, so name the proxies and not the network that visitors live in.
//
// All X-Forwarded-For headers count as one list (RFC 9110, section 5.3), and
// what stands further left is never read: anybody can write it. An entry that
// is no address, or a list that is too short, leaves the last address that a
// believed proxy vouched for. Forwarded, X-Real-IP and the like are not read,
// since proxies pass on what a client wrote there.
//
// RemoteAddr becomes "203.0.113.7:0" or "[2001:db8::1]:0", because the port is
// the proxy's; zones are dropped, and an IPv4 address in IPv6 clothes becomes
// the IPv4 address. The request is copied, as [http.Handler] asks, and only
// where something changes.
//
// The first X-Forwarded-For that nobody is believed to have written is told to
// log (nil means [slog.Default]), because a site behind a forgotten proxy is
// one client to every rate limit. The error is of type [parley.Problems].
func ClientAddr(spec string, log *slog.Logger) (func(http.Handler) http.Handler, error) {
	trusted, err := parseProxies(spec)
	if err != nil {
		return nil, err
	}
	log = cmp.Or(log, slog.Default())
	var warn sync.Once
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			addr, scheme, believed := trusted.client(r)
			if !believed && len(r.Header[forwardedFor]) > 0 {
				warn.Do(func() {
					log.Warn("X-Forwarded-For is ignored, because it came from an address that is not trusted; "+
						"if a proxy of yours stands there, its visitors all count as one client until TRUST_PROXY names it",
						"peer", r.RemoteAddr, "write", "TRUST_PROXY=1 for one proxy, or its address")
				})
			}
			if addr != r.RemoteAddr || scheme != r.URL.Scheme {
				url := *r.URL
				url.Scheme = scheme
				r = r.WithContext(r.Context()) // a shallow copy
				r.RemoteAddr, r.URL = addr, &url
			}
			next.ServeHTTP(w, r)
		})
	}, nil
}

// The headers in which proxies say whom they speak for, in canonical form.
const (
	forwardedFor   = "X-Forwarded-For"
	forwardedProto = "X-Forwarded-Proto"
)

// maxHops is the most proxies that can be counted. A larger number is a mistake
// that would let anybody choose an address.
const maxHops = 10

// proxies are those that are believed: a number of them in a row, or the ones
// in some networks. The zero value is nobody.
type proxies struct {
	hops     int
	networks []netip.Prefix
}

func parseProxies(spec string) (proxies, error) {
	var p proxies
	var ps parley.Problems
	spec = strings.TrimSpace(spec)
	switch hops, err := strconv.Atoi(spec); {
	case spec == "", spec == "false":
		return p, nil
	case spec == "true", spec == "*":
		ps.Add("", "%q would let anybody choose an address; write how many proxies of yours a request passes, such as 1, or their addresses", spec)
		return p, ps.Err()
	case err == nil && (hops < 0 || hops > maxHops):
		ps.Add("", "%d is not a number of proxies; write how many of yours a request passes, from 0 to %d", hops, maxHops)
		return p, ps.Err()
	case err == nil:
		p.hops = hops
		return p, nil
	}
	for i, entry := range strings.Split(spec, ",") {
		networks, reason := parseNetwork(strings.TrimSpace(entry))
		if reason != "" {
			ps.Add(fmt.Sprintf("[%d]", i), "%q %s", strings.TrimSpace(entry), reason)
		}
		p.networks = append(p.networks, networks...)
	}
	return p, ps.Err()
}

// parseNetwork reads one entry of a list of proxies, or says what is wrong with it.
func parseNetwork(entry string) (networks []netip.Prefix, reason string) {
	if entry == "loopback" {
		return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, ""
	}
	if ip, err := netip.ParseAddr(entry); err == nil {
		ip = ip.Unmap().WithZone("")
		return []netip.Prefix{netip.PrefixFrom(ip, ip.BitLen())}, ""
	}
	network, err := netip.ParsePrefix(entry)
	switch {
	case err != nil:
		return nil, "is no address; write one like 10.0.0.5, a network like 10.0.0.0/24, or loopback; a number of proxies stands alone"
	case network.Bits() == 0:
		return nil, "is every address there is, so anybody could choose one; write the addresses of your proxies"
	case network.Addr().Is4In6():
		return nil, "is an IPv4 network in IPv6 clothes; write it as IPv4, like 10.0.0.0/24"
	case network != network.Masked():
		return nil, "has bits behind its length; write " + network.Masked().String()
	}
	return []netip.Prefix{network}, ""
}

// client returns the address with which a request began and the scheme that it
// was made with, empty if unknown, as far as anybody believed says so.
// Otherwise they are what the connection says.
func (p proxies) client(r *http.Request) (addr, scheme string, believed bool) {
	peer, _ := parseAddr(r.RemoteAddr)
	if p.hops == 0 && !p.contain(peer) {
		return r.RemoteAddr, "", false
	}
	client, hops := peer, 0
	for entry := range fromRight(r.Header[forwardedFor]) {
		hops++
		ip, ok := parseAddr(entry)
		if ok {
			client = ip
		}
		if hops == p.hops || (p.hops == 0 && !p.contain(ip)) {
			break
		}
	}
	addr = r.RemoteAddr
	if client != peer {
		addr = netip.AddrPortFrom(client, 0).String()
	}
	return addr, forwardedScheme(r.Header[forwardedProto], hops), true
}

func (p proxies) contain(ip netip.Addr) bool {
	return slices.ContainsFunc(p.networks, func(n netip.Prefix) bool { return n.Contains(ip) })
}

// forwardedScheme returns what the outermost of the believed proxies that a
// request passed says about how the client reached it. Some proxies keep a list
// and some only the last word, so a list may be shorter than the way was.
func forwardedScheme(lines []string, hops int) string {
	scheme := ""
	for entry := range fromRight(lines) {
		scheme = strings.ToLower(entry)
		if hops--; hops <= 0 {
			break
		}
	}
	if scheme != "http" && scheme != "https" {
		return ""
	}
	return scheme
}

// fromRight yields the entries of a list that stands in one or more header
// lines, the last one first. Empty entries do not count (RFC 9110, section
// 5.6.1.2).
func fromRight(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range slices.Backward(lines) {
			for line != "" {
				comma := strings.LastIndexByte(line, ',')
				entry := strings.TrimSpace(line[comma+1:])
				line = line[:max(comma, 0)]
				if entry != "" && !yield(entry) {
					return
				}
			}
		}
	}
}

// parseAddr reads an address, with or without brackets and a port, all of
// which proxies write.
func parseAddr(s string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		s = strings.TrimSuffix(inner, "]")
	}
	ip, err := netip.ParseAddr(s)
	return ip.Unmap().WithZone(""), err == nil
}
