package parley_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley"
)

// A requestVector is one line of testdata/vectors/{chat,forms,routes}.json.
type requestVector struct {
	Name    string
	Fill    map[string]fill
	Request struct {
		Method  string
		Path    string
		Headers map[string]*string
		Body    *string
		Base64  *string
	}
	Response struct {
		Status  int
		Headers map[string]*string
		Body    json.RawMessage
	}
}

// fill is a marker's text and how many times it stands there.
type fill struct {
	text  string
	times int
}

func (f *fill) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&f.text, &f.times})
}

var requestFiles = []string{"chat.json", "forms.json", "routes.json"}

// readVectors reads a file of testdata/vectors.
func readVectors[V any](t testing.TB, file string) []V {
	t.Helper()
	var vectors []V
	dec := json.NewDecoder(bytes.NewReader(readFile(t, filepath.Join("testdata/vectors", file))))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&vectors); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return vectors
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// filled returns s with its markers replaced.
func (v requestVector) filled(s string) string {
	for marker, f := range v.Fill {
		s = strings.ReplaceAll(s, marker, strings.Repeat(f.text, f.times))
	}
	return s
}

// body returns the bytes that the vector sends.
func (v requestVector) body(t testing.TB) []byte {
	switch {
	case v.Request.Base64 != nil:
		data, err := base64.StdEncoding.DecodeString(*v.Request.Base64)
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		return data
	case v.Request.Body != nil:
		return []byte(v.filled(*v.Request.Body))
	}
	return nil
}

// request returns the request that the vector describes.
func (v requestVector) request(t testing.TB) *http.Request {
	method, path := v.Request.Method, v.Request.Path
	if method == "" {
		method = "POST"
	}
	if path == "" {
		path = "/chat"
	}
	r := httptest.NewRequest(method, path, bytes.NewReader(v.body(t)))
	r.Header.Set("Content-Type", "application/json")
	for name, value := range v.Request.Headers {
		switch {
		case value == nil:
			r.Header.Del(name)
		case name == "Host":
			r.Host = *value
		default:
			r.Header.Set(name, *value)
		}
	}
	return r
}

// compare reports where an answer is not the one that the vector expects.
func (v requestVector) compare(t *testing.T, answer *http.Response) {
	t.Helper()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != v.Response.Status {
		t.Fatalf("status is %d, want %d; body: %.200s", answer.StatusCode, v.Response.Status, body)
	}
	for name, want := range v.Response.Headers {
		got, there := answer.Header[http.CanonicalHeaderKey(name)]
		switch {
		case want == nil && there:
			t.Errorf("header %s is %q, want none", name, got)
		case want != nil && !slices.Equal(got, []string{*want}):
			t.Errorf("header %s is %q, want %q", name, got, *want)
		}
	}
	if len(v.Response.Body) > 0 {
		wantSameJSON(t, "body", body, []byte(v.filled(string(v.Response.Body))))
	}
	if answer.StatusCode == http.StatusNoContent && len(body) > 0 {
		t.Errorf("body of a 204 is %q, want none", body)
	}
}

// wantSameJSON reports JSON that differs from what was expected.
func wantSameJSON(t *testing.T, what string, got, want []byte) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatalf("%s is not JSON: %v: %.200s", what, err, got)
	}
	if err := json.Unmarshal(want, &w); err != nil {
		t.Fatalf("expected %s is not JSON: %v: %.200s", what, err, want)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("%s is\n%.500s\nwant\n%.500s", what, got, want)
	}
}

// quiet is a logger for tests that provoke what gets logged.
var quiet = slog.New(slog.DiscardHandler)

// sayBot answers every prompt with "You said: " and the prompt.
var sayBot = parley.BotFunc(sayBack)

// newChat returns a running chat that is shut down when the test ends.
func newChat(t testing.TB, cfg parley.Config) *parley.Chat {
	t.Helper()
	if cfg.Bot == nil {
		cfg.Bot = sayBot
	}
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	chat, err := parley.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := chat.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown returned %v, want every turn to have ended", err)
		}
	})
	return chat
}

// vectorConfig says which chat the vectors are made for.
func vectorConfig(t testing.TB) parley.Config {
	t.Helper()
	var feedback parley.Form
	if err := json.Unmarshal(readFile(t, "testdata/vectors/feedback-form.json"), &feedback); err != nil {
		t.Fatal(err)
	}
	return parley.Config{Forms: map[string]parley.Form{"feedback": feedback}}
}

func TestRequestVectors(t *testing.T) {
	for _, file := range requestFiles {
		t.Run(strings.TrimSuffix(file, ".json"), func(t *testing.T) {
			handler := newChat(t, vectorConfig(t)).Handler()
			for _, v := range readVectors[requestVector](t, file) {
				t.Run(v.Name, func(t *testing.T) {
					w := httptest.NewRecorder()
					handler.ServeHTTP(w, v.request(t))
					v.compare(t, w.Result())
				})
			}
		})
	}
}

// The same over a real connection, where net/http has its own opinion on
// bodies, lengths and headers.
func TestRequestVectorsOverTheNetwork(t *testing.T) {
	server := httptest.NewServer(newChat(t, vectorConfig(t)).Handler())
	defer server.Close()
	for _, file := range requestFiles {
		for _, v := range readVectors[requestVector](t, file) {
			t.Run(v.Name, func(t *testing.T) {
				r := v.request(t)
				r.RequestURI = ""
				r.URL.Scheme, r.URL.Host = "http", server.Listener.Addr().String()
				if r.Host == "example.com" { // what httptest puts there
					r.Host = ""
				}
				answer, err := server.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer answer.Body.Close()
				v.compare(t, answer)
			})
		}
	}
}

// A replyVector is one line of testdata/vectors/reply-*.json.
type replyVector struct {
	Name      string
	Reply     json.RawMessage
	Text      string
	Encoded   json.RawMessage
	Problems  []string
	Malformed bool
}

func replyFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/vectors/reply-*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no reply vectors: %v", err)
	}
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	return files
}

func TestReplyVectors(t *testing.T) {
	for _, file := range replyFiles(t) {
		t.Run(strings.TrimSuffix(file, ".json"), func(t *testing.T) {
			for _, v := range readVectors[replyVector](t, file) {
				t.Run(v.Name, v.run)
			}
		})
	}
}

func (v replyVector) run(t *testing.T) {
	var reply parley.Reply
	err := json.Unmarshal(v.Reply, &reply)
	if (err != nil) != v.Malformed {
		t.Fatalf("decoding returned %v, malformed should be %t", err, v.Malformed)
	}
	if v.Malformed {
		return
	}
	if len(v.Problems) > 0 {
		var problems parley.Problems
		if err := reply.Validate(); !errors.As(err, &problems) {
			t.Fatalf("Validate returned %v, want problems at %q", err, v.Problems)
		}
		var paths []string
		for _, p := range problems {
			paths = append(paths, p.Path)
		}
		slices.Sort(paths)
		want := slices.Sorted(slices.Values(v.Problems))
		if !slices.Equal(paths, want) {
			t.Errorf("problems are at %q, want %q: %v", paths, want, problems)
		}
		return
	}
	if err := reply.Validate(); err != nil {
		t.Fatalf("Validate returned %v, want nil", err)
	}
	if reply.Text != v.Text {
		t.Errorf("text is %q, want %q", reply.Text, v.Text)
	}
	if !strings.HasPrefix(reply.PlainText(), strings.TrimSpace(v.Text)) {
		t.Errorf("plain text is %q, want it to begin with %q", reply.PlainText(), v.Text)
	}
	want := v.Encoded
	if want == nil {
		want = v.Reply
	}
	encoded, err := json.Marshal(reply)
	if err != nil {
		t.Fatal(err)
	}
	wantSameJSON(t, "encoded reply", encoded, want)
	var again parley.Reply
	if err := json.Unmarshal(encoded, &again); err != nil {
		t.Fatalf("decode the encoded reply: %v", err)
	}
	twice, err := json.Marshal(again)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encoded, twice) {
		t.Errorf("encoding again gives\n%s\nwant the same bytes\n%s", twice, encoded)
	}
}

func TestEveryContentKindHasVectors(t *testing.T) {
	for _, kind := range parley.ContentTypes() {
		file := "reply-" + kind + ".json"
		if _, err := os.Stat(filepath.Join("testdata/vectors", file)); err != nil {
			t.Errorf("content_type %q has no testdata/vectors/%s", kind, file)
			continue
		}
		valid, invalid, example := 0, 0, false
		for _, v := range readVectors[replyVector](t, file) {
			if v.Problems == nil && !v.Malformed {
				valid++
			} else {
				invalid++
			}
			example = example || v.Name == "example" && strings.Contains(string(v.Reply), `"content_type":"`+kind+`"`)
		}
		if valid < 2 || invalid < 2 || !example {
			t.Errorf("%s has %d valid and %d invalid vectors, example: %t; want two of each at least and an example", file, valid, invalid, example)
		}
	}
}

func TestVectorNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	check := func(file, name string) {
		if key := file + ": " + name; seen[key] {
			t.Errorf("%s is there twice", key)
		} else {
			seen[key] = true
		}
	}
	for _, file := range requestFiles {
		for _, v := range readVectors[requestVector](t, file) {
			check(file, v.Name)
		}
	}
	for _, file := range replyFiles(t) {
		for _, v := range readVectors[replyVector](t, file) {
			check(file, v.Name)
		}
	}
}
