package parley_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/parley-chat/parley"
)

// seedBodies adds the bodies of vectors, but for the largest, which only slow
// the fuzzer down.
func seedBodies(f *testing.F, files ...string) {
	for _, file := range files {
		for _, v := range readVectors[requestVector](f, file) {
			if body := v.body(f); len(body) < 4096 {
				f.Add(body)
			}
		}
	}
}

// objectOf decodes a body as encoding/json does, and reports whether a key of
// the object stands there twice, which encoding/json lets pass.
func objectOf(body []byte) (object map[string]json.RawMessage, twice bool, err error) {
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	if err := json.Unmarshal(body, &object); err != nil {
		return nil, false, err
	}
	if object == nil {
		return nil, false, errors.New("null")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.Token()
	members := 0
	for dec.More() {
		dec.Token()
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, false, err
		}
		members++
	}
	return object, members != len(object), nil
}

// stringOf decodes a JSON string, and reports whether it is one.
func stringOf(data json.RawMessage) (string, bool) {
	var s *string
	if json.Unmarshal(data, &s) != nil || s == nil {
		return "", false
	}
	return *s, true
}

// FuzzChatBody: whatever the body is, the answer is JSON with a status of the
// contract, no failure of ours, and agrees with encoding/json on what was said.
func FuzzChatBody(f *testing.F) {
	seedBodies(f, "chat.json", "forms.json")
	// Nothing is kept, so that a million runs fit and none is another's twin.
	h := newChat(f, parley.Config{Store: &forgetfulStore{Memory: parley.NewMemory(), forgets: true}, Retention: time.Minute}).Handler()
	f.Fuzz(func(t *testing.T, body []byte) {
		w := post(h, "/chat", string(body))
		var answer struct {
			Output string `json:"output"`
			Error  string `json:"error"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || !utf8.Valid(w.Body.Bytes()) {
			t.Fatalf("the answer %q is not JSON: %v", w.Body, err)
		}
		object, twice, err := objectOf(body)
		prompt, isText := stringOf(object["prompt"])
		switch {
		case w.Code == http.StatusRequestEntityTooLarge && len(body) > 64<<10:
		case w.Code == http.StatusBadRequest && answer.Error == "Invalid JSON":
			if err == nil && !twice {
				t.Fatalf("encoding/json reads the object %s, which was refused", object)
			}
		case err != nil || twice:
			t.Fatalf("the answer is %d %q, but encoding/json says %v, twice: %t", w.Code, answer.Error, err, twice)
		case w.Code == http.StatusBadRequest && answer.Error == "Invalid prompt":
			if isText && strings.ContainsFunc(prompt, func(r rune) bool { return r > ' ' && r < 0x7f }) {
				t.Fatalf("the prompt %q was called invalid", prompt)
			}
		case w.Code == http.StatusBadRequest && answer.Error == "Prompt too long":
			if len([]rune(prompt)) <= 500 {
				t.Fatalf("a prompt of %d characters was called too long", len([]rune(prompt)))
			}
		case w.Code == http.StatusBadRequest && answer.Error == "Invalid session_id":
			if string(object["session_id"]) == "null" {
				t.Fatal("a session that is null was called invalid")
			}
		case w.Code == http.StatusOK:
			if !isText || answer.Output != "You said: "+prompt {
				t.Fatalf("the bot heard %q, encoding/json reads %q", answer.Output, prompt)
			}
			if id, ok := stringOf(object["session_id"]); string(object["session_id"]) != "null" && (!ok || id == "" || len(id) > 256) {
				t.Fatalf("the session %s was accepted", object["session_id"])
			}
		default:
			t.Fatalf("the answer is %d %s, which the contract does not know", w.Code, w.Body)
		}
	})
}

// FuzzFormBody: whatever the body is, the answer is one of the contract, and
// success means that every value is what the form asks for.
func FuzzFormBody(f *testing.F) {
	seedBodies(f, "forms.json", "chat.json")
	cfg := vectorConfig(f)
	fields := map[string]parley.Field{}
	for _, field := range cfg.Forms["feedback"].Fields {
		fields[field.ID] = field
	}
	h := newChat(f, cfg).Handler()
	f.Fuzz(func(t *testing.T, body []byte) {
		w := post(h, "/forms/feedback", string(body))
		var answer struct {
			Success bool              `json:"success"`
			Message string            `json:"message"`
			Error   string            `json:"error"`
			Errors  map[string]string `json:"errors"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || !utf8.Valid(w.Body.Bytes()) {
			t.Fatalf("the answer %q is not JSON: %v", w.Body, err)
		}
		object, twice, err := objectOf(body)
		switch {
		case w.Code == http.StatusRequestEntityTooLarge && len(body) > 256<<10:
		case w.Code == http.StatusBadRequest && answer.Error == "Invalid JSON" && answer.Errors == nil:
			if err == nil && !twice {
				t.Fatalf("encoding/json reads the object %s, which was refused", object)
			}
		case err != nil || twice:
			t.Fatalf("the answer is %d %q, but encoding/json says %v, twice: %t", w.Code, answer.Error, err, twice)
		case w.Code == http.StatusBadRequest:
			if len(answer.Errors) == 0 || !slices.Contains(slices.Collect(maps.Values(answer.Errors)), answer.Error) {
				t.Fatalf("the error %q is none of %q", answer.Error, answer.Errors)
			}
		case w.Code == http.StatusOK && answer.Success:
			for id, value := range object {
				field, known := fields[id]
				if !known {
					t.Fatalf("%q is no field of the form, and was accepted", id)
				}
				text, isText := stringOf(value)
				if isText && len([]rune(text)) > 5000 || isText && field.Type == "checkbox" {
					t.Fatalf("%s was accepted as %.100q", id, text)
				}
			}
			if topic, _ := stringOf(object["topic"]); topic != "bug" && topic != "idea" || string(object["consent"]) != "true" {
				t.Fatalf("%s was accepted, though something required is missing", body)
			}
		default:
			t.Fatalf("the answer is %d %s, which the contract does not know", w.Code, w.Body)
		}
	})
}

// FuzzOrigins: a list of origins is refused with reasons or works, and an origin
// is allowed only where the list, or the rule without one, says so.
func FuzzOrigins(f *testing.F) {
	for _, test := range originLists {
		for _, origin := range slices.Concat(test.yes, test.no) {
			f.Add(test.list, origin, "chat.example.net")
		}
	}
	for _, list := range []string{"https://*.com", "http://127.1", "http://[::ffff:1.2.3.4]", "https://example.com:443", "https://a.com,b.com", "* null", "https://xn--bcher-kva.example"} {
		f.Add(list, list, list)
	}
	f.Fuzz(func(t *testing.T, list, origin, host string) {
		entries := strings.Split(list, " ")
		if list == "" {
			entries = nil
		}
		chat, err := parley.New(parley.Config{Bot: sayBot, Logger: quiet, AllowedOrigins: entries})
		if err != nil {
			var problems parley.Problems
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("the list %q was refused with %v, which are no problems", entries, err)
			}
			for _, p := range problems {
				if !strings.HasPrefix(p.Path, "AllowedOrigins[") || p.Reason == "" {
					t.Fatalf("the list %q was refused with %v", entries, p)
				}
			}
			return
		}
		h := chat.Handler()
		defer chat.Shutdown(t.Context())
		if got := allowedOrigin(h, "POST", host, origin); got != "" {
			if (got != origin && got != "*") || !mayBeAllowed(entries, origin, host) {
				t.Fatalf("with %q at %q, a page at %q is allowed as %q", entries, host, origin, got)
			}
		}
		for _, entry := range entries {
			if strings.Contains(entry, "*") {
				continue
			}
			if got := allowedOrigin(h, "POST", host, entry); got != entry {
				t.Fatalf("with %q, a page at %q is allowed as %q", entries, entry, got)
			}
			u, err := url.Parse(entry)
			if err != nil || u.Scheme+"://"+u.Host != entry || u.Host != strings.ToLower(u.Host) {
				t.Fatalf("%q was accepted, and is no origin: %v", entry, err)
			}
		}
	})
}

// mayBeAllowed is the rule in other words.
func mayBeAllowed(entries []string, origin, host string) bool {
	u, err := url.Parse(origin)
	if slices.Equal(entries, []string{"*"}) {
		return true
	}
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return false
	}
	if slices.Contains(entries, origin) || origin == "http://"+host || origin == "https://"+host {
		return true
	}
	if len(entries) == 0 {
		ip, err := netip.ParseAddr(u.Hostname())
		return u.Path == "" && u.User == nil && (err == nil && ip.IsLoopback() || u.Hostname() == "localhost" || strings.HasSuffix(u.Hostname(), ".localhost"))
	}
	return u.Path == "" && u.User == nil && slices.ContainsFunc(entries, func(entry string) bool {
		scheme, domain, ok := strings.Cut(entry, "://*")
		return ok && u.Scheme == scheme && strings.HasSuffix(u.Host, domain) && len(u.Host) > len(domain)
	})
}
