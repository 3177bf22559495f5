package middleware_test

import (
	"bytes"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-chat/parley/middleware"
)

// answer is as long as a usual reply.
var answer = []byte(`{"output":"Hello! I'm here to help with your account. What specific issue are you experiencing?"}` + "\n")

func trivial(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	w.Write(answer)
}

// whole is the whole chain around a trivial handler, with its log in a file.
func whole(b *testing.B) http.Handler {
	log, err := os.Create(b.TempDir() + "/access.log")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { log.Close() })
	s := setup{proxies: "1", rate: middleware.Rate{Limit: math.MaxInt32, Window: time.Hour}, log: log}
	return s.around(b, wrap(http.HandlerFunc(trivial), s.guards(b)...))
}

// BenchmarkServer measures a request to a server over a connection that is
// kept, the cost of the client included: by net/http alone, and with the whole
// chain. The difference is what the chain costs.
func BenchmarkServer(b *testing.B) {
	b.Run("net/http", func(b *testing.B) { benchmarkServer(b, http.HandlerFunc(trivial)) })
	b.Run("chain", func(b *testing.B) { benchmarkServer(b, whole(b)) })
}

func benchmarkServer(b *testing.B, h http.Handler) {
	server := httptest.NewServer(h)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	const body = `{"prompt":"Hello, I need help with my account","session_id":"user-session-123"}`
	request := []byte("POST /chat HTTP/1.1\r\nHost: chat.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
		"Accept: */*\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nContent-Type: application/json\r\nOrigin: https://www.example.com\r\n" +
		"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
	// The client is as cheap as can be: a request is one write, and an answer is
	// over when its body was seen.
	buf := make([]byte, 8<<10)
	before := cpuTime(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		n := 0
		for !bytes.HasSuffix(buf[:n], answer) {
			m, err := conn.Read(buf[n:])
			if err != nil {
				b.Fatal(err)
			}
			n += m
		}
		if !bytes.HasPrefix(buf, []byte("HTTP/1.1 200 ")) {
			b.Fatalf("answered %q, want 200", buf[:n])
		}
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// cpuTime returns what the process has used of the processors, which tells more
// than the wall clock where other programs run.
func cpuTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// discard is a ResponseWriter that costs next to nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header            { return d.header }
func (d *discard) Write(data []byte) (int, error) { return len(data), nil }
func (d *discard) WriteHeader(int)                {}

// BenchmarkHandler measures the parts of the chain by themselves, without a server.
func BenchmarkHandler(b *testing.B) {
	log, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	s := setup{proxies: "1", rate: middleware.Rate{Limit: math.MaxInt32, Window: time.Hour}, log: log}
	clientAddr, err := middleware.ClientAddr(s.proxies, nil)
	if err != nil {
		b.Fatal(err)
	}
	guards := s.guards(b)
	h := http.HandlerFunc(trivial)
	for _, part := range []struct {
		name string
		h    http.Handler
	}{
		{"trivial", h},
		{"ClientAddr", clientAddr(h)},
		{"RequestID", middleware.RequestID(h)},
		{"AccessLog", middleware.AccessLog(s.logger(), true)(h)},
		{"Recover", middleware.Recover(s.logger())(h)},
		{"SecurityHeaders", middleware.SecurityHeaders(h)},
		{"CSRF", guards[0](h)},
		{"RateLimit", guards[1](h)},
		{"chain", whole(b)},
	} {
		b.Run(part.name, func(b *testing.B) {
			csrf, err := middleware.NewCSRF(false, testSecret)
			if err != nil {
				b.Fatal(err)
			}
			token, _ := csrf.Token()
			r := httptest.NewRequest("POST", "/chat", nil)
			r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
			r.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
			r.Header.Set("X-Forwarded-For", "203.0.113.7")
			r.Header.Set("X-CSRFToken", token)
			b.ReportAllocs()
			for b.Loop() {
				part.h.ServeHTTP(&discard{http.Header{}}, r)
			}
		})
	}
}

// BenchmarkMemoryLimiter measures one hit: of a key that is known, and of a new
// one in a limiter that is full, which must forget another.
func BenchmarkMemoryLimiter(b *testing.B) {
	const keys = 1 << 16
	names := make([]string, 4*keys)
	for i := range names {
		names[i] = "chat 2001:db8:" + strconv.FormatInt(int64(i), 16) + "::/56"
	}
	for _, known := range []bool{true, false} {
		b.Run("known="+strconv.FormatBool(known), func(b *testing.B) {
			m := middleware.NewMemoryLimiter(keys)
			before := heapSize()
			for _, name := range names[:keys] {
				m.Take(b.Context(), strings.Clone(name), 100, time.Hour)
			}
			size := heapSize() - before
			i := 0
			for b.Loop() {
				name := names[0]
				if !known {
					name = names[i%len(names)]
				}
				m.Take(b.Context(), name, 100, time.Hour)
				i++
			}
			b.ReportMetric(float64(size)/keys, "B/key")
		})
	}
}

func heapSize() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
