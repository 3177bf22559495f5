package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"
)

// hostile is what lines of logs have been forged with.
var hostile = []string{
	"\n", "\r", "\r\n", "\x00", "\x1b[2J", "\x1b]0;x\x07", "\u009b31m", "\u0085", "\u2028", "\u2029", "\x7f", "\xff", "\xc2", "\xed\xa0\x80",
	`"`, `\`, `\n`, `","level":"ERROR","msg":"request"}`, "}\n{", "{\"msg\":\"request\"}\n", "%0a", "%", "\t", "\b", "\v", "\f",
	"é", "🦜", "\u202e", "\ufeff", "a", " ", "\u00a0", "<script>",
}

// hostileText returns some of it.
func hostileText(rng *rand.Rand) string {
	var b strings.Builder
	for range rng.IntN(60) {
		b.WriteString(hostile[rng.IntN(len(hostile))])
	}
	return b.String()
}

// headerValue returns text without what net/http refuses in a header, before
// anybody else sees the request.
func headerValue(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return '?'
		}
		return r
	}, text)
}

// rawBody returns text as JSON whose strings have everything in them that JSON
// lets stand as it is, broken UTF-8 too.
func rawBody(prompt string) string {
	var b strings.Builder
	b.WriteString(`{"session_id": null, "prompt": "x `)
	for _, c := range []byte(prompt) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			fallthrough
		case c >= ' ':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\u%04x`, c)
		}
	}
	b.WriteString(`"}`)
	return b.String()
}

// TestLogCannotBeForged sends hostile requests to a real server, byte by byte,
// and reads its log where an operator does.
func TestLogCannotBeForged(t *testing.T) {
	n := 600
	if testing.Short() {
		n = 100
	}
	dir := t.TempDir()
	s := start(t, dir, []string{"DATABASE_URL=memory:", "LOG_FILE=parley.log", "LOG_LEVEL=debug", "RATE_LIMIT=0", "CSRF_SECRET=" + testSecret, "TRUST_PROXY=1"})
	rng := rand.New(rand.NewPCG(3, 7))
	request := func(id, method, target, body string, headers ...string) string {
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: x\r\nX-Request-Id: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", method, target, id, len(body))
		for _, h := range headers {
			b.WriteString(h + "\r\n")
		}
		return b.String() + "\r\n" + body
	}
	sent := map[string]int{} // the status of each request, by its id
	conn := connection{t: t, address: strings.TrimPrefix(s.url, "http://")}
	send := func(id, raw string) {
		sent[id] = conn.send(raw)
	}
	for i := range n {
		id := fmt.Sprint("hostile-", i)
		target, method := "/chat", "POST"
		switch rng.IntN(4) {
		case 0:
			target = "/" + url.PathEscape(hostileText(rng)) + "?" + url.QueryEscape(hostileText(rng))
		case 1:
			method = [...]string{"GET", "DELETE", "M-SEARCH", "!#$%&'*+-.^_`|~", strings.Repeat("M", 5000)}[rng.IntN(5)]
		}
		var headers []string
		for _, name := range []string{"User-Agent", "X-Forwarded-For", "Origin", "Referer", "Cookie"} {
			headers = append(headers, name+": "+headerValue(hostileText(rng)))
		}
		if i%10 == 0 {
			headers = append(headers, "X-Csrf-Token: "+headerValue(hostileText(rng)))
		}
		send(id, request(id, method, target, rawBody(hostileText(rng)), headers...))
	}
	// As large as a header may be, in each of its parts.
	large := strings.Repeat("\u009b", 7<<10)
	send("large-agent", request("large-agent", "POST", "/chat", rawBody("hi"), "User-Agent: "+large))
	send("large-path", request("large-path", "POST", "/"+strings.Repeat("%0a", 5<<10), rawBody("hi")))
	send("large-query", request("large-query", "POST", "/chat?"+strings.Repeat("%0a", 5<<10), rawBody("hi")))
	send("large-addresses", request("large-addresses", "POST", "/chat", rawBody("hi"), "X-Forwarded-For: "+strings.Repeat("x,", 7<<10)))
	send("large-prompt", request("large-prompt", "POST", "/chat", rawBody(strings.Repeat("\u2028\x1b", 30<<10))))
	send("many-headers", request("many-headers", "POST", "/chat", rawBody("hi"), strings.Repeat("A: b\r\n", 2500)+"C: d"))
	send("folded", request("folded", "POST", "/chat", rawBody("hi"), "User-Agent: a\r\n {\"msg\":\"request\"}"))
	// What net/http refuses is no request to anybody else.
	refused := 0
	for _, raw := range []string{
		request("refused", "POST", "/chat", rawBody("hi"), "User-Agent: a\x1b[2Jb"),
		request("refused", "POST", "/chat", rawBody("hi"), "User-Agent: a\rb"),
		request("refused", "POST", "/chat\x1b[2J", rawBody("hi")),
		request("refused", "PO\x00ST", "/chat", rawBody("hi")),
		request("refused", "POST", "/chat", rawBody("hi"), "User-Agent: "+strings.Repeat("a", 32<<10)),
	} {
		if status := conn.send(raw); status == http.StatusBadRequest || status == http.StatusRequestHeaderFieldsTooLarge {
			refused++
		} else {
			t.Errorf("%.60q gets %d; want 400 or 431 of net/http", raw, status)
		}
	}
	conn.close()

	code, _, lines := s.stop(syscall.SIGTERM)
	if code != exitOK {
		t.Errorf("the server ends with %d; want 0", code)
	}
	stdout := strings.Join(lines, "\n") + "\n"
	checkLog(t, "standard output", stdout, sent)
	file, err := os.ReadFile(filepath.Join(dir, "parley.log"))
	if err != nil {
		t.Fatal(err)
	}
	if string(file) != stdout {
		t.Errorf("LOG_FILE has %d bytes and standard output %d; want the same lines", len(file), len(stdout))
	}
	checkLog(t, "LOG_FILE", string(file), sent)
	statuses := map[int]int{}
	for _, status := range sent {
		statuses[status]++
	}
	for _, status := range []int{200, 403, 404, 405, 413} {
		if statuses[status] == 0 {
			t.Errorf("no request was answered with %d; the statuses are %v", status, statuses)
		}
	}
	t.Logf("%d requests, a line each: %v; %d refused by net/http, without one", len(sent), statuses, refused)
}

// A connection sends requests as they are. It is opened anew when the server
// closes it.
type connection struct {
	t       *testing.T
	address string
	conn    net.Conn
	answers *bufio.Reader
}

// send returns the status of the answer.
func (c *connection) send(raw string) int {
	c.t.Helper()
	if c.conn == nil {
		c.open()
	}
	if _, err := c.conn.Write([]byte(raw)); err != nil {
		c.t.Fatal(err)
	}
	method, _, _ := strings.Cut(raw, " ")
	answer, err := http.ReadResponse(c.answers, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("no answer to %.200q: %v", raw, err)
	}
	read(c.t, answer)
	if answer.Close {
		c.close()
	}
	return answer.StatusCode
}

func (c *connection) open() {
	c.t.Helper()
	conn, err := net.Dial("tcp", c.address)
	if err != nil {
		c.t.Fatal(err)
	}
	c.conn, c.answers = conn, bufio.NewReader(conn)
}

func (c *connection) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// checkLog checks that a log is lines of JSON without anything in them that a
// terminal or a reader of lines takes for more than text, and that there is
// exactly one about each request, with its status.
func checkLog(t *testing.T, name, log string, sent map[string]int) {
	t.Helper()
	if problem := lineProblem(log); problem != "" {
		t.Errorf("%s: %s", name, problem)
	}
	seen := map[string]int{}
	for line := range strings.Lines(log) {
		var entry struct {
			Msg    string
			ID     string `json:"request_id"`
			Status int
			Prompt string
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Msg != "request" {
			continue
		}
		seen[entry.ID]++
		if want, ok := sent[entry.ID]; !ok || entry.Status != want {
			t.Errorf("%s has a request %q with status %d; want %d", name, entry.ID, entry.Status, want)
		}
		if utf8.RuneCountInString(entry.Prompt) > 100 {
			t.Errorf("%s has a prompt of %d characters; want 100 at most", name, utf8.RuneCountInString(entry.Prompt))
		}
	}
	for id := range sent {
		if seen[id] != 1 {
			t.Errorf("%s has %d lines about the request %s; want 1", name, seen[id], id)
		}
	}
}

// lineProblem returns what is wrong with the lines of a log, or nothing.
func lineProblem(log string) string {
	if !utf8.ValidString(log) {
		return "it is not UTF-8"
	}
	for line := range bytes.Lines([]byte(log)) {
		text, ended := bytes.CutSuffix(line, []byte("\n"))
		var entry struct{ Time, Level, Msg string }
		if err := json.Unmarshal(text, &entry); err != nil || !ended || entry.Time == "" || entry.Level == "" || entry.Msg == "" {
			return fmt.Sprintf("%.300q is no entry of a log: %v", line, err)
		}
		for _, r := range string(text) {
			if r < ' ' || 0x7f <= r && r <= 0x9f || r == '\u2028' || r == '\u2029' {
				return fmt.Sprintf("there is a %U in %.300q", r, line)
			}
		}
		if len(line) > 16<<10 {
			return fmt.Sprintf("a line has %d bytes", len(line))
		}
	}
	return ""
}

// TestForgedLogsAreSeen is the control.
func TestForgedLogsAreSeen(t *testing.T) {
	const good = `{"time":"2026-11-23T12:00:00Z","level":"INFO","msg":"request"}` + "\n"
	if problem := lineProblem(good + good); problem != "" {
		t.Errorf("a good log has the problem that %s", problem)
	}
	for _, bad := range []string{
		good + "x\n", good + "\n", good + good[:20], strings.TrimSpace(good), good + "{}\n",
		strings.Replace(good, "request", "a\x1b[2J", 1), strings.Replace(good, "request", "a\u2028b", 1),
		strings.Replace(good, "request", "a\u009bb", 1), strings.Replace(good, "request", "a\xff", 1),
		strings.Replace(good, "request", strings.Repeat("a", 20<<10), 1),
	} {
		if lineProblem(bad) == "" {
			t.Errorf("%.200q passes for a log", bad)
		}
	}
}
