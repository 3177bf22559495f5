// Package site is what a person sees of a Parley server in a browser: the page
// at / that says what runs and lets one try it, and the sample rules with the
// pages they link to.
package site

import (
	"bytes"
	"html/template"
	"net/http"
)

// Options say what the page tells about this server. It is shown to everybody
// who opens the page.
type Options struct {
	// Bot names who answers, as in "2 rules, then openai (gpt-5.4-mini)". Empty means that the
	// sample rules do: the page then offers prompts they know and says how to
	// replace them.
	Bot string
	// Config names the configuration file that was read, as in "parley.yaml".
	// Empty means that there is none.
	Config string
	// BaseURL is where visitors reach this server, without a slash at its end.
	// Empty means what each request says.
	BaseURL string
	// CSRF is whether GET /csrf-token hands out tokens, which the page's chat then
	// sends.
	CSRF bool
	// Version is the version of Parley. Empty leaves it out.
	Version string
}

// Page returns the page at / and its files, which are below /site/. It answers
// GET and HEAD.
func Page(o Options) http.Handler {
	page := template.Must(template.ParseFS(web, "web/page.html"))
	assets := files{
		"/site/base.css": webFile("base.css"),
		"/site/page.css": webFile("page.css"),
		"/site/page.js":  webFile("page.js"),
		"/site/icon.svg": webFile("icon.svg"),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			assets.ServeHTTP(w, r)
			return
		}
		told := struct {
			Options
			Guessed bool // the page's script may know a better BaseURL
		}{o, o.BaseURL == ""}
		if told.Guessed {
			told.BaseURL = baseURL(r)
		}
		var body bytes.Buffer
		if err := page.Execute(&body, told); err != nil { // the template and its data are ours
			panic(err)
		}
		file{mediaTypes[".html"], body.Bytes()}.serve(w, r)
	})
}

// baseURL returns where the request reached this server, as far as it tells: a
// proxy in front that nobody trusts may speak https, or serve it below a path.
func baseURL(r *http.Request) string {
	if r.TLS != nil || r.URL.Scheme == "https" {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
