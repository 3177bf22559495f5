package parley

import (
	"context"
	_ "embed"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxChatBody = 64 << 10
	maxFormBody = 256 << 10
)

// Handler returns the chat's HTTP interface: the contract in
// docs/api-reference.md, with CORS, ready to be served. It expects the client's
// address in RemoteAddr: behind a proxy, middleware around it must put it there.
func (c *Chat) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range []struct {
		method, pattern string
		guarded         bool // behind Config.Middleware
		serve           func(http.ResponseWriter, *http.Request)
	}{
		{"POST", "/chat", true, c.serveChat},
		{"POST", "/session", true, c.serveSession},
		{"GET", "/history", true, c.serveHistory},
		{"GET", "/stream", true, c.serveStream},
		{"POST", "/contact-form", true, c.serveForm},
		{"POST", "/forms/{id}", true, c.serveForm},
		{"GET", "/health", false, c.serveHealth},
		{"GET", "/ready", false, c.serveReady},
		{"GET", "/openapi.json", false, serveOpenAPI},
		{"", "/", false, c.serveNotFound},
	} {
		var h http.Handler = http.HandlerFunc(r.serve)
		if r.guarded {
			for i := len(c.cfg.Middleware) - 1; i >= 0; i-- {
				h = c.cfg.Middleware[i](h)
			}
		}
		if r.method != "" {
			h = c.Route(r.method, h)
		}
		mux.Handle(r.pattern, h)
	}
	return mux
}

// Route makes a handler part of the chat's interface: pages on
// [Config.AllowedOrigins] can read its answers, preflights are answered, and so
// is every other method than the one given. A handler for GET gets HEAD too.
func (c *Chat) Route(method string, h http.Handler) http.Handler {
	allow := method + ", OPTIONS"
	if method == http.MethodGet {
		allow = "GET, HEAD, OPTIONS"
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.origins.setHeaders(w.Header(), r, allow)
		switch {
		case r.Method == method, r.Method == http.MethodHead && method == http.MethodGet:
			h.ServeHTTP(w, r)
		case r.Method == http.MethodOptions:
			w.Header().Set("Allow", allow)
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Allow", allow)
			WriteError(w, &Error{Code: CodeMethod, Message: "Method not allowed"})
		}
	})
}

func (c *Chat) serveChat(w http.ResponseWriter, r *http.Request) {
	object, err := readObject(w, r, maxChatBody)
	if err != nil {
		WriteError(w, err)
		return
	}
	token, err := c.sessionFromToken(w, r)
	if err != nil {
		WriteError(w, err)
		return
	}
	q := decodeMessage(object)
	if token != nil {
		q.Session, q.token = "", token
	}
	q.Key = idempotencyKeyOf(r)
	q.Client = clientOf(r)
	q.BaseURL = c.baseURL(r)
	s := newAnswerStream(w, r)
	reply, err := c.answer(r.Context(), q, s)
	switch {
	case s != nil:
		s.end(reply, err)
	case err != nil:
		WriteError(w, err)
	default:
		writeJSON(w, http.StatusOK, reply)
	}
}

// idempotencyKeyOf returns the Idempotency-Key of a request, a string as in RFC
// 9651 or bare.
func idempotencyKeyOf(r *http.Request) string {
	return strings.Trim(r.Header.Get("Idempotency-Key"), `"`)
}

// baseURL returns where the visitor reaches this server. The URL of a request
// has a scheme where middleware learned it from a trusted proxy. A page served
// over https can only have reached it over https, whatever a proxy in between
// made of it; only loopback is exempt (W3C Mixed Content, section 4.4).
func (c *Chat) baseURL(r *http.Request) string {
	if c.cfg.BaseURL != "" {
		return c.cfg.BaseURL
	}
	if !isHost(r.Host) {
		return "" // nobody's address; links then have none
	}
	secure := r.TLS != nil || r.URL.Scheme == "https"
	if !secure && strings.HasPrefix(r.Header.Get("Origin"), "https://") {
		secure = !isLoopbackHost((&url.URL{Host: r.Host}).Hostname())
	}
	if secure {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// isHost reports whether a Host header consists of what names, addresses and
// ports are made of, and so cannot say more in a link than where it leads.
func isHost(host string) bool {
	return host != "" && strings.IndexFunc(host, func(r rune) bool {
		return r > 'z' || (classOf(byte(r)) == 0 && strings.IndexByte("._-:[]", byte(r)) < 0)
	}) < 0
}

// checkBaseURL reports what is wrong with a [Config.BaseURL].
func checkBaseURL(s string) error {
	var ps Problems
	u, err := url.Parse(s)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		ps.Add("", "%q is not the address of a server; write https://chat.example.com", s)
	case strings.HasSuffix(s, "/"):
		ps.Add("", "%q ends with a slash; write %s", s, strings.TrimRight(s, "/"))
	}
	return ps.Err()
}

func (c *Chat) serveHealth(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{
		"status":    "ok",
		"timestamp": time.Now().UTC().Format("2006-01-02T15:04:05.000Z"),
	})
}

// serveReady says whether this node can answer prompts now.
func (c *Chat) serveReady(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	status, reason := http.StatusOK, "ready"
	if c.lanes.isDraining() {
		status, reason = http.StatusServiceUnavailable, "stopping"
	} else if _, err := c.store.Transcript(ctx, Page{Session: "ready", Limit: 1}); err != nil {
		status, reason = http.StatusServiceUnavailable, "the store does not answer"
	}
	writeJSON(w, status, map[string]string{"status": reason})
}

//go:embed openapi.json
var openAPI []byte

func serveOpenAPI(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(openAPI)))
	h.Set("Cache-Control", "no-store")
	w.Write(openAPI)
}

var errNotFound = &Error{Code: CodeNotFound, Message: "Not found"}

func (c *Chat) serveNotFound(w http.ResponseWriter, r *http.Request) {
	c.origins.setHeaders(w.Header(), r, http.MethodOptions)
	WriteError(w, errNotFound)
}

// writeJSON answers with v. Answers are a visitor's own, so no cache keeps them.
func writeJSON(w http.ResponseWriter, status int, v any) {
	data, err := encodeJSON(v)
	if err != nil { // v is ours or was encoded before
		panic(err)
	}
	data = append(data, '\n')
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(data))}
	h["Cache-Control"] = noStore
	w.WriteHeader(status)
	w.Write(data)
}

// Header values that all answers share; nobody changes them.
var (
	jsonType = []string{"application/json; charset=utf-8"}
	noStore  = []string{"no-store"}
)
