// Package compress makes answers smaller on their way. It is apart from the
// rest of the middleware because it needs a library.
package compress

import (
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzhttp"
)

// minSize is from how many bytes on an answer is compressed. A smaller one fits
// into one packet either way.
const minSize = 1024

const eventStream = "text/event-stream"

// Handler is middleware that compresses the answers of next with zstd (RFC 8878)
// or gzip, as the client prefers, from one KiB on, and adds Vary:
// Accept-Encoding. What is encoded already, or is of a type that is compressed
// by nature, passes as it is.
//
// Event streams pass as they are, because each event must leave when it is
// written. A request that asks for one does not even get another
// ResponseWriter, so that its handler sees the errors of Flush, which say
// whether the client is still there.
func Handler(next http.Handler) http.Handler {
	wrap, err := gzhttp.NewWrapper(
		gzhttp.MinSize(minSize),
		gzhttp.ContentTypeFilter(func(contentType string) bool {
			return !strings.HasPrefix(contentType, eventStream) && gzhttp.DefaultContentTypeFilter(contentType)
		}),
	)
	if err != nil { // the options are ours
		panic(err)
	}
	compressed := wrap(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Accept"), eventStream) {
			next.ServeHTTP(w, r)
			return
		}
		compressed(w, r)
	})
}
