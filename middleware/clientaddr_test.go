package middleware_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	chi "github.com/go-chi/chi/v5/middleware"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/middleware"
)

// forwarded is a request from peer with lines of X-Forwarded-For.
func forwarded(peer string, lines ...string) *http.Request {
	r := httptest.NewRequest("POST", "/chat", nil)
	r.RemoteAddr = peer
	r.Header["X-Forwarded-For"] = lines
	return r
}

// through returns what turns a request into the one that a handler inside
// ClientAddr sees.
func through(t testing.TB, spec string) func(*http.Request) *http.Request {
	t.Helper()
	clientAddr, err := middleware.ClientAddr(spec, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("ClientAddr(%q): %v", spec, err)
	}
	return func(r *http.Request) (seen *http.Request) {
		h := clientAddr(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r }))
		h.ServeHTTP(httptest.NewRecorder(), r)
		return seen
	}
}

func TestClientAddr(t *testing.T) {
	for _, test := range []struct {
		name, spec, peer string
		lines            []string
		want             string
	}{
		{"nobody is believed", "", "198.51.100.1:4000", []string{"203.0.113.7"}, "198.51.100.1:4000"},
		{"false", "false", "198.51.100.1:4000", []string{"203.0.113.7"}, "198.51.100.1:4000"},
		{"0", "0", "198.51.100.1:4000", []string{"203.0.113.7"}, "198.51.100.1:4000"},

		{"one proxy", "1", "10.0.0.1:4000", []string{"203.0.113.7"}, "203.0.113.7:0"},
		{"one proxy, no header", "1", "10.0.0.1:4000", nil, "10.0.0.1:4000"},
		{"one proxy, forged entry", "1", "10.0.0.1:4000", []string{"6.6.6.6, 203.0.113.7"}, "203.0.113.7:0"},
		{"one proxy, forged line", "1", "10.0.0.1:4000", []string{"6.6.6.6", "203.0.113.7"}, "203.0.113.7:0"},
		{"one proxy, spaces", " 1 ", "10.0.0.1:4000", []string{"6.6.6.6 ,\t203.0.113.7 "}, "203.0.113.7:0"},
		{"one proxy, empty entries", "1", "10.0.0.1:4000", []string{"6.6.6.6,, 203.0.113.7, ,", ""}, "203.0.113.7:0"},
		{"one proxy, garbage", "1", "10.0.0.1:4000", []string{"6.6.6.6, unknown"}, "10.0.0.1:4000"},
		{"one proxy, IPv6", "1", "[fd00::1]:4000", []string{"2001:db8::7"}, "[2001:db8::7]:0"},
		{"one proxy, brackets", "1", "10.0.0.1:4000", []string{"[2001:db8::7]"}, "[2001:db8::7]:0"},
		{"one proxy, port", "1", "10.0.0.1:4000", []string{"203.0.113.7:5050"}, "203.0.113.7:0"},
		{"one proxy, IPv6 with port", "1", "10.0.0.1:4000", []string{"[2001:db8::7]:5050"}, "[2001:db8::7]:0"},
		{"one proxy, zone", "1", "10.0.0.1:4000", []string{"fe80::7%eth0"}, "[fe80::7]:0"},
		{"one proxy, IPv4 in IPv6", "1", "10.0.0.1:4000", []string{"::ffff:203.0.113.7"}, "203.0.113.7:0"},
		{"one proxy on a Unix socket", "1", "@", []string{"203.0.113.7"}, "203.0.113.7:0"},

		{"two proxies", "2", "10.0.0.1:4000", []string{"6.6.6.6, 203.0.113.7, 10.0.0.2"}, "203.0.113.7:0"},
		{"two proxies, one was gone round", "2", "10.0.0.1:4000", []string{"203.0.113.7"}, "203.0.113.7:0"},
		{"two proxies, the outer garbled", "2", "10.0.0.1:4000", []string{"6.6.6.6, ???, 10.0.0.2"}, "10.0.0.2:0"},
		{"two proxies, the inner nameless", "2", "10.0.0.1:4000", []string{"203.0.113.7, unix:"}, "203.0.113.7:0"},

		{"network", "10.0.0.0/8", "10.0.0.1:4000", []string{"6.6.6.6, 203.0.113.7, 10.9.9.9"}, "203.0.113.7:0"},
		{"network, foreign peer", "10.0.0.0/8", "198.51.100.1:4000", []string{"203.0.113.7"}, "198.51.100.1:4000"},
		{"network, garbage", "10.0.0.0/8", "10.0.0.1:4000", []string{"6.6.6.6, x, 10.9.9.9"}, "10.9.9.9:0"},
		{"network, only proxies", "10.0.0.0/8", "10.0.0.1:4000", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3:0"},
		{"network, proxy in IPv6 clothes", "10.0.0.0/8", "[::ffff:10.0.0.1]:4000", []string{"203.0.113.7, ::ffff:10.0.0.2"}, "203.0.113.7:0"},
		{"network, zone on a proxy", "fe80::/64", "[fe80::1%eth0]:4000", []string{"203.0.113.7, fe80::2%eth1"}, "203.0.113.7:0"},
		{"addresses", "192.0.2.1, 2001:db8::1", "[2001:db8::1]:4000", []string{"203.0.113.7, 192.0.2.1"}, "203.0.113.7:0"},
		{"loopback", "loopback", "127.0.0.1:4000", []string{"203.0.113.7"}, "203.0.113.7:0"},
		{"loopback over IPv6", "loopback", "[::1]:4000", []string{"203.0.113.7"}, "203.0.113.7:0"},
		{"loopback, foreign peer", "loopback", "128.0.0.1:4000", []string{"203.0.113.7"}, "128.0.0.1:4000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := forwarded(test.peer, test.lines...)
			if got := through(t, test.spec)(r).RemoteAddr; got != test.want {
				t.Errorf("RemoteAddr is %s, want %s", got, test.want)
			}
			if r.RemoteAddr != test.peer || r.URL.Scheme != "" {
				t.Errorf("the request that came in was changed: RemoteAddr %s, scheme %q", r.RemoteAddr, r.URL.Scheme)
			}
		})
	}
}

func TestClientAddrTellsWhatIsWrong(t *testing.T) {
	for _, test := range []struct {
		spec string
		want []string // parts of the error
	}{
		{"true", []string{"anybody", "such as 1"}},
		{"*", []string{"anybody"}},
		{"-1", []string{"from 0 to 10"}},
		{"3001", []string{"from 0 to 10"}},
		{"nginx", []string{`[0]: "nginx" is no address`}},
		{"10.0.0.0/33", []string{"is no address"}},
		{"10.0.0.5/8", []string{"write 10.0.0.0/8"}},
		{"0.0.0.0/0", []string{"every address"}},
		{"::/0", []string{"every address"}},
		{"::ffff:10.0.0.0/104", []string{"as IPv4"}},
		{"loopback,", []string{`[1]: ""`}},
		{"1, 10.0.0.0/8, nginx, ::/0", []string{"[0]", "a number of proxies stands alone", "[2]", "[3]"}},
	} {
		t.Run(test.spec, func(t *testing.T) {
			_, err := middleware.ClientAddr(test.spec, nil)
			var problems parley.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("error %v of type %T, want parley.Problems", err, err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

// TestSchemeOfTheClient looks at what a bot is told of the server's address.
func TestSchemeOfTheClient(t *testing.T) {
	for _, test := range []struct {
		name, spec string
		addrs      []string
		protos     []string
		want       string
	}{
		{"nobody is believed", "", []string{"203.0.113.7"}, []string{"https"}, "http://chat.example.com"},
		{"one proxy", "1", []string{"203.0.113.7"}, []string{"https"}, "https://chat.example.com"},
		{"one proxy, plain", "1", []string{"203.0.113.7"}, []string{"http"}, "http://chat.example.com"},
		{"one proxy, no word", "1", []string{"203.0.113.7"}, nil, "http://chat.example.com"},
		{"one proxy, capitals", "1", []string{"203.0.113.7"}, []string{"HTTPS"}, "https://chat.example.com"},
		{"one proxy, no list of addresses", "1", nil, []string{"https"}, "https://chat.example.com"},
		{"one proxy, forged entry", "1", []string{"203.0.113.7"}, []string{"https, http"}, "http://chat.example.com"},
		{"one proxy, forged line", "1", []string{"203.0.113.7"}, []string{"https", "http"}, "http://chat.example.com"},
		{"one proxy, garbage", "1", []string{"203.0.113.7"}, []string{"gopher"}, "http://chat.example.com"},
		{"two proxies, TLS at the outer", "2", []string{"203.0.113.7, 10.0.0.2"}, []string{"https, http"}, "https://chat.example.com"},
		{"two proxies, one word", "2", []string{"203.0.113.7, 10.0.0.2"}, []string{"https"}, "https://chat.example.com"},
		{"two proxies, forged", "2", []string{"6.6.6.6, 203.0.113.7, 10.0.0.2"}, []string{"https, http, http"}, "http://chat.example.com"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := setup{proxies: test.spec}.handler(t, parley.Config{Bot: sayBaseURL})
			r := message("hello")
			r.Host = "chat.example.com"
			r.Header["X-Forwarded-For"] = test.addrs
			r.Header["X-Forwarded-Proto"] = test.protos
			w := serve(h, r)
			if want := fmt.Sprintf(`{"output":%q}`, test.want); strings.TrimSpace(w.Body.String()) != want {
				t.Errorf("the bot was told %s, want %s", w.Body, want)
			}
		})
	}
}

// TestSchemeInTheRequestLineIsNotBelieved sends what only a proxy's client does:
// GET https://host/path.
func TestSchemeInTheRequestLineIsNotBelieved(t *testing.T) {
	r := forwarded("198.51.100.1:4000")
	r.URL.Scheme = "https"
	if got := through(t, "")(r).URL.Scheme; got != "" {
		t.Errorf("the scheme is %q, want none", got)
	}
}

func TestForgottenProxyIsToldOnce(t *testing.T) {
	for _, test := range []struct {
		spec string
		want int
	}{{"", 1}, {"10.0.0.0/8", 1}, {"1", 0}} {
		t.Run("TRUST_PROXY="+test.spec, func(t *testing.T) {
			var log bytes.Buffer
			clientAddr, err := middleware.ClientAddr(test.spec, slog.New(slog.NewJSONHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			h := clientAddr(http.NotFoundHandler())
			h.ServeHTTP(httptest.NewRecorder(), forwarded("198.51.100.1:4000"))
			if log.Len() > 0 {
				t.Errorf("a request without X-Forwarded-For was told of: %s", &log)
			}
			for range 3 {
				h.ServeHTTP(httptest.NewRecorder(), forwarded("198.51.100.1:4000", "203.0.113.7"))
			}
			if got := strings.Count(log.String(), "TRUST_PROXY=1"); got != test.want {
				t.Errorf("told %d times, want %d: %s", got, test.want, &log)
			}
		})
	}
}

// spoofs are the ways in which clients claim to be somebody else.
func spoofs(i int) http.Header {
	v4, v6 := fmt.Sprintf("203.0.%d.%d", i/256, i%256), fmt.Sprintf("2001:db8:%x::1", i)
	return []http.Header{
		{"X-Forwarded-For": {v4}},
		{"X-Forwarded-For": {v6}},
		{"X-Forwarded-For": {v4, v6, "127.0.0.1"}},
		{"X-Forwarded-For": {"::ffff:" + v4}},
		{"X-Forwarded-For": {v6 + "%eth0"}},
		{"X-Forwarded-For": {",,, " + v4 + ", ,"}},
		{"X-Forwarded-For": {strings.Repeat(v4+", ", 1000) + v6}},
		{"X-Forwarded-For": {strings.Repeat("x", 16<<10)}},
		{"Forwarded": {"for=" + v4 + ";proto=https"}},
		{"X-Real-Ip": {v4}},
		{"Cf-Connecting-Ip": {v4}},
		{"True-Client-Ip": {v4}},
		{"X-Client-Ip": {v4}},
		{"X-Cluster-Client-Ip": {v6}},
		{"Fastly-Client-Ip": {v4}},
		{"X-Forwarded": {v4}, "Forwarded-For": {v4}, "Via": {v4}},
	}[i%16]
}

// TestSpoofedAddressesAreOneClient floods the chat from one address under a new
// name each time, as a client of the server and as one of a proxy that appends
// the address which it sees.
func TestSpoofedAddressesAreOneClient(t *testing.T) {
	for _, test := range []struct{ name, proxies, appended string }{
		{"default settings", "", ""},
		{"one proxy", "1", "198.51.100.7"},
		{"proxies by network", "10.0.0.0/8", "198.51.100.7"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := setup{proxies: test.proxies}.handler(t, parley.Config{Bot: echo})
			passed := 0
			for i := range 320 {
				r := message(fmt.Sprint("prompt ", i))
				for name, values := range spoofs(i) {
					r.Header[name] = values
				}
				r.RemoteAddr = fmt.Sprintf("198.51.100.7:%d", 1024+i)
				if test.appended != "" {
					r.RemoteAddr = fmt.Sprintf("10.0.0.%d:4000", i%4)
					r.Header.Add("X-Forwarded-For", test.appended)
				}
				switch w := serve(h, r); w.Code {
				case http.StatusOK:
					passed++
				case http.StatusTooManyRequests:
				default:
					t.Fatalf("answered %d %s, want 200 or 429", w.Code, w.Body)
				}
			}
			if passed != 100 {
				t.Errorf("%d requests of one client passed, want 100", passed)
			}
		})
	}
}

// FuzzClientAddr holds ClientAddr against chi's middleware of the same purpose.
// Where chi names an address, it must be ours. Where it names none, because the
// list is too short, an entry is no address, or one has a port, ours is an
// address that a believed proxy vouched for.
func FuzzClientAddr(f *testing.F) {
	for _, lines := range []string{
		"203.0.113.7", "6.6.6.6, 203.0.113.7", "6.6.6.6\n203.0.113.7, 10.0.0.2", "a,,b", "::ffff:203.0.113.7, 10.1.1.1",
		"fe80::1%eth0, 10.0.0.3", "[2001:db8::1]:80, 1.2.3.4:5", "unknown, 10.0.0.1", ",", "\n\n", "1.2.3.4,\u00a05.6.7.8", "01.2.3.4", "10.0.0.1,10.0.0.2",
	} {
		f.Add(uint8(1), "10.0.0.1:4000", lines)
		f.Add(uint8(0), "[::ffff:10.0.0.1]:4000", lines)
		f.Add(uint8(2), "198.51.100.1:4000", lines)
	}
	const networks = "10.0.0.0/8, fe80::/64"
	ours := []func(*http.Request) *http.Request{through(f, networks), through(f, "1"), through(f, "2"), through(f, "3")}
	theirs := []func(http.Handler) http.Handler{chi.ClientIPFromXFF(strings.Split(networks, ", ")...)}
	for hops := 1; hops < len(ours); hops++ {
		theirs = append(theirs, chi.ClientIPFromXFFTrustedProxies(hops))
	}
	f.Fuzz(func(t *testing.T, hops uint8, peer, text string) {
		if _, err := netip.ParseAddrPort(peer); err != nil {
			t.Skip("net/http sets no such address")
		}
		hops %= uint8(len(ours))
		lines := strings.Split(text, "\n")
		r := forwarded(peer, lines...)
		got := ours[hops](r).RemoteAddr
		if got != peer {
			ap, err := netip.ParseAddrPort(got)
			if err != nil || ap.Addr().Is4In6() || ap.Addr().Zone() != "" || ap.Port() != 0 {
				t.Fatalf("RemoteAddr is %q, want a plain address and port 0", got)
			}
		}
		var want netip.Addr
		theirs[hops](http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			want = chi.GetClientIPAddr(r.Context())
		})).ServeHTTP(httptest.NewRecorder(), r)
		if client := netip.MustParseAddrPort(got).Addr().Unmap().WithZone(""); want.IsValid() && client != want.WithZone("") {
			t.Errorf("the client is %v, and chi says %v", client, want)
		}
		// Whatever a client writes to the left of what proxies wrote changes nothing.
		if want.IsValid() {
			forged := append([]string{"6.6.6.6, [::1]:1, x"}, lines...)
			if again := ours[hops](forwarded(peer, forged...)).RemoteAddr; again != got {
				t.Errorf("a forged header changed the client from %s to %s", got, again)
			}
		}
	})
}

func TestHugeListsAllocateNoMore(t *testing.T) {
	clientAddr, err := middleware.ClientAddr("1", nil)
	if err != nil {
		t.Fatal(err)
	}
	h := clientAddr(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	allocs := func(r *http.Request) float64 {
		return testing.AllocsPerRun(100, func() { h.ServeHTTP(nil, r) })
	}
	short, long := allocs(forwarded("10.0.0.1:4000", "203.0.113.7")), allocs(forwarded("10.0.0.1:4000", strings.Repeat("6.6.6.6, ", 100_000)+"203.0.113.7"))
	if long > short {
		t.Errorf("a long list costs %v allocations, a short one %v; want the same", long, short)
	}
}

func decode(t testing.TB, data []byte) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatalf("%q is no JSON object: %v", data, err)
	}
	return object
}
