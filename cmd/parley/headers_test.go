package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/widget"
)

// safe is what every answer must carry, word for word; what is empty must be
// absent. Pages have a Content-Security-Policy of their own: see checkPolicy.
var safe = map[string]string{
	"Content-Security-Policy":           "default-src 'none'; frame-ancestors 'none'",
	"Cross-Origin-Opener-Policy":        "same-origin",
	"Cross-Origin-Resource-Policy":      "cross-origin",
	"Origin-Agent-Cluster":              "?1",
	"Referrer-Policy":                   "no-referrer",
	"X-Content-Type-Options":            "nosniff",
	"X-Frame-Options":                   "DENY",
	"X-Dns-Prefetch-Control":            "off",
	"X-Download-Options":                "noopen",
	"X-Permitted-Cross-Domain-Policies": "none",
	"X-Xss-Protection":                  "0",
	"Server":                            "",
	"X-Powered-By":                      "",
	"Access-Control-Allow-Credentials":  "",
}

// A cell is a route and a status that it can have, and the request that gets it.
type cell struct {
	route   string // as it is registered
	status  int
	server  string // which of the servers answers
	why     string
	request func() *http.Request
	file    bool // a page or a file of one, which is no part of the chat's interface
	public  bool // a file that pages of every site load
}

// name tells the cell from others.
func (c cell) name() string { return fmt.Sprintf("%s, %d, %s", c.route, c.status, c.why) }

// The bodies that routes take.
const (
	goodPrompt  = `{"prompt": "Hello", "session_id": null}`
	goodContact = `{"name": "Ada", "email": "ada@example.com", "message": "Hello"}`
	goodSurvey  = `{"color": "green"}`
)

// crawl returns a cell for everything that the server can answer: every route,
// with every status that it has a reason for.
func crawl(t *testing.T, servers map[string]*chain) []cell {
	t.Helper()
	var cells []cell
	add := func(server, route string, status int, why string, request func() *http.Request) {
		cells = append(cells, cell{route: route, status: status, server: server, why: why, request: request})
	}
	ask := func(server, route, method, path, body string, status int, why string, headers ...string) {
		add(server, route, status, why, func() *http.Request { return jsonRequest(method, path, body, headers...) })
	}
	token := func(name string) string {
		var body map[string]string
		w := servers["usual"].answer(jsonRequest("POST", "/session", "{}"))
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body[name] == "" {
			t.Fatalf("POST /session gets %d %s; want a %s", w.Code, w.Body, name)
		}
		return body[name]
	}
	preflight := []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type"}

	// What visitors post to.
	for _, r := range []struct{ route, path, good string }{
		{"/chat", "/chat", goodPrompt},
		{"/session", "/session", "{}"},
		{"/contact-form", "/contact-form", goodContact},
		{"/forms/{id}", "/forms/survey", goodSurvey},
	} {
		ask("usual", r.route, "POST", r.path, r.good, 200, "good")
		ask("usual", r.route, "OPTIONS", r.path, "", 204, "preflight", preflight...)
		ask("usual", r.route, "OPTIONS", r.path, "", 204, "options")
		ask("usual", r.route, "POST", r.path, "{", 400, "no JSON")
		ask("usual", r.route, "POST", r.path, r.good, 403, "forged CSRF token", "X-Csrftoken", "forged")
		ask("required", r.route, "POST", r.path, r.good, 403, "no CSRF token")
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH", "TRACE", "BREW"} {
			ask("usual", r.route, method, r.path, "", 405, method)
		}
		add("usual", r.route, 413, "large", func() *http.Request {
			return httptestRequest("POST", r.path, io.LimitReader(whiteSpace{}, 300<<10))
		})
		ask("usual", r.route, "POST", r.path, r.good, 415, "no JSON type", "Content-Type", "text/plain")
		ask("usual", r.route, "POST", r.path, r.good, 415, "compressed", "Content-Encoding", "gzip")
		ask("spent", r.route, "POST", r.path, r.good, 429, "too many")
		add("usual", r.route, 500, "the handler panics", func() *http.Request {
			return httptestRequest("POST", r.path, breakingBody{})
		})
	}
	for _, r := range []struct{ route, path, good string }{
		{"/chat", "/chat", goodPrompt},
		{"/contact-form", "/contact-form", goodContact},
		{"/forms/{id}", "/forms/survey", goodSurvey},
	} {
		ask("broken store", r.route, "POST", r.path, r.good, 500, "the store fails")
		ask("full store", r.route, "POST", r.path, r.good, 503, "the store is full")
	}
	ask("usual", "/chat", "POST", "/chat", `{"prompt": "panic", "session_id": null}`, 500, "the bot panics")
	ask("usual", "/chat", "POST", "/chat", `{"prompt": "fail", "session_id": null}`, 500, "the bot fails")
	ask("usual", "/chat", "POST", "/chat", `{"prompt": "long", "session_id": null}`, 200, "long enough to compress")
	ask("usual", "/chat", "POST", "/chat", `{"prompt": "form", "session_id": null}`, 200, "interactive")
	ask("usual", "/chat", "POST", "/chat", goodPrompt, 200, "streamed", "Accept", "text/event-stream")
	ask("usual", "/chat", "POST", "/chat", `{}`, 400, "no prompt")
	ask("usual", "/chat", "POST", "/chat", goodPrompt, 403, "forged session token", "X-Parley-Session", "v1.forged")
	ask("stopping", "/chat", "POST", "/chat", goodPrompt, 503, "stopping")
	ask("usual", "/chat", "POST", "/chat", `{"prompt": "one", "session_id": "key"}`, 200, "first of a key", "Idempotency-Key", "k")
	ask("usual", "/chat", "POST", "/chat", `{"prompt": "two", "session_id": "key"}`, 422, "another with the key", "Idempotency-Key", "k")
	ask("usual", "/contact-form", "POST", "/contact-form", `{}`, 400, "nothing filled in")
	ask("usual", "/forms/{id}", "POST", "/forms/none", goodSurvey, 404, "no such form")

	// What clients and operators read.
	session := token("session_token")
	for _, r := range []struct {
		route   string
		status  int
		headers []string
	}{
		{"/health", 200, nil}, {"/ready", 200, nil}, {"/openapi.json", 200, nil}, {"/csrf-token", 200, nil},
		{"/history", 200, []string{"X-Parley-Session", session}}, {"/stream", 204, []string{"X-Parley-Session", session}},
	} {
		ask("usual", r.route, "GET", r.route, "", r.status, "good", r.headers...)
		ask("usual", r.route, "HEAD", r.route, "", r.status, "HEAD", r.headers...)
		ask("usual", r.route, "OPTIONS", r.route, "", 204, "preflight", preflight...)
		ask("usual", r.route, "OPTIONS", r.route, "", 204, "options")
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"} {
			ask("usual", r.route, method, r.route, "{}", 405, method)
		}
	}
	ask("stopping", "/ready", "GET", "/ready", "", 503, "stopping")
	ask("broken store", "/ready", "GET", "/ready", "", 503, "the store fails")
	ask("panicking store", "/ready", "GET", "/ready", "", 500, "the handler panics")
	ask("bare", "/csrf-token", "GET", "/csrf-token", "", 404, "no secret")
	ask("usual", "/history", "GET", "/history?limit=x", "", 400, "no number", "X-Parley-Session", session)
	for _, path := range []string{"/history", "/stream"} {
		ask("usual", path, "GET", path, "", 403, "no session token")
		ask("usual", path, "GET", path, "", 403, "forged CSRF token", "X-Parley-Session", session, "X-Csrf-Token", "forged")
		ask("spent", path, "GET", path, "", 429, "too many", "X-Parley-Session", session)
	}

	// Where there is nothing, and where there is a better address.
	for _, path := range []string{"/none", "/.env", "/chat/", "/forms", "/forms/", "/forms/a/b", "/index.php", "/%0d%0aSet-Cookie:%20a=b"} {
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS", "DELETE", "BREW"} {
			ask("usual", "/", method, path, "", 404, method+" "+path)
		}
	}
	ask("bare", "/", "GET", "/", "", 404, "no demo page")
	ask("bare", "/", "GET", "/site/page.js", "", 404, "no demo page")
	for _, path := range []string{"//health", "/chat/../health", "/site", "/sample"} {
		ask("usual", "/", "GET", path, "", 307, path)
	}
	ask("usual", "/", "OPTIONS", "*", "", 400, "the server as a whole")

	return slices.Concat(cells, crawlPages(t, servers["usual"]), crawlWidget(t, servers["usual"]))
}

// crawlPages returns the cells of pages and their files.
func crawlPages(t *testing.T, usual *chain) []cell {
	var cells []cell
	add := func(method, path string, status int, why string, headers ...string) {
		route := "/{$}"
		if path != "/" {
			route = "/" + strings.Split(path, "/")[1] + "/"
		}
		cells = append(cells, cell{route: route, status: status, server: "usual", why: path + " " + why, file: true,
			request: func() *http.Request { return jsonRequest(method, path, "", headers...) }})
	}
	for _, path := range pages(t, usual) {
		add("GET", path, 200, "good")
		add("HEAD", path, 200, "HEAD")
		add("GET", path, 304, "known already", "If-None-Match", "*")
		add("GET", path, 206, "a part", "Range", "bytes=0-9")
		add("GET", path, 416, "a part that is not there", "Range", "bytes=99999999-")
		add("GET", path, 412, "another version", "If-Match", `"other"`)
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "BREW"} {
			add(method, path, 405, method)
		}
	}
	for _, path := range []string{"/site/none", "/site/", "/sample/none", "/sample/"} {
		add("GET", path, 404, "GET")
		add("POST", path, 404, "POST")
	}
	return cells
}

// hashedFile finds the files that the widget's scripts load.
var hashedFile = regexp.MustCompile(`[0-9a-f]{16}\.m?js`)

// crawlWidget returns the cells of the widget.
func crawlWidget(t *testing.T, usual *chain) []cell {
	t.Helper()
	paths := []string{"/widget.js", "/widget.mjs", "/widget.d.ts"}
	pinned, _ := widget.Script()
	paths = append(paths, pinned)
	for _, path := range paths[:2] {
		for _, name := range hashedFile.FindAllString(usual.answer(jsonRequest("GET", path, "")).Body.String(), -1) {
			paths = append(paths, "/widget/"+name)
		}
	}
	if len(paths) < 6 {
		t.Fatalf("the widget's files are %q; want those that its scripts load, too", paths)
	}
	var cells []cell
	add := func(method, path string, status int, why string, headers ...string) {
		route := path
		if strings.HasPrefix(path, "/widget/") {
			route = "/widget/"
		}
		cells = append(cells, cell{route: route, status: status, server: "usual", why: path + " " + why, file: true, public: status < 400 || status == 412,
			request: func() *http.Request { return jsonRequest(method, path, "", headers...) }})
	}
	for _, path := range paths {
		add("GET", path, 200, "good")
		add("GET", path, 200, "a part, which there is not", "Range", "bytes=0-9")
		add("HEAD", path, 200, "HEAD")
		add("GET", path, 304, "known already", "If-None-Match", "*")
		add("GET", path, 412, "another version", "If-Match", `"other"`)
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "BREW"} {
			add(method, path, 405, method)
		}
	}
	for _, path := range []string{"/widget/", "/widget/none.js", "/widget/widget.js"} {
		add("GET", path, 404, "GET")
		add("POST", path, 404, "POST")
	}
	return cells
}

var link = regexp.MustCompile(`(?:href|src|url)[=(]"?(/?[a-z][a-z0-9./_-]*)"?`)

// pages follows the links of the pages of a server and returns the paths of
// all that it serves.
func pages(t *testing.T, c *chain) []string {
	t.Helper()
	var found []string
	queue := []string{"/", "/sample/help", "/sample/getting-started", "/sample/plan", "/sample/plan.svg", "/sample/parley.yaml"}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if slices.Contains(found, path) {
			continue
		}
		w := c.answer(jsonRequest("GET", path, ""))
		if w.Code != http.StatusOK {
			t.Fatalf("GET %s gets %d; want 200, because a page links to it", path, w.Code)
		}
		found = append(found, path)
		for _, match := range link.FindAllStringSubmatch(w.Body.String(), -1) {
			to := match[1]
			if !strings.HasPrefix(to, "/") {
				to = path[:strings.LastIndex(path, "/")+1] + to
			}
			if strings.HasPrefix(to, "/site/") || strings.HasPrefix(to, "/sample/") {
				queue = append(queue, to)
			}
		}
	}
	return found
}

func httptestRequest(method, path string, body io.Reader) *http.Request {
	r := httptest.NewRequest(method, path, body)
	r.Header.Set("Content-Type", "application/json")
	return r
}

// crawledServers returns the servers that cells name. Each is behind a proxy,
// so that one can say how it was reached.
func crawledServers(t *testing.T, settings ...string) map[string]*chain {
	t.Helper()
	bot := parley.BotFunc(func(_ context.Context, turn *parley.Turn) (parley.Reply, error) {
		switch turn.Prompt {
		case "panic":
			panic("the bot broke")
		case "fail":
			return parley.Reply{}, errors.New("the model broke")
		case "long":
			return parley.Text(strings.Repeat("long ", 1000)), nil
		case "form":
			form := parley.ContactForm()
			return parley.Reply{Text: "Here", Content: &form}, nil
		}
		return parley.Text("Hello!"), nil
	})
	failing := func(err error) parley.Store {
		return &faultyStore{parley.NewMemory(), func() error { return err }}
	}
	panicking := &faultyStore{parley.NewMemory(), func() error { panic("the store broke") }}
	with := func(more ...string) []string {
		return slices.Concat([]string{
			"ALLOWED_ORIGINS=" + shop, "TRUST_PROXY=1", "CSRF_SECRET=" + testSecret,
			"RATE_LIMIT=1000000", "RATE_LIMIT_FORMS=1000000", "DATABASE_URL=memory:",
		}, more, settings)
	}
	servers := map[string]*chain{
		"usual":           newChain(t, bot, nil, with("DEMO_PAGE=true")...),
		"required":        newChain(t, bot, nil, with("CSRF_REQUIRED=true")...),
		"spent":           newChain(t, bot, nil, with("RATE_LIMIT=1", "RATE_LIMIT_FORMS=1")...),
		"stopping":        newChain(t, bot, nil, with()...),
		"broken store":    newChain(t, bot, failing(errDisk), with()...),
		"full store":      newChain(t, bot, failing(errFull), with()...),
		"panicking store": newChain(t, bot, panicking, with()...),
		"bare":            newChain(t, bot, nil, with("DEMO_PAGE=false", "CSRF_SECRET=")...),
	}
	for _, path := range []string{"/chat", "/session", "/contact-form"} {
		for status := 0; status != http.StatusTooManyRequests; {
			status = servers["spent"].answer(jsonRequest("POST", path, "{}")).Code
		}
	}
	servers["stopping"].chat.Shutdown(t.Context())
	return servers
}

// A visit is how a cell is asked for: from which page, and over what.
type visit struct {
	origin  string // of the page; empty for none
	proto   string // what the proxy says
	tls     bool
	accepts string // the encodings
}

// visits are all ways to ask, or with -short some of them.
func visits() []visit {
	var all []visit
	origins := []string{shop, evil, "", "null", "https://example.com"} // the last is the server's own
	if testing.Short() {
		origins = origins[:2]
	}
	for _, origin := range origins {
		for _, v := range []visit{{}, {proto: "https"}, {proto: "http"}, {tls: true}, {accepts: "gzip, zstd"}} {
			v.origin = origin
			all = append(all, v)
		}
	}
	return all
}

// of returns the request for a cell.
func (v visit) of(c cell) *http.Request {
	r := c.request()
	for name, value := range map[string]string{"Origin": v.origin, "X-Forwarded-Proto": v.proto, "Accept-Encoding": v.accepts} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	if v.tls {
		r.TLS = &tls.ConnectionState{}
	}
	return r
}

// isChat reports whether the cell is part of the chat's interface, which pages
// of other sites use. A redirect and a request that names no path are not.
func (c cell) isChat() bool { return !c.file && c.status != 307 && c.why != "the server as a whole" }

// check returns everything that is wrong with an answer.
func (c cell) check(v visit, w *httptest.ResponseRecorder) []string {
	var wrong []string
	h := w.Header()
	want := func(name, value string) {
		if got := strings.Join(h.Values(name), " | "); got != value {
			wrong = append(wrong, fmt.Sprintf("%s is %q; want %q", name, got, value))
		}
	}
	if w.Code != c.status {
		wrong = append(wrong, fmt.Sprintf("the status is %d; want %d", w.Code, c.status))
	}
	for name, value := range safe {
		if name == "Content-Security-Policy" && c.file && strings.Contains(h.Get(name), "script-src") {
			wrong = append(wrong, checkPolicy(h.Values(name))...)
			continue
		}
		want(name, value)
	}
	transport := ""
	if v.tls || v.proto == "https" {
		transport = "max-age=31536000; includeSubDomains"
	}
	want("Strict-Transport-Security", transport)
	if ids := h.Values("X-Request-Id"); len(ids) != 1 || ids[0] == "" {
		wrong = append(wrong, fmt.Sprintf("X-Request-Id is %q; want one", ids))
	}
	mediaType := h.Get("Content-Type")
	if w.Body.Len() > 0 && mediaType == "" {
		wrong = append(wrong, "there is a body without a Content-Type")
	}
	if strings.HasPrefix(mediaType, "application/json") {
		want("Cache-Control", "no-store")
	}
	if c.status == 429 || c.status == 503 && c.route != "/ready" {
		if after, err := strconv.Atoi(h.Get("Retry-After")); err != nil || after < 1 {
			wrong = append(wrong, fmt.Sprintf("Retry-After is %q; want seconds", h.Get("Retry-After")))
		}
	}
	if c.status == 405 && h.Get("Allow") == "" {
		wrong = append(wrong, "there is no Allow")
	}
	readable := ""
	if c.public {
		readable = "*"
	}
	if c.isChat() {
		if !slices.Contains(strings.Split(strings.Join(h.Values("Vary"), ", "), ", "), "Origin") {
			wrong = append(wrong, fmt.Sprintf("Vary is %q; want Origin in it", h.Values("Vary")))
		}
		if v.origin == shop || v.origin == "https://example.com" {
			readable = v.origin
		}
	}
	want("Access-Control-Allow-Origin", readable)
	return wrong
}

// checkPolicy returns what a page's policy lacks to be strict: nothing but
// files of the server itself, no scripts or styles in the page, no frames.
func checkPolicy(values []string) []string {
	var wrong []string
	if len(values) != 1 {
		return []string{fmt.Sprintf("there are %d policies; want one", len(values))}
	}
	policy := map[string]string{}
	for directive := range strings.SplitSeq(values[0], ";") {
		name, sources, _ := strings.Cut(strings.TrimSpace(directive), " ")
		policy[name] = sources
	}
	for name, want := range map[string]string{
		"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "base-uri": "'none'", "form-action": "'self'", "frame-ancestors": "'none'",
	} {
		if policy[name] != want {
			wrong = append(wrong, fmt.Sprintf("%s of the policy is %q; want %s", name, policy[name], want))
		}
	}
	for _, weak := range []string{"unsafe-", "*", "http:", "https:", "blob:", "filesystem:"} {
		if strings.Contains(values[0], weak) {
			wrong = append(wrong, fmt.Sprintf("the policy %q allows %s", values[0], weak))
		}
	}
	return wrong
}

// TestEveryAnswerIsSafe crawls every route for every status, as every kind of
// visitor.
func TestEveryAnswerIsSafe(t *testing.T) {
	servers := crawledServers(t)
	cells := crawl(t, servers)
	answers, statuses, kinds := 0, map[int]int{}, map[string]bool{}
	for _, c := range cells {
		statuses[c.status]++
		kinds[fmt.Sprintf("%s %d", c.route, c.status)] = true
		for _, v := range visits() {
			answers++
			if wrong := c.check(v, servers[c.server].answer(v.of(c))); len(wrong) > 0 {
				t.Errorf("%s, as %+v:\n\t%s", c.name(), v, strings.Join(wrong, "\n\t"))
				break // the other visitors will hardly fare better
			}
		}
	}
	for _, status := range []int{200, 204, 206, 304, 307, 400, 403, 404, 405, 412, 413, 415, 416, 422, 429, 500, 503} {
		if statuses[status] == 0 {
			t.Errorf("no cell has the status %d", status)
		}
	}
	for _, route := range registered(t, servers["usual"]) {
		if !slices.ContainsFunc(cells, func(c cell) bool { return c.route == route }) {
			t.Errorf("the route %s is in no cell; add it to crawl", route)
		}
	}
	t.Logf("%d cells, %d pairs of route and status, %d statuses, %d answers", len(cells), len(kinds), len(statuses), answers)
}

// registered returns the patterns of all routes: those that the interface's
// description has, and every path that stands in the code that wires them up.
func registered(t *testing.T, c *chain) []string {
	t.Helper()
	var description struct{ Paths map[string]any }
	if err := json.Unmarshal(c.answer(jsonRequest("GET", "/openapi.json", "")).Body.Bytes(), &description); err != nil {
		t.Fatal(err)
	}
	routes := slices.Collect(maps.Keys(description.Paths))
	file, err := parser.ParseFile(token.NewFileSet(), "wire.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for n := range ast.Preorder(file) {
		if text, ok := n.(*ast.BasicLit); ok && strings.HasPrefix(text.Value, `"/`) {
			routes = append(routes, strings.Trim(text.Value, `"`))
		}
	}
	if len(routes) < 10 {
		t.Fatalf("only the routes %q were found; want all", routes)
	}
	return routes
}

// TestUnsafeAnswersAreSeen is the control: without its middleware, no answer of
// the same servers passes.
func TestUnsafeAnswersAreSeen(t *testing.T) {
	servers := crawledServers(t, "SECURITY_HEADERS=false")
	cells := crawl(t, servers)
	for _, c := range cells {
		if wrong := c.check(visit{}, servers[c.server].answer(visit{}.of(c))); len(wrong) == 0 {
			t.Errorf("%s passes without security headers", c.name())
		}
	}
	for _, policy := range []string{
		"", "default-src 'self'", "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
		"default-src 'none'; script-src 'self'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors *",
	} {
		if len(checkPolicy([]string{policy})) == 0 {
			t.Errorf("the policy %q passes", policy)
		}
	}
	t.Logf("%d cells", len(cells))
}

// TestTransportSecurityIsNotBelieved sees to it that a client that no proxy
// stands for cannot make the server promise https.
func TestTransportSecurityIsNotBelieved(t *testing.T) {
	c := newChain(t, nil, nil)
	w := c.answer(jsonRequest("GET", "/health", "", "X-Forwarded-Proto", "https", "Forwarded", "proto=https"))
	if got := w.Header().Get("Strict-Transport-Security"); got != "" {
		t.Errorf("Strict-Transport-Security is %q; want none, because nobody trusted said https", got)
	}
}

// TestRequestsWithoutPathAreSafe asks a server about itself, which net/http
// answers on its own unless it is told not to.
func TestRequestsWithoutPathAreSafe(t *testing.T) {
	c := newChain(t, nil, nil)
	server := newServer(c, slog.New(slog.DiscardHandler))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if got := answer.Header.Get("Content-Security-Policy"); got != safe["Content-Security-Policy"] {
		t.Errorf("OPTIONS * gets %s and the policy %q; want %q as every answer", answer.Status, got, safe["Content-Security-Policy"])
	}
	if line := `"method":"OPTIONS","path":"*","status":400`; !strings.Contains(c.log.String(), line) {
		t.Errorf("the log is %q; want a line with %s", c.log, line)
	}
}
