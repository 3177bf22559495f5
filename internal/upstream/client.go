package upstream

import (
	"cmp"
	"io"
	"mime"
	"net"
	"net/http"
	"time"
)

// NewClient returns the client that calls go through: custom, or one that keeps
// enough connections for a thousand streams. Redirects are not followed: they
// would take the key, and what visitors say, to a place that nobody wrote down.
// It knows no deadline for an answer but the request's.
//
// Like every Go program's own client it asks the environment for a proxy
// (HTTPS_PROXY and NO_PROXY): that is how a machine reaches the world, not a
// setting of ours.
func NewClient(custom *http.Client) *http.Client {
	client := &http.Client{}
	if custom != nil {
		*client = *custom
	} else {
		client.Transport = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout: 10 * time.Second,
			MaxIdleConns:        1024,
			MaxIdleConnsPerHost: 1024, // there is one host only
			// Less than the 5 seconds after which Node and uvicorn, the web servers of
			// many backends and models, hang up on an idle connection, so that no
			// prompt is sent into a line that is going dead.
			IdleConnTimeout:   4 * time.Second,
			ForceAttemptHTTP2: true,
			HTTP2:             &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second}, // finds dead lines
		}
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Transport = transport{cmp.Or(client.Transport, http.DefaultTransport)}
	return client
}

// A transport leaves out a Location that is no address. The client of net/http
// reads it before it asks whether to go there, and quotes it in its error, with
// what may be secret in it.
type transport struct{ http.RoundTripper }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(r)
	if resp == nil {
		return nil, err
	}
	if _, err := resp.Location(); err != nil {
		resp.Header.Del("Location")
	}
	return resp, err
}

// MediaType returns the media type of a response, and "" for what is none.
func MediaType(resp *http.Response) string {
	name, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return name
}

const (
	// drainTime and drainBytes are how long a finished answer's connection is
	// waited for, and how much is read, so that the next call can have it.
	drainTime  = 20 * time.Millisecond
	drainBytes = 4 << 10
)

// A ReadError is why a body could not be read to its end.
type ReadError struct{ Err error }

func (e *ReadError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *ReadError) Unwrap() error { return e.Err }

// A body is the body of a response, as far as it is read.
type body struct {
	from  io.ReadCloser
	limit int64
	left  int64 // how many bytes may still be read
	ended bool  // nothing more is to be read
}

// LimitBody returns the body of a response of which limit bytes at most can be
// read. Behind them, reading fails with an [http.MaxBytesError], and where the
// connection breaks, with a [ReadError].
//
// Its Close gives the connection back. An HTTP/1 connection can be used again
// only if all was read, and readers of events stop at the one that ends an
// answer, a few bytes before the end. Those are here already, or never come.
func LimitBody(from io.ReadCloser, limit int64) io.ReadCloser {
	return &body{from: from, limit: limit, left: limit}
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.from.Read(p[:min(int64(len(p)), b.left+1)]) // one more, to see whether there is more
	b.ended = err != nil
	if int64(n) > b.left {
		n, b.left, b.ended = int(b.left), 0, true
		return n, &http.MaxBytesError{Limit: b.limit}
	}
	b.left -= int64(n)
	if err != nil && err != io.EOF {
		err = &ReadError{err}
	}
	return n, err
}

func (b *body) Close() error {
	if !b.ended {
		enough := time.AfterFunc(drainTime, func() { b.from.Close() })
		defer enough.Stop()
		io.CopyN(io.Discard, b.from, drainBytes)
	}
	return b.from.Close()
}
