package middleware

import (
	"cmp"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/parley-chat/parley"
)

// A Rate is how many requests one client may make within a window.
type Rate struct {
	// Name tells this rate from others, on the wire, in the words of a refusal
	// ("Too many chat requests, …") and in the keys of a [parley.Limiter]: small
	// letters, digits and hyphens. Empty means "chat".
	Name string
	// Limit is the number of requests. 0 means 100.
	Limit int
	// Window is how long they count, from the first one on, in whole seconds. 0
	// means 15 minutes.
	Window time.Duration
}

// RateLimit lets each client, as [parley.Network] tells them apart, make as many
// requests as rate says, counted by limiter, and refuses more with 429 until
// the window ends. Refused requests are counted and cost nothing else.
//
// Every answer says how much is left, in the RateLimit-Policy and RateLimit
// headers of the IETF draft draft-ietf-httpapi-ratelimit-headers (revision 10)
// and in the X-RateLimit-Limit, -Remaining and -Reset that came before it, where
// Reset is in seconds of the Unix epoch. A refusal also has Retry-After.
//
// A nil limiter means a [MemoryLimiter] of its own. While any other fails, this
// process counts in memory at the same rate, and log (nil means
// [slog.Default]) is told.
//
// It expects the client's address in RemoteAddr; see [ClientAddr]. The error
// is of type [parley.Problems].
func RateLimit(rate Rate, limiter parley.Limiter, log *slog.Logger) (func(http.Handler) http.Handler, error) {
	rate, err := rate.check()
	if err != nil {
		return nil, err
	}
	switch limiter.(type) {
	case nil:
		limiter = NewMemoryLimiter(0)
	case *MemoryLimiter:
	default:
		limiter = newFallback(limiter, cmp.Or(log, slog.Default()))
	}
	limit := strconv.Itoa(rate.Limit)
	name := `"` + rate.Name + `"`
	policy := name + ";q=" + limit + ";w=" + strconv.Itoa(int(rate.Window/time.Second))
	tooMany := &parley.Error{Code: parley.CodeRateLimited, Message: "Too many " + rate.Name + " requests, please try again later."}

	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			key := rate.Name + " " + parley.Network(r.RemoteAddr)
			hit, _ := limiter.Take(r.Context(), key, rate.Limit, rate.Window) // these two do not fail
			left := strconv.Itoa(max(rate.Limit-hit.Count, 0))
			reset := seconds(hit.Reset)

			h := w.Header()
			h.Set("Ratelimit-Policy", policy) // in canonical form, which Set need not make
			h.Set("Ratelimit", name+";r="+left+";t="+reset)
			h.Set("X-Ratelimit-Limit", limit)
			h.Set("X-Ratelimit-Remaining", left)
			h.Set("X-Ratelimit-Reset", strconv.FormatInt(time.Now().Add(hit.Reset+time.Second-1).Unix(), 10))
			if hit.Count > rate.Limit {
				h.Set("Retry-After", reset) // the draft forbids one that is earlier than t
				parley.WriteError(w, tooMany)
				return
			}
			next.ServeHTTP(w, r)
		})
	}, nil
}

var rateName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// check returns the rate with its defaults, or everything that is wrong with it.
func (r Rate) check() (Rate, error) {
	var ps parley.Problems
	r.Name = cmp.Or(r.Name, "chat")
	r.Limit = cmp.Or(r.Limit, 100)
	r.Window = cmp.Or(r.Window, 15*time.Minute)
	if !rateName.MatchString(r.Name) {
		ps.Add("Name", "%q cannot stand in a header; write small letters, digits and hyphens, a letter first", r.Name)
	}
	if r.Limit < 0 {
		ps.Add("Limit", "%d is negative; write how many requests a client may make, such as 100", r.Limit)
	}
	if r.Window < time.Second || r.Window%time.Second != 0 {
		ps.Add("Window", "%v is not a whole number of seconds; write one like 15m", r.Window)
	}
	return r, ps.Err()
}

// seconds returns d in seconds, rounded up, at least 1.
func seconds(d time.Duration) string {
	return strconv.FormatInt(max(int64((d+time.Second-1)/time.Second), 1), 10)
}
