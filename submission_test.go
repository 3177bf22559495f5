package parley_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-chat/parley"
)

const (
	contact = `{"name":"Ada","email":"ada@example.com","message":"Hello"}`
	thanks  = `{"message":"Thank you! We received your message and will respond soon.","success":true}`
)

// submissions returns what a store keeps of a form.
func submissions(t *testing.T, store parley.Store, form string) []parley.Submission {
	t.Helper()
	got, err := store.Submissions(t.Context(), form, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestSubmissionIsStoredAsItWasFilledIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := parley.NewMemory()
		cfg := vectorConfig(t)
		cfg.Store = store
		h := newChat(t, cfg).Handler()
		began := time.Now()
		wantAnswer(t, "the contact form", post(h, "/contact-form", `{"email":"ada@example.com","message":" Hi\n<b> ","name":" Ada "}`), 200, thanks)
		wantAnswer(t, "the feedback", post(h, "/forms/feedback", `{"topic":"bug","consent":true,"news":false,"tags":["price","docs"],"name":" ","comment":null}`), 200, thanks)
		for form, want := range map[string]parley.Values{
			"contact":  {"name": " Ada ", "email": "ada@example.com", "message": " Hi\n<b> "},
			"feedback": {"topic": "bug", "consent": true, "tags": []string{"price", "docs"}}, // what was not filled in is not there
		} {
			got := submissions(t, store, form)
			if len(got) != 1 || !reflect.DeepEqual(got[0].Values, want) {
				t.Fatalf("%s: stored are %+v, want the values %v", form, got, want)
			}
			if !got[0].Time.Equal(began) || got[0].Form != form || len(got[0].ID) < 22 {
				t.Errorf("%s: stored is %+v, want the time %v and an id that nobody guesses", form, got[0], began)
			}
		}
		if n := len(submissions(t, store, "")); n != 2 {
			t.Errorf("%d submissions are stored in all, want 2", n)
		}
	})
}

// Nothing is stored of a submission that is refused, and success is said only
// of one that is stored.
func TestOnlyAcceptedSubmissionsAreStored(t *testing.T) {
	store := parley.NewMemory()
	cfg := vectorConfig(t)
	cfg.Store = store
	h := newChat(t, cfg).Handler()
	cfg.Store = &brokenStore{Store: parley.NewMemory(), submit: errDisk}
	broken := newChat(t, cfg).Handler()
	want := 0
	for _, v := range readVectors[requestVector](t, "forms.json") {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, v.request(t))
		if w.Code == 200 {
			want++
		}
		if got := len(submissions(t, store, "")); got != want {
			t.Fatalf("%s: %d submissions are stored after %d successes", v.Name, got, want)
		}
		w = httptest.NewRecorder()
		broken.ServeHTTP(w, v.request(t))
		if w.Code == 200 {
			t.Errorf("%s: success was said though the store failed", v.Name)
		}
	}
	if want == 0 {
		t.Error("no vector of a form succeeds")
	}
}

func TestStoreFailuresOfAForm(t *testing.T) {
	for _, test := range []struct {
		name   string
		err    error
		status int
		retry  string
	}{
		{"the store fails", errDisk, 500, ""},
		{"the store is away", errAway, 503, "1"},
		{"the store takes too long", fmt.Errorf("submit: %w", context.DeadlineExceeded), 503, "1"},
		{"an error that only the store understands", errOdd, 500, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newChat(t, parley.Config{Store: &brokenStore{Store: parley.NewMemory(), submit: test.err}}).Handler()
			w := post(h, "/contact-form", contact)
			wantAnswer(t, "the form", w, test.status, apologyForm)
			if got := w.Header().Get("Retry-After"); got != test.retry {
				t.Errorf("Retry-After is %q, want %q", got, test.retry)
			}
		})
	}
}

// A stuckStore hangs until its context ends.
type stuckStore struct{ parley.Store }

func (stuckStore) Submit(ctx context.Context, _ parley.Submission) (parley.Submission, error) {
	<-ctx.Done()
	return parley.Submission{}, ctx.Err()
}

func TestFormDoesNotWaitForeverForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newChat(t, parley.Config{Store: stuckStore{parley.NewMemory()}}).Handler()
		began := time.Now()
		wantAnswer(t, "the form", post(h, "/contact-form", contact), 503, apologyForm)
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("the form waited %v, want 10s", took)
		}
	})
}

// A visitor who closes the page after sending has sent the form.
func TestFormOfAVisitorWhoLeftIsStored(t *testing.T) {
	store := parley.NewMemory()
	h := newChat(t, parley.Config{Store: store}).Handler()
	ctx, leave := context.WithCancel(t.Context())
	leave()
	r := httptest.NewRequest("POST", "/contact-form", strings.NewReader(contact)).WithContext(ctx)
	r.Header.Set("Content-Type", "application/json")
	h.ServeHTTP(httptest.NewRecorder(), r)
	if n := len(submissions(t, store, "contact")); n != 1 {
		t.Errorf("%d submissions are stored, want 1", n)
	}
}

// The server's expression for addresses against the contract's, read as
// JavaScript reads it.
func TestEmailExpressionIsTheContracts(t *testing.T) {
	const jsSpace = `\t\n\v\f\r \x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF}`
	oracle := regexp.MustCompile(`^[^` + jsSpace + `@]+@[^` + jsSpace + `@]+\.[^` + jsSpace + `@]+$`)
	h := newChat(t, parley.Config{}).Handler()
	for r := rune(0); r <= 0xFFFF; r++ {
		if r >= 0xD800 && r <= 0xDFFF {
			continue
		}
		if r > 0x3100 && r%97 != 0 && r < 0xFE00 { // no white space there
			continue
		}
		address := "a" + string(r) + "b@example.com"
		body, err := json.Marshal(map[string]string{"name": "Ada", "email": address, "message": "Hello"})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := post(h, "/contact-form", string(body)).Code == 200, oracle.MatchString(address); got != want {
			t.Errorf("an address with U+%04X is accepted: %t, want %t", r, got, want)
		}
	}
}

func TestContactFormIsTheContracts(t *testing.T) {
	form := parley.ContactForm()
	if err := form.Validate(); err != nil {
		t.Errorf("the contact form has problems: %v", err)
	}
	var got []string
	for _, f := range form.Fields {
		got = append(got, fmt.Sprint(f.ID, " ", f.Type, " ", f.Required))
	}
	if want := "name text true, email email true, message textarea true"; strings.Join(got, ", ") != want {
		t.Errorf("its fields are %q, want %q", got, want)
	}
	if path := parley.FormPath(parley.ContactFormID); path != "/contact-form" {
		t.Errorf("its path is %q, want /contact-form", path)
	}
	if path := parley.FormPath("feedback"); path != "/forms/feedback" {
		t.Errorf("the path of another form is %q, want /forms/feedback", path)
	}
}

func TestFormIDs(t *testing.T) {
	form := parley.Form{Fields: []parley.Field{{ID: "a", Type: "text", Label: "A"}}}
	for id, good := range map[string]bool{
		"feedback": true, "a": true, "0": true, "news-letter_2": true, strings.Repeat("a", 64): true,
		"": false, "Feedback": false, "-a": false, "a/b": false, "a b": false, "ä": false, "..": false, "contact": false, strings.Repeat("a", 65): false,
	} {
		chat, err := parley.New(parley.Config{Bot: sayBot, Forms: map[string]parley.Form{id: form}})
		if (err == nil) != good {
			t.Errorf("a form with the id %q gives %v, want it accepted: %t", id, err, good)
		}
		if err != nil {
			continue
		}
		wantAnswer(t, id, post(chat.Handler(), parley.FormPath(id), `{"a":"x"}`), 200, thanks)
		if err := chat.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestValuesKeepTheirTypes(t *testing.T) {
	want := parley.Values{"text": "x", "box": true, "list": []string{"a", "b"}, "none": []string{}}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got parley.Values
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("after JSON the values are %#v, want %#v", got, want)
	}
	if err := json.Unmarshal([]byte(`"x"`), &got); err == nil {
		t.Error("values were decoded from a string, want an error")
	}
}

func TestFormSentTwiceWithAKeyIsKeptOnce(t *testing.T) {
	store := parley.NewMemory()
	h := newChat(t, parley.Config{Store: store}).Handler()
	submit := func(key, name string) int {
		r := httptest.NewRequest("POST", "/contact-form", strings.NewReader(`{"name": "`+name+`", "email": "ada@example.com", "message": "Hello"}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", key)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	for _, test := range []struct {
		what, key, name string
		status, kept    int
	}{
		{"the first", "k1", "Ada", 200, 1},
		{"the same again", "k1", "Ada", 200, 1},
		{"another form under its key", "k1", "Grace", 422, 1},
		{"another key", "k2", "Ada", 200, 2},
		{"no key", "", "Ada", 200, 3},
		{"no key again", "", "Ada", 200, 4},
	} {
		if status := submit(test.key, test.name); status != test.status {
			t.Errorf("%s: answered with %d, want %d", test.what, status, test.status)
		}
		if kept, err := store.Submissions(t.Context(), "", 0, 10); err != nil || len(kept) != test.kept {
			t.Errorf("%s: %d submissions are kept (%v), want %d", test.what, len(kept), err, test.kept)
		}
	}
}

func TestFormsAreRefusedWhileStopping(t *testing.T) {
	store := parley.NewMemory()
	chat := newChat(t, parley.Config{Store: store})
	if err := chat.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/contact-form", strings.NewReader(`{"name": "Ada", "email": "ada@example.com", "message": "Hello"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	chat.Handler().ServeHTTP(w, r)
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("a form during the stop is answered with %d %s; want 503 with Retry-After", w.Code, w.Body)
	}
	if kept, err := store.Submissions(t.Context(), "", 0, 10); err != nil || len(kept) != 0 {
		t.Errorf("%d forms were kept (%v); want none", len(kept), err)
	}
}
