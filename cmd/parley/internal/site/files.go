package site

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"net/http"
	"path"
	"time"

	"github.com/parley-chat/parley"
)

//go:embed web
var web embed.FS

// policy is the content security policy of every page here: its own files and
// its own server, and nothing that stands in the page itself, so that no text
// from anywhere can become a script.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// files serves files of this package by their paths.
type files map[string]file

// A file is a body and its media type.
type file struct {
	mediaType string
	body      []byte
}

// mediaTypes are the types of the files here, by extension. The tables that
// package mime reads differ from machine to machine.
var mediaTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".yaml": "text/plain; charset=utf-8", // so that a browser shows it
}

// webFile returns an embedded file. The name is one of ours, so that a file
// that is missing is a mistake in this package.
func webFile(name string) file {
	body, err := web.ReadFile("web/" + name)
	if err != nil {
		panic(err)
	}
	return file{mediaTypes[path.Ext(name)], body}
}

// ServeHTTP answers GET and HEAD with the file at the request's path.
func (fs files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := fs[r.URL.Path]
	if !ok {
		parley.WriteError(w, &parley.Error{Code: parley.CodeNotFound, Message: "Not found"})
		return
	}
	f.serve(w, r)
}

// serve answers GET and HEAD with the file. Browsers keep it and ask each time
// whether it is still the same, so that a new version of Parley shows at once.
func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		parley.WriteError(w, &parley.Error{Code: parley.CodeMethod, Message: "Method not allowed"})
		return
	}
	sum := sha256.Sum256(f.body)
	h.Set("Content-Type", f.mediaType)
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(sum[:12])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}
