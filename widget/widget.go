// Package widget is the chat as a visitor meets it: the script that a page
// includes, what the script loads, and the handler that serves both.
//
//	script := widget.Handler()
//	for _, path := range []string{"/widget.js", "/widget.mjs", "/widget.d.ts", "/widget/"} {
//		mux.Handle(path, script)
//	}
//
// A page then needs one line:
//
//	<script src="https://chat.example.com/widget.js" async></script>
//
// The sources are TypeScript and CSS in src; go generate makes of them what is
// in dist, which is committed, so that nobody needs the tools to build Parley.
package widget

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

//go:generate go -C ../tools run ./bundle ../widget/src ../widget/dist

//go:embed dist
var dist embed.FS

const (
	javascript = "text/javascript; charset=utf-8"
	// Whoever changes the widget wants visitors to have it soon; an ETag makes
	// asking again cheap.
	fresh = "public, max-age=300, stale-while-revalidate=86400"
	// A name with a hash never names anything else.
	forever = "public, max-age=31536000, immutable"
)

// file is one file in the encodings in which it can be sent.
type file struct {
	contentType  string
	cacheControl string
	hash         string
	encodings    map[string][]byte // by the name of the content coding; "" for none
}

// Handler serves the widget to pages of any origin, compressed where the
// browser allows it:
//
//   - /widget.js, the script for a page, and /widget.mjs, the same as an ES
//     module, with its types in /widget.d.ts
//   - /widget/ and a hash, for each of the two and for the chat that both load
//     when it is first opened: files that never change
//
// Everything else is 404.
func Handler() http.Handler {
	files := map[string]file{}
	add := func(url, name, contentType string) {
		data := read(name)
		f := file{contentType, fresh, hash(data), map[string][]byte{"": data, "br": read(name + ".br"), "gzip": zip(data)}}
		if url != "" {
			files[url] = f
		}
		if contentType == javascript {
			f.cacheControl = forever
			files[hashed(name)] = f
		}
	}
	add("/widget.js", "widget.js", javascript)
	add("/widget.mjs", "widget.mjs", javascript)
	add("/widget.d.ts", "widget.d.ts", "text/plain; charset=utf-8")
	add("", "chat.js", javascript)

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := files[r.URL.Path]
		switch {
		case !ok:
			http.NotFound(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Method not allowed", http.StatusMethodNotAllowed)
		default:
			f.serve(w, r)
		}
	})
}

// Script returns the path of the script in the version that is served now, and
// its Subresource Integrity hash, for pages that pin what they include:
//
//	<script src="https://chat.example.com/widget/….js" integrity="sha384-…" crossorigin="anonymous" async></script>
//
// The script itself pins the chat that it loads.
func Script() (path, integrity string) {
	sum := sha512.Sum384(read("widget.js"))
	return hashed("widget.js"), "sha384-" + base64.StdEncoding.EncodeToString(sum[:])
}

// serve sends the file in the best encoding that the browser allows.
func (f file) serve(w http.ResponseWriter, r *http.Request) {
	coding := negotiate(r.Header.Values("Accept-Encoding"))
	data := f.encodings[coding]
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", f.cacheControl)
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", strconv.Quote(strings.TrimSuffix(f.hash+"-"+coding, "-")))
	h.Set("X-Content-Type-Options", "nosniff")
	// Modules, and scripts with an integrity hash, are loaded by the CORS
	// protocol; pages with a strict embedder policy ask for the other header.
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if coding != "" {
		h.Set("Content-Encoding", coding)
	}
	r.Header.Del("Range") // too small to be worth parts, which would be parts of the encoding
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// negotiate picks br, gzip or nothing, by RFC 9110, section 12.5.3. Of the
// weights only zero counts: who accepts both loads less with br.
func negotiate(accept []string) string {
	refused := map[string]bool{"br": true, "gzip": true}
	for _, item := range strings.Split(strings.Join(accept, ","), ",") {
		name, params, err := mime.ParseMediaType(strings.TrimSpace(item))
		if err != nil {
			continue
		}
		weight, err := strconv.ParseFloat(params["q"], 64)
		refused[name] = err == nil && weight == 0
	}
	for _, coding := range []string{"br", "gzip"} {
		if !refused[coding] {
			return coding
		}
	}
	return ""
}

// hashed returns the path at which a file of dist never changes.
func hashed(name string) string {
	return "/widget/" + hash(read(name)) + path.Ext(name)
}

// hash returns 64 bits of SHA-256 in hex: names, not proofs.
func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

func read(name string) []byte {
	data, err := dist.ReadFile("dist/" + name)
	if err != nil {
		panic(err) // it was embedded
	}
	return data
}

func zip(data []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level exists
	w.Write(data)                                         // a buffer takes everything
	w.Close()
	return b.Bytes()
}
