package provider

import (
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"time"
)

const (
	// maxBody is the most that is read of a streamed answer, with all that is
	// around its text.
	maxBody = 8 << 20
	// drainTime and drainBytes are how long a finished answer's connection is
	// waited for, and how much is read, so that the next call can have it.
	drainTime  = 20 * time.Millisecond
	drainBytes = 4 << 10
)

// newClient returns the client that calls go through: custom, or one that keeps
// enough connections for a thousand streams. Redirects are not followed: they
// would take the key, and what visitors say, to a place that nobody wrote down.
//
// Like every Go program's own client it asks the environment for a proxy
// (HTTPS_PROXY and NO_PROXY): that is how a machine reaches the world, not a
// setting of ours.
func newClient(custom *http.Client) *http.Client {
	client := &http.Client{}
	if custom != nil {
		*client = *custom
	} else {
		client.Transport = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: time.Minute, // a whole turn has no more by default
			MaxIdleConns:          1024,
			MaxIdleConnsPerHost:   1024, // there is one host only
			// Less than the 5 seconds after which uvicorn, the web server of many
			// model servers, hangs up on an idle connection.
			IdleConnTimeout:   4 * time.Second,
			ForceAttemptHTTP2: true,
			HTTP2:             &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second}, // finds dead lines
		}
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client
}

// Check is a middleware of the SDKs. It lets an event stream through, and cuts
// it off where it gets too long. Everything else becomes a [parley.Failure] here,
// so that no SDK reads an error of unknown length or quotes the request in one
// of its own.
func (s *Service) Check(req *http.Request, next func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	resp, err := next(req)
	if err != nil {
		return nil, s.unreachable(err)
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode == http.StatusOK && media == "text/event-stream" {
		resp.Body = &body{from: resp.Body, left: maxBody}
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, s.refusal(resp, media)
}

var errTooLong = errors.New("the stream is too long")

// A brokenError is why a stream ended before its time.
type brokenError struct{ error }

// body is the body of a response, as far as it is read.
type body struct {
	from  io.ReadCloser
	left  int  // how many bytes may still be read
	ended bool // there is nothing more to read
}

func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errTooLong
	}
	n, err := b.from.Read(p[:min(len(p), b.left)])
	b.left -= n
	b.ended = err != nil
	if err != nil && err != io.EOF {
		err = brokenError{err}
	}
	return n, err
}

// Close gives the connection back. An HTTP/1 connection can be used again only
// if all was read, and the SDKs stop reading at the event that ends an answer,
// a few bytes before the end. Those are here already, or never come.
func (b *body) Close() error {
	if !b.ended && b.left > 0 {
		enough := time.AfterFunc(drainTime, func() { b.from.Close() })
		defer enough.Stop()
		io.CopyN(io.Discard, b.from, drainBytes)
	}
	return b.from.Close()
}
