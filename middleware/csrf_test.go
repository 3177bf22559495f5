package middleware_test

import (
	crand "crypto/rand"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/middleware"
)

func newCSRF(t testing.TB, required bool, secrets ...string) *middleware.CSRF {
	t.Helper()
	csrf, err := middleware.NewCSRF(required, secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return csrf
}

func TestCSRFCheck(t *testing.T) {
	good, _ := newCSRF(t, false, testSecret).Token()
	foreign, _ := newCSRF(t, false, "another secret of 16 bytes").Token()
	const refusal = `{"error":"Invalid CSRF token"}` + "\n"
	for _, test := range []struct {
		name     string
		secret   bool
		required bool
		header   http.Header
		passes   bool
	}{
		{"none", true, false, nil, true},
		{"none, required", true, true, nil, false},
		{"empty", true, false, http.Header{"X-Csrftoken": {""}}, true},
		{"empty, required", true, true, http.Header{"X-Csrftoken": {""}}, false},
		{"good", true, true, http.Header{"X-Csrftoken": {good}}, true},
		{"good, the widget's header", true, true, http.Header{"X-Csrf-Token": {good}}, true},
		{"good, both headers", true, true, http.Header{"X-Csrftoken": {good}, "X-Csrf-Token": {good}}, true},
		{"forged", true, false, http.Header{"X-Csrftoken": {"test-token"}}, false},
		{"forged, the widget's header", true, false, http.Header{"X-Csrf-Token": {"test-token"}}, false},
		{"of another secret", true, false, http.Header{"X-Csrftoken": {foreign}}, false},
		{"good beside a forged one", true, true, http.Header{"X-Csrftoken": {good}, "X-Csrf-Token": {"x"}}, false},
		{"good before a forged one", true, true, http.Header{"X-Csrftoken": {good, "x"}}, false},
		{"no secret", false, false, http.Header{"X-Csrftoken": {"test-token"}}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			csrf := newCSRF(t, false)
			if test.secret {
				csrf = newCSRF(t, test.required, testSecret)
			}
			passed := false
			h := csrf.Check(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed = true }))
			r := httptest.NewRequest("POST", "/chat", nil)
			for name, values := range test.header {
				r.Header[name] = values
			}
			w := serve(h, r)
			if passed != test.passes {
				t.Errorf("passed is %v, want %v", passed, test.passes)
			}
			if !test.passes && (w.Code != 403 || w.Body.String() != refusal) {
				t.Errorf("answered %d %s, want 403 %s", w.Code, w.Body, refusal)
			}
		})
	}
}

func TestCSRFTokensExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		csrf := newCSRF(t, false, testSecret)
		token, expires := csrf.Token()
		if life := time.Until(expires); life != 2*time.Hour {
			t.Errorf("the token lives for %v, want 2h", life)
		}
		time.Sleep(2*time.Hour - time.Second)
		if !csrf.Valid(token) {
			t.Error("the token is refused a second before it expires")
		}
		time.Sleep(time.Second)
		if csrf.Valid(token) {
			t.Error("the token is valid when it expires")
		}
	})
}

func TestCSRFSecretsRotate(t *testing.T) {
	const older, newer = "the older secret, 16+ bytes", "the newer secret, 16+ bytes"
	before, between, after := newCSRF(t, false, older), newCSRF(t, false, newer, older), newCSRF(t, false, newer)
	oldToken, _ := before.Token()
	newToken, _ := between.Token()
	for _, test := range []struct {
		name     string
		csrf     *middleware.CSRF
		old, new bool
	}{
		{"before", before, true, false},
		{"between", between, true, true},
		{"after", after, false, true},
	} {
		if test.csrf.Valid(oldToken) != test.old || test.csrf.Valid(newToken) != test.new {
			t.Errorf("%s the change, old tokens are valid: %v (want %v), new ones: %v (want %v)", test.name,
				test.csrf.Valid(oldToken), test.old, test.csrf.Valid(newToken), test.new)
		}
	}
}

func TestCSRFTellsWhatIsWrong(t *testing.T) {
	for _, test := range []struct {
		name     string
		required bool
		secrets  []string
		want     []string
	}{
		{"short", false, []string{"hunter2"}, []string{"[0]", "7 bytes", "openssl rand -hex 32"}},
		{"two short ones", false, []string{"hunter2", testSecret, ""}, []string{"[0]", "[2]"}},
		{"required without a secret", true, nil, []string{"no secret", "openssl rand -hex 32"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := middleware.NewCSRF(test.required, test.secrets...)
			var problems parley.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("error %v of type %T, want parley.Problems", err, err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %q tells a secret", err)
			}
		})
	}
}

func TestCSRFHandsOutTokens(t *testing.T) {
	csrf := newCSRF(t, false, testSecret)
	w := serve(csrf, httptest.NewRequest("GET", "/csrf-token", nil))
	answer := decode(t, w.Body.Bytes())
	token, _ := answer["csrf_token"].(string)
	expires, err := time.Parse(time.RFC3339, answer["expires_at"].(string))
	if w.Code != 200 || !csrf.Valid(token) || err != nil || time.Until(expires) > 2*time.Hour || len(answer) != 2 {
		t.Errorf("answered %d %v, want 200 with a valid csrf_token and when it expires_at", w.Code, answer)
	}
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("the headers are %v, want JSON that is not stored", w.Header())
	}
	if again, _ := csrf.Token(); again == token {
		t.Error("two tokens are the same")
	}
	if w := serve(newCSRF(t, false), httptest.NewRequest("GET", "/csrf-token", nil)); w.Code != 404 {
		t.Errorf("without a secret the answer is %d %s, want 404", w.Code, w.Body)
	}
}

// TestForgedTokensNeverPass changes good tokens a million times: each bit in
// turn and several at once, in what is encoded and in its text; and shortens,
// lengthens and joins them.
func TestForgedTokensNeverPass(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 20_000
	}
	csrf := newCSRF(t, false, testSecret, "another secret of 16 bytes")
	rng := rand.New(rand.NewPCG(1, 2))
	var token, other string
	for i := range n {
		if i%10_000 == 0 {
			token, _ = csrf.Token()
			other, _ = csrf.Token()
			if !csrf.Valid(token) || !csrf.Valid(other) { // or nothing below says anything
				t.Fatal("a good token is refused")
			}
		}
		forged := forge(rng, token, other, i)
		if forged != token && forged != other && csrf.Valid(forged) {
			t.Fatalf("%q was made of %q and is valid", forged, token)
		}
	}
}

func forge(rng *rand.Rand, token, other string, i int) string {
	switch i % 8 {
	default: // one bit
		data, _ := base64.RawURLEncoding.DecodeString(token)
		bit := (i / 8) % (8 * len(data))
		data[bit/8] ^= 1 << (bit % 8)
		return base64.RawURLEncoding.EncodeToString(data)
	case 3: // some bits
		data, _ := base64.RawURLEncoding.DecodeString(token)
		for range 1 + rng.IntN(8) {
			data[rng.IntN(len(data))] ^= 1 << rng.IntN(8)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	case 4: // a bit of the text
		text := []byte(token)
		text[rng.IntN(len(text))] ^= 1 << rng.IntN(8)
		return string(text)
	case 5: // the head of one and the tail of another
		cut := rng.IntN(len(token))
		return token[:cut] + other[cut:]
	case 6: // shorter, or longer
		return token[:rng.IntN(len(token))] + []string{"", "=", "\n", "A", "=="}[rng.IntN(5)]
	case 7: // longer
		cut := rng.IntN(len(token) + 1)
		return token[:cut] + []string{"\n", "\r\n", "=", "A", " "}[rng.IntN(5)] + token[cut:]
	}
}

func FuzzCSRF(f *testing.F) {
	// A secret for each process: the token of one is a forgery to all others.
	csrf := newCSRF(f, false, crand.Text())
	token, _ := csrf.Token()
	for _, seed := range []string{"", "test-token", token, token[1:], token + "A", strings.ToUpper(token)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, forged string) {
		if forged != token && csrf.Valid(forged) {
			t.Errorf("%q is valid, and nobody made it", forged)
		}
	})
}
