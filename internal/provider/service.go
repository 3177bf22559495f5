// Package provider is what the bots that ask a model's provider have in common:
// checked settings, a connection with limits, an answer that comes piece by
// piece, and what to tell the operator when it does not come.
//
// The SDK of each provider knows the provider's API. All that it would do beyond
// that (reading the environment, retries, errors that quote a request) is left
// to this package or switched off.
package provider

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/parley-chat/parley"
)

// DefaultSystem is the system prompt of a bot that is given none.
const DefaultSystem = "You are a helpful assistant on a website. You talk to its visitors. " +
	"Answer briefly and to the point, in the language in which the visitor writes. " +
	"If you do not know something, say so, and never make up facts."

// Settings are what every provider's bot is made of. The names of the fields
// are those of the bots' own Config, so that a [parley.Problem] names them.
type Settings struct {
	APIKey         string
	BaseURL        *url.URL
	Model          string
	System         string // empty means DefaultSystem
	MaxTokens      int
	Temperature    *float64
	MaxTemperature float64
	HistoryTurns   int // 0 means 10; -1 means none
	HistoryTokens  int // 0 means 2000
	Headers        map[string]string
	HTTPClient     *http.Client

	// KeyName is what an operator calls the key, as in "OPENAI_API_KEY".
	KeyName string
	// KeyOptional lets the key be empty, for a server of one's own.
	KeyOptional bool
}

// A Service is a provider that is asked with the same settings each time. It is
// safe for concurrent use.
type Service struct {
	Settings
	Client *http.Client
	hide   *strings.Replacer
}

// New returns a service, or every [parley.Problem] of s at once.
func New(s Settings) (*Service, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	s.System = cmp.Or(s.System, DefaultSystem)
	s.HistoryTurns = cmp.Or(s.HistoryTurns, 10)
	s.HistoryTokens = cmp.Or(s.HistoryTokens, 2000)
	s.Headers = maps.Clone(s.Headers)
	var hide []string
	for _, secret := range append(slices.Collect(maps.Values(s.Headers)), s.APIKey) {
		if len(secret) >= minSecret {
			hide = append(hide, secret, "[hidden]")
		}
	}
	return &Service{Settings: s, Client: newClient(s.HTTPClient), hide: strings.NewReplacer(hide...)}, nil
}

// minSecret is the length from which on a key or the value of a header is
// hidden. Shorter ones are no secrets but placeholders, such as "none", and
// hiding them would garble the words that hold them.
const minSecret = 8

var (
	apiKey      = regexp.MustCompile(`^[!-~]*$`)
	headerName  = regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$") // RFC 9110, section 5.6.2
	headerValue = regexp.MustCompile(`^[\t -~\x{80}-\x{10FFFF}]*$`)   // section 5.5
	ownHeaders  = []string{"Accept", "Accept-Encoding", "Connection", "Content-Length", "Content-Type", "Host", "Transfer-Encoding"}
)

// check reports everything that is wrong with the settings but for the URL,
// which [ParseURL] checked.
func (s Settings) check() error {
	var ps parley.Problems
	switch {
	case s.APIKey == "" && !s.KeyOptional:
		ps.Add("APIKey", "is missing; write the provider's key, or the BaseURL of a server that needs none")
	case !apiKey.MatchString(s.APIKey):
		ps.Add("APIKey", "holds white space or characters that no key has; copy it once more")
	}
	if strings.TrimSpace(s.Model) == "" {
		ps.Add("Model", "is blank; write the name of a model, or nothing for the default")
	}
	if s.MaxTokens < 0 {
		ps.Add("MaxTokens", "%d is negative; write how long an answer may be, such as 500", s.MaxTokens)
	}
	if t := s.Temperature; t != nil && !(*t >= 0 && *t <= s.MaxTemperature) { // NaN is neither
		ps.Add("Temperature", "%v is not between 0 and %v", *t, s.MaxTemperature)
	}
	if s.HistoryTurns < -1 {
		ps.Add("HistoryTurns", "%d is negative; write -1 for no history", s.HistoryTurns)
	}
	if s.HistoryTokens < 0 {
		ps.Add("HistoryTokens", "%d is negative; for no history, set HistoryTurns to -1", s.HistoryTokens)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
		path := fmt.Sprintf("Headers[%q]", name)
		switch {
		case !headerName.MatchString(name):
			ps.Add(path, "is no name of a header; write letters, digits and dashes")
		case slices.Contains(ownHeaders, http.CanonicalHeaderKey(name)):
			ps.Add(path, "is set by the bot; leave it out")
		case !headerValue.MatchString(s.Headers[name]):
			ps.Add(path, "has a value with control characters, such as a line break; leave them out")
		}
	}
	return ps.Err()
}

// HasHeader reports whether headers have one of the given name, in whatever case.
func HasHeader(headers map[string]string, name string) bool {
	for h := range headers {
		if strings.EqualFold(h, name) {
			return true
		}
	}
	return false
}

// Messages returns what a model is told of a turn: the history, as far as the
// settings allow, and then the prompt. The roles alternate and begin with the
// visitor's.
func (s *Service) Messages(ctx context.Context, turn *parley.Turn) ([]parley.Message, error) {
	history, err := turn.History(ctx, s.HistoryTurns)
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	prompt := parley.Message{Role: parley.RoleUser, Content: turn.Prompt, Time: turn.Time}
	return append(parley.LastTokens(history, s.HistoryTokens), prompt), nil
}

// ParseURL reads the address of a provider, without slashes at the end of its
// path. If the path ends with one of the endpoints, such as "/chat/completions",
// it is cut off and returned. Errors do not quote the address.
func ParseURL(raw string, endpoints ...string) (base *url.URL, endpoint string, err error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil: // which may tell a password
		return nil, "", fmt.Errorf(`is not a URL; write one such as "https://llm.example.com/v1"`)
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return nil, "", fmt.Errorf(`has to begin with http:// or https:// and a host, as in "http://localhost:11434/v1"`)
	case u.User != nil:
		return nil, "", fmt.Errorf("holds a user or password, which end up in logs; write an APIKey, or an Authorization header")
	case u.Fragment != "":
		return nil, "", fmt.Errorf("has a part after #, which is never sent; leave it out")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	for _, e := range endpoints {
		if path, ok := strings.CutSuffix(u.Path, e); ok {
			u.Path = path
			return u, e, nil
		}
	}
	return u, "", nil
}
