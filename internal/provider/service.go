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
	"strings"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/upstream"
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
	// TakesJSON lets an answer come as JSON, of a server that does not stream.
	TakesJSON bool
}

// A Service is a provider that is asked with the same settings each time. It is
// safe for concurrent use.
type Service struct {
	Settings
	*upstream.Server
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
	return &Service{Settings: s, Server: upstream.NewServer(s.BaseURL, s.HTTPClient, s.Headers, s.APIKey)}, nil
}

var apiKey = regexp.MustCompile(`^[!-~]*$`)

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
	ps.AddAll("Headers", upstream.CheckHeaders(s.Headers))
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
	u, err := upstream.ParseURL(raw, "https://llm.example.com/v1")
	if err != nil {
		return nil, "", err
	}
	path := strings.TrimRight(u.EscapedPath(), "/") // an escaped slash is a part of a name
	for _, e := range endpoints {
		if before, ok := strings.CutSuffix(path, e); ok {
			path, endpoint = before, e
			break
		}
	}
	u.RawPath = path
	u.Path, err = url.PathUnescape(path)
	return u, endpoint, err
}

// Root returns the address below which the SDKs look for endpoints: without the
// query, and with a slash at its end, or they would look beside it.
func (s *Service) Root() string {
	root := *s.BaseURL
	root.RawQuery, root.ForceQuery = "", false
	return root.String() + "/"
}
