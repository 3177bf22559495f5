package middleware

import (
	"maps"
	"net/http"
)

// SecurityHeaders adds to every answer the headers with which browsers are told
// what it is not: no page with scripts, nothing to put into a frame, nothing to
// guess a type for. They are those of the npm package helmet, stricter where an
// answer is data, and readable from other sites, because a chat is embedded in
// them. A handler that serves a page sets its own Content-Security-Policy, and
// what a handler sets wins.
//
// Strict-Transport-Security (RFC 6797) is added where the request came over
// TLS, here or at a proxy that [ClientAddr] believes.
func SecurityHeaders(next http.Handler) http.Handler {
	// Handlers replace or append to the values of a header and so never change
	// these slices, which all answers share.
	headers := http.Header{
		"Content-Security-Policy":           {"default-src 'none'; frame-ancestors 'none'"},
		"Cross-Origin-Opener-Policy":        {"same-origin"},
		"Cross-Origin-Resource-Policy":      {"cross-origin"},
		"Origin-Agent-Cluster":              {"?1"},
		"Referrer-Policy":                   {"no-referrer"},
		"X-Content-Type-Options":            {"nosniff"},
		"X-Dns-Prefetch-Control":            {"off"},
		"X-Download-Options":                {"noopen"},
		"X-Frame-Options":                   {"DENY"},
		"X-Permitted-Cross-Domain-Policies": {"none"},
		"X-Xss-Protection":                  {"0"},
	}
	transportSecurity := []string{"max-age=31536000; includeSubDomains"}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		maps.Copy(h, headers)
		if r.TLS != nil || r.URL.Scheme == "https" {
			h["Strict-Transport-Security"] = transportSecurity
		}
		next.ServeHTTP(w, r)
	})
}
