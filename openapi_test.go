package parley_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/parley-chat/parley"
)

// openAPI returns the description that the server hands out, checked.
func openAPI(t *testing.T) (*openapi3.T, routers.Router) {
	t.Helper()
	w := get(newChat(t, parley.Config{}).Handler(), "/openapi.json")
	doc, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("the description is not valid: %v", err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return doc, router
}

// validate returns how a request and its answer differ from the description.
func validate(r *http.Request, body []byte, route *routers.Route, params map[string]string, answer *http.Response) (request, response error) {
	input := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route}
	r.Body = io.NopCloser(bytes.NewReader(body))
	request = openapi3filter.ValidateRequest(context.Background(), input)
	response = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input,
		Status:                 answer.StatusCode,
		Header:                 answer.Header,
		Body:                   answer.Body,
		Options:                &openapi3filter.Options{IncludeResponseStatus: true},
	})
	return request, response
}

// Every vector agrees with the description: what is accepted is described as
// valid, and every answer has a status, headers and a body that are described.
func TestVectorsAgreeWithOpenAPI(t *testing.T) {
	if testing.Short() {
		t.Skip("the validator is slow under the race detector; run without -short")
	}
	_, router := openAPI(t)
	h := newChat(t, vectorConfig(t)).Handler()
	covered := map[string]bool{}
	for _, file := range requestFiles {
		for _, v := range readVectors[requestVector](t, file) {
			t.Run(strings.TrimSuffix(file, ".json")+"/"+v.Name, func(t *testing.T) {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, v.request(t))
				r := v.request(t)
				route, params, err := router.FindRoute(r)
				if err != nil {
					if w.Code != 404 && w.Code != 405 && r.Method != "HEAD" {
						t.Errorf("%s %s is not described, but answered with %d: %v", r.Method, r.URL.Path, w.Code, err)
					}
					return
				}
				request, response := validate(r, v.body(t), route, params, w.Result())
				if w.Code < 300 && request != nil && !bytes.HasPrefix(v.body(t), []byte("\ufeff")) { // the validator knows no byte order mark
					t.Errorf("the request is accepted, but described as invalid: %v", request)
				}
				if response != nil {
					t.Errorf("the answer %d is not described: %v", w.Code, response)
				}
				covered[route.Method+" "+route.Path+" "+http.StatusText(w.Code)] = true
			})
		}
	}
	for _, want := range []string{"POST /chat OK", "POST /chat Bad Request", "POST /chat Request Entity Too Large", "POST /chat Unsupported Media Type", "POST /contact-form OK", "POST /contact-form Bad Request", "POST /forms/{id} Not Found", "GET /health OK", "GET /ready OK", "OPTIONS /chat No Content"} {
		if !covered[want] {
			t.Errorf("no vector covers %s", want)
		}
	}
}

// What the schemas can say is refused by the schemas: types, what is missing,
// and what is blank. (They cannot count UTF-16 code units.)
func TestOpenAPIRefusesBadPrompts(t *testing.T) {
	_, router := openAPI(t)
	h := newChat(t, vectorConfig(t)).Handler()
	for _, v := range readVectors[requestVector](t, "chat.json") {
		var object map[string]any
		if v.Response.Status != 400 || json.Unmarshal(v.body(t), &object) != nil || v.Fill != nil || !strings.HasPrefix(v.Name, "prompt is") && !strings.HasPrefix(v.Name, "session_id") {
			continue
		}
		if prompt, ok := object["prompt"].(string); ok && strings.Trim(prompt, " ") != "" && strings.HasPrefix(v.Name, "prompt") {
			continue // white space that the validator's \S does not know, unlike JavaScript's
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, v.request(t))
		r := v.request(t)
		route, params, err := router.FindRoute(r)
		if err != nil {
			t.Fatal(err)
		}
		if request, _ := validate(r, v.body(t), route, params, w.Result()); request == nil {
			t.Errorf("%s: the body %s is refused with 400, but described as valid", v.Name, v.body(t))
		}
	}
}

// The statuses that no vector brings about.
func TestFailuresAgreeWithOpenAPI(t *testing.T) {
	_, router := openAPI(t)
	busy := newChat(t, parley.Config{})
	if err := busy.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	broken := func(err error) http.Handler {
		return newChat(t, parley.Config{Store: &brokenStore{Store: parley.NewMemory(), begin: err, submit: err, transcript: err}}).Handler()
	}
	refuse := func(code parley.Code) http.Handler {
		return newChat(t, parley.Config{Middleware: []func(http.Handler) http.Handler{func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				parley.WriteError(w, &parley.Error{Code: code, Message: "No"})
			})
		}}}).Handler()
	}
	reused := newChat(t, parley.Config{}).Handler()
	post(reused, "/chat", `{"prompt":"first","session_id":"s"}`, "Idempotency-Key", "k")
	for _, test := range []struct {
		name, method, path string
		h                  http.Handler
		status             int
	}{
		{"key used again", "POST", "/chat", reused, 422},
		{"store fails", "POST", "/chat", broken(errDisk), 500},
		{"store away", "POST", "/chat", broken(errAway), 503},
		{"stopping", "POST", "/chat", busy.Handler(), 503},
		{"CSRF", "POST", "/chat", refuse(parley.CodeForbidden), 403},
		{"limit", "POST", "/chat", refuse(parley.CodeRateLimited), 429},
		{"form, store fails", "POST", "/contact-form", broken(errDisk), 500},
		{"form, store away", "POST", "/contact-form", broken(errAway), 503},
		{"form, CSRF", "POST", "/contact-form", refuse(parley.CodeForbidden), 403},
		{"form, limit", "POST", "/contact-form", refuse(parley.CodeRateLimited), 429},
		{"not ready", "GET", "/ready", broken(errAway), 503},
		{"stopping, not ready", "GET", "/ready", busy.Handler(), 503},
	} {
		t.Run(test.name, func(t *testing.T) {
			body := hello
			if test.path == "/contact-form" {
				body = contact
			}
			r := httptest.NewRequest(test.method, test.path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Idempotency-Key", "k")
			w := httptest.NewRecorder()
			test.h.ServeHTTP(w, r)
			if w.Code != test.status {
				t.Fatalf("status is %d, want %d", w.Code, test.status)
			}
			route, params, err := router.FindRoute(r)
			if err != nil {
				t.Fatal(err)
			}
			if _, response := validate(r, []byte(body), route, params, w.Result()); response != nil {
				t.Errorf("the answer is not described: %v", response)
			}
		})
	}
}

// Every reply that the server may send is described, and what it never sends is
// not.
func TestReplyVectorsAgreeWithOpenAPI(t *testing.T) {
	if testing.Short() {
		t.Skip("the validator is slow under the race detector; run without -short")
	}
	doc, router := openAPI(t)
	r := httptest.NewRequest("POST", "/chat", nil)
	route, params, err := router.FindRoute(r)
	if err != nil {
		t.Fatal(err)
	}
	check := func(reply []byte) error {
		answer := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}}, Body: io.NopCloser(bytes.NewReader(reply))}
		_, response := validate(r, nil, route, params, answer)
		return response
	}
	for _, file := range replyFiles(t) {
		for _, v := range readVectors[replyVector](t, file) {
			t.Run(strings.TrimSuffix(file, ".json")+"/"+v.Name, func(t *testing.T) {
				switch {
				case v.Malformed:
					if err := check(v.Reply); err == nil {
						t.Error("a reply that cannot be decoded is described as valid")
					}
				case v.Problems != nil:
					return // the schemas do not know link schemes and what is unique
				case v.Encoded != nil:
					if err := check(v.Encoded); err != nil {
						t.Errorf("the reply is not described: %v", err)
					}
				default:
					if err := check(v.Reply); err != nil {
						t.Errorf("the reply is not described: %v", err)
					}
				}
			})
		}
	}
	for _, kind := range parley.ContentTypes() {
		if !strings.Contains(string(readFile(t, "openapi.json")), `"`+kind+`"`) {
			t.Errorf("openapi.json does not name the content_type %q", kind)
		}
	}
	field := doc.Components.Schemas["Field"].Value.Properties["type"].Value.Enum
	var types []string
	for _, v := range field {
		types = append(types, v.(string))
	}
	if want := parley.FieldTypes(); !slices.Equal(types, want) {
		t.Errorf("openapi.json has the field types %q, want %q", types, want)
	}
}

// Each reply of the description shows the example that the vectors have.
func TestOpenAPIExamplesAreTheVectors(t *testing.T) {
	doc, _ := openAPI(t)
	var got []string
	for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
		if !strings.HasSuffix(name, "Reply") || name == "Reply" {
			continue
		}
		for _, example := range doc.Components.Schemas[name].Value.Examples {
			data, err := json.Marshal(example)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(data))
		}
	}
	var want []string
	for _, file := range replyFiles(t) {
		var example any
		if err := json.Unmarshal(readVectors[replyVector](t, filepath.Base(file))[0].Reply, &example); err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(example)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, string(data))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the examples are\n%s\nwant the first vector of each kind\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
