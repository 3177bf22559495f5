package main

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/parley-chat/parley"
)

// flood sends n requests from 64 goroutines, as fast as it can, and returns how
// many were answered with each status.
func flood(c *chain, n int, request func(i int) *http.Request) map[int]int {
	const floods = 64
	var next atomic.Int64
	var mu sync.Mutex
	var group sync.WaitGroup
	statuses := map[int]int{}
	for range floods {
		group.Go(func() {
			mine := map[int]int{}
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				mine[c.answer(request(i)).Code]++
			}
			mu.Lock()
			defer mu.Unlock()
			for status, count := range mine {
				statuses[status] += count
			}
		})
	}
	group.Wait()
	return statuses
}

// message is the i-th message of a flood, from an address. No two are the same.
func message(i int, addr string, headers ...string) *http.Request {
	r := jsonRequest("POST", "/chat", fmt.Sprintf(`{"prompt": "message %d", "session_id": null}`, i), headers...)
	r.RemoteAddr = addr
	return r
}

// contact is a filled-in form, from an address.
func contact(addr string) *http.Request {
	r := jsonRequest("POST", "/contact-form", goodContact)
	r.RemoteAddr = addr
	return r
}

// wantPassed checks that of n requests exactly so many passed and the others
// were refused.
func wantPassed(t *testing.T, what string, statuses map[int]int, passed, n int) {
	t.Helper()
	if statuses[http.StatusOK] != passed || statuses[http.StatusTooManyRequests] != n-passed {
		t.Errorf("%s: the statuses are %v; want %d of %d to pass with 200 and all others to get 429", what, statuses, passed, n)
	}
}

// many is how many requests a flood has.
func many(n int) int {
	if testing.Short() {
		return n / 16
	}
	return n
}

const (
	addrA = "192.0.2.1:1000"
	addrB = "192.0.2.2:1000"
)

func TestFloodFromOneAddress(t *testing.T) {
	c := newChain(t, nil, nil)
	n := many(6400)
	wantPassed(t, "one address", flood(c, n, func(i int) *http.Request {
		return message(i, "192.0.2.1:"+strconv.Itoa(i)) // a port each
	}), 100, n)
	wantPassed(t, "another address", flood(c, 101, func(i int) *http.Request { return message(n+i, addrB) }), 100, 101)

	w := c.answer(message(0, addrA))
	after, errAfter := strconv.Atoi(w.Header().Get("Retry-After"))
	if w.Code != http.StatusTooManyRequests || errAfter != nil || after < 1 || after > 900 {
		t.Errorf("the next message gets %d with Retry-After %q; want 429 with the seconds to wait, 900 at most", w.Code, w.Header().Get("Retry-After"))
	}
	if want := `{"error":"Too many chat requests, please try again later."}` + "\n"; w.Body.String() != want {
		t.Errorf("the next message gets %s; want %s", w.Body, want)
	}
	t.Logf("%d messages from 64 goroutines, 100 passed", n)
}

// TestFloodIsCounted is the control: without limits, everything passes.
func TestFloodIsCounted(t *testing.T) {
	c := newChain(t, nil, nil, "RATE_LIMIT=0", "RATE_LIMIT_FORMS=0")
	wantPassed(t, "no limit", flood(c, 640, func(i int) *http.Request { return message(i, addrA) }), 640, 640)
	wantPassed(t, "no limit of forms", flood(c, 64, func(int) *http.Request { return contact(addrA) }), 64, 64)
}

// TestFloodFromOneNetwork comes from as many addresses as one subscriber of
// IPv6 can use within a moment.
func TestFloodFromOneNetwork(t *testing.T) {
	c := newChain(t, nil, nil)
	n := many(65_536)
	wantPassed(t, "a /56", flood(c, n, func(i int) *http.Request {
		return message(i, fmt.Sprintf("[2001:db8:0:aa%02x:%x::1]:1000", i%256, i/256))
	}), 100, n)
	wantPassed(t, "the /56 beside it", flood(c, 101, func(i int) *http.Request {
		return message(n+i, "[2001:db8:0:ab00::1]:1000")
	}), 100, 101)
	t.Logf("%d addresses of one /56, 100 passed", n)
}

func TestFloodInDisguise(t *testing.T) {
	n := many(3200)
	for name, tc := range map[string]struct {
		proxies string
		request func(i int) *http.Request
	}{
		"with every header there is": {"", func(i int) *http.Request {
			ip := fmt.Sprintf("203.0.%d.%d", i/256, i%256)
			return message(i, addrA,
				"X-Forwarded-For", ip, "Forwarded", "for="+ip, "X-Real-Ip", ip, "Cf-Connecting-Ip", ip, "True-Client-Ip", ip,
				"X-Client-Ip", ip, "X-Cluster-Client-Ip", ip, "Fastly-Client-Ip", ip, "X-Forwarded", ip, "Forwarded-For", ip,
				"X-Original-Forwarded-For", ip, "X-Originating-Ip", ip, "X-Remote-Ip", ip, "X-Remote-Addr", ip, "Client-Ip", ip, "Via", "1.1 "+ip)
		}},
		"behind a proxy, with its header begun": {"1", func(i int) *http.Request {
			ip := fmt.Sprintf("203.0.%d.%d", i/256, i%256)
			return message(i, "10.0.0.1:1000", "X-Forwarded-For", ip+", 198.51.100.7", "Forwarded", "for="+ip, "X-Real-Ip", ip)
		}},
		"behind a proxy, in two lines": {"1", func(i int) *http.Request {
			r := message(i, "10.0.0.1:1000")
			r.Header["X-Forwarded-For"] = []string{fmt.Sprintf("203.0.%d.%d", i/256, i%256), "198.51.100.7"}
			return r
		}},
		"behind a named proxy, with addresses of it": {"10.0.0.0/8", func(i int) *http.Request {
			return message(i, "10.0.0.1:1000", "X-Forwarded-For", fmt.Sprintf("203.0.113.9, 198.51.100.7, 10.%d.0.1", i%256))
		}},
		"past a named proxy": {"10.0.0.0/8", func(i int) *http.Request {
			return message(i, addrA, "X-Forwarded-For", fmt.Sprintf("203.0.%d.%d", i/256, i%256))
		}},
		"behind a proxy, as no address": {"1", func(i int) *http.Request {
			return message(i, "10.0.0.1:1000", "X-Forwarded-For", fmt.Sprintf("203.0.113.9, unknown-%d", i))
		}},
		"as IPv4, and as that in IPv6": {"", func(i int) *http.Request {
			return message(i, [...]string{addrA, "[::ffff:192.0.2.1]:1000", "[::ffff:c000:201]:1000"}[i%3])
		}},
		"behind a proxy, as IPv4 in all ways": {"1", func(i int) *http.Request {
			return message(i, "10.0.0.1:1000", "X-Forwarded-For", [...]string{
				"198.51.100.7", "198.51.100.7:4711", "::ffff:198.51.100.7", "[::ffff:198.51.100.7]:4711", "::FFFF:C633:6407", " 198.51.100.7 ,",
			}[i%6])
		}},
		"with a zone": {"", func(i int) *http.Request {
			return message(i, fmt.Sprintf("[fe80::1%%eth%d]:1000", i))
		}},
		"behind a proxy, with a zone": {"1", func(i int) *http.Request {
			return message(i, "10.0.0.1:1000", "X-Forwarded-For", fmt.Sprintf("fe80::1%%25eth%d, fe80::1%%eth%d", i, i))
		}},
		"as other sessions, pages and browsers": {"", func(i int) *http.Request {
			r := jsonRequest("POST", "/chat", fmt.Sprintf(`{"prompt": "Hello", "session_id": "session-%d"}`, i),
				"Origin", fmt.Sprintf("http://localhost:%d", 1024+i), "User-Agent", strconv.Itoa(i), "Idempotency-Key", strconv.Itoa(i),
				"Cookie", fmt.Sprintf("id=%d", i), "Authorization", fmt.Sprintf("Bearer %d", i), "X-Request-Id", strconv.Itoa(i))
			r.Host = fmt.Sprintf("host-%d.example", i)
			r.URL.RawQuery = strconv.Itoa(i)
			r.RemoteAddr = addrA
			return r
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChain(t, nil, nil, "TRUST_PROXY="+tc.proxies)
			wantPassed(t, name, flood(c, n, tc.request), 100, n)
		})
	}
}

// TestClientsBehindAProxyAreToldApart is the other half: who a trusted proxy
// speaks for is counted alone, whichever proxy of the site it comes by.
func TestClientsBehindAProxyAreToldApart(t *testing.T) {
	for _, proxies := range []string{"1", "10.0.0.0/8", "loopback, 10.0.0.1, 10.0.0.2"} {
		t.Run(proxies, func(t *testing.T) {
			c := newChain(t, nil, nil, "TRUST_PROXY="+proxies)
			const clients = 5
			for client := range clients {
				wantPassed(t, fmt.Sprint("client ", client), flood(c, 200, func(i int) *http.Request {
					return message(client*1000+i, fmt.Sprintf("10.0.0.%d:1000", 1+i%2), "X-Forwarded-For", fmt.Sprintf("198.51.100.%d", client))
				}), 100, 200)
			}
		})
	}
}

func TestFormsHaveTheirOwnLimit(t *testing.T) {
	c := newChain(t, nil, nil)
	wantPassed(t, "messages", flood(c, 200, func(i int) *http.Request { return message(i, addrA) }), 100, 200)
	wantPassed(t, "forms of who may send no more messages", flood(c, 200, func(i int) *http.Request {
		if i%2 == 0 {
			r := jsonRequest("POST", "/forms/survey", goodSurvey)
			r.RemoteAddr = addrA
			return r
		}
		return contact(addrA)
	}), 20, 200)
	wantPassed(t, "forms of another", flood(c, 200, func(int) *http.Request { return contact(addrB) }), 20, 200)
	wantPassed(t, "messages of who may send no more forms", flood(c, 200, func(i int) *http.Request { return message(1000+i, addrB) }), 100, 200)
}

// TestFloodStoresNothing sees to it that what is refused costs nothing but the
// refusal: no turn, no submission.
func TestFloodStoresNothing(t *testing.T) {
	var stored atomic.Int64
	store := &faultyStore{parley.NewMemory(), func() error { stored.Add(1); return nil }}
	c := newChain(t, nil, store)
	flood(c, 1000, func(i int) *http.Request { return message(i, addrA) })
	flood(c, 1000, func(int) *http.Request { return contact(addrA) })
	if got := stored.Load(); got != 120 {
		t.Errorf("the store was asked %d times; want 120, for 100 messages and 20 forms", got)
	}
}
