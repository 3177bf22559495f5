package main

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// tokenEvery is the time from one token to the next: 50 come in a second.
	tokenEvery = 20 * time.Millisecond
	// token is the text of each, and tokenMark is in it once and nowhere else.
	token     = "word~ "
	tokenMark = '~'
)

// A wire is a format in which an upstream streams its answer.
type wire struct {
	path  string
	begin string
	token func(n int) string // the n-th from 1
	end   string
}

// events is Parley's own format, which a relay's backend may speak.
func events(tokens int) wire {
	event := func(n int, name, data string) string {
		return fmt.Sprintf("id: 1-%d\nevent: %s\ndata: %s\n\n", n*len(token), name, data)
	}
	return wire{
		path:  "/chat",
		token: func(n int) string { return event(n, "delta", `{"text":"`+token+`"}`) },
		end:   event(tokens, "reply", `{"output":"`+strings.Repeat(token, tokens)+`"}`),
	}
}

// completions is Chat Completions.
func completions() wire {
	chunk := func(choices, usage string) string {
		return `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"bench","service_tier":"default",` +
			`"system_fingerprint":"fp_1","choices":[` + choices + `],"usage":` + usage + "}\n\n"
	}
	choice := func(delta, finish string) string {
		return chunk(`{"index":0,"delta":`+delta+`,"logprobs":null,"finish_reason":`+finish+`}`, "null")
	}
	next := choice(`{"content":"`+token+`"}`, "null")
	return wire{
		path:  "/v1/chat/completions",
		begin: choice(`{"role":"assistant","content":"","refusal":null}`, "null"),
		token: func(int) string { return next },
		end:   choice("{}", `"stop"`) + chunk("", `{"prompt_tokens":9,"completion_tokens":9,"total_tokens":18}`) + "data: [DONE]\n\n",
	}
}

// serveUpstream streams answers as models do: BENCH_TOKENS of them, each sent by
// itself, the first at once.
func serveUpstream() error {
	tokens, err := strconv.Atoi(os.Getenv("BENCH_TOKENS"))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(http.ResponseWriter, *http.Request) {})
	for _, format := range []wire{events(tokens), completions()} {
		mux.HandleFunc("POST "+format.path, func(w http.ResponseWriter, r *http.Request) { format.stream(w, tokens) })
	}
	return serve(mux)
}

// stream writes to the connection itself: the upstream must not cost more than
// what is measured.
func (f wire) stream(w http.ResponseWriter, tokens int) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err) // HTTP/1 always can
	}
	defer conn.Close()
	head := "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
	next := time.Now()
	text := f.begin
	for n := 1; n <= tokens; n++ {
		text += f.token(n)
		if _, err := fmt.Fprintf(conn, "%s%x\r\n%s\r\n", head, len(text), text); err != nil {
			return
		}
		head, text = "", ""
		next = next.Add(tokenEvery)
		time.Sleep(time.Until(next))
	}
	fmt.Fprintf(conn, "%x\r\n%s\r\n0\r\n\r\n", len(f.end), f.end)
}

// serveProxy passes everything on to BENCH_UPSTREAM, as it comes, and nothing else.
func serveProxy() error {
	upstream, err := url.Parse(os.Getenv("BENCH_UPSTREAM"))
	if err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, 10_000
	return serve(&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
		FlushInterval: -1,
		Transport:     transport,
	})
}
