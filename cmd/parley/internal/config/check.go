package config

import (
	"context"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/bot"
	"github.com/parley-chat/parley/middleware"
)

// defaultReply is what the bot says where no rule matches and the file has no
// default.
const defaultReply = "Sorry, I do not know that yet. Could you say it in other words?"

// check holds what could be decoded against what it must mean, and makes of it
// what the server needs.
func (l *loader) check(file *script) {
	l.checkHost()
	l.checkDatabase()
	l.checkRetention()
	l.checkEngine(file)
	l.checkGuards()
	l.checkTimeouts()
	l.checkServices()
	l.checkChain(file)
	l.warnServices(file)
	answers := file
	if len(file.Rules) == 0 && len(file.Default) == 0 && !l.config.AsksServices() {
		answers = l.sample()
	}
	l.config.script = answers
	l.config.Sample = answers != file
	if l.config.Sample && len(file.Tests) > 0 {
		l.report(file, "tests", "test rules that are not there; write rules, or take the tests out")
	}
	l.config.Forms = maps.Clone(file.Forms)
	l.checkRules(answers)
	l.checkTests(answers)
	l.warn(answers)
	l.config.Warnings = l.config.Warnings.sorted()
}

func (l *loader) checkDatabase() {
	scheme, location := l.config.Database()
	at := l.config.origins["database_url"]
	switch {
	case !slices.ContainsFunc(l.Stores, func(kind []string) bool { return slices.Contains(kind, scheme) }):
		var kinds []string
		for _, kind := range l.Stores {
			kinds = append(kinds, kind[0]+":")
		}
		what := "this" // and not the value, which may be a password
		if schemeForm.MatchString(scheme) && location != "" {
			what = strconv.Quote(scheme)
		}
		l.fail(at, "database_url", "%s is not a kind of store; the kinds are %s, so write "+at.write,
			what, strings.Join(kinds, ", "), "sqlite:parley.db")
	case scheme == "sqlite" && location == "":
		l.fail(at, "database_url", "names nothing after %s:; write "+at.write, scheme, "sqlite:parley.db")
	case scheme == "sqlite" && strings.Contains(string(l.config.DatabaseURL), "://") && strings.Contains(location, "@"):
		l.fail(at, "database_url", "names a user, and SQLite is a file; write "+at.write, "sqlite:parley.db")
	case scheme != "sqlite" && scheme != "memory" && !hostsForm.MatchString(string(l.config.DatabaseURL)):
		l.fail(at, "database_url", "has no host, or a port that is no number, or blanks; write "+at.write, scheme+"://user:password@host/database")
	case strings.HasPrefix(at.Where, "flag") && l.config.DatabaseURL.String() != string(l.config.DatabaseURL):
		l.fail(at, "database_url", "contains a password, and everybody on this computer can see flags; write it as DATABASE_URL in the environment, .env or parley.yaml")
	}
}

// What a URL of a database looks like: a scheme, perhaps a user and a password,
// and hosts with ports. A password without a host would be taken for a port, and
// a driver would print it.
var (
	schemeForm = regexp.MustCompile(`^[a-zA-Z+]{1,20}$`)
	hostsForm  = regexp.MustCompile(`^[a-z+]+://(.*@)?([\w.%-]*|\[[0-9a-fA-F:.%]+\])(:\d+)?(,([\w.%-]+|\[[0-9a-fA-F:.%]+\])(:\d+)?)*([/?].*)?$`)
)

// checkHost refuses what is more than a host, before it fails as a puzzle.
func (l *loader) checkHost() {
	host, at := l.config.Host, l.config.origins["host"]
	if strings.ContainsAny(host, "/ ") || (strings.Contains(host, ":") && net.ParseIP(host) == nil) {
		l.fail(at, "host", "%q is not an address or a name alone; write "+at.write, host, "127.0.0.1")
	}
}

// checkRetention refuses to promise a memory that is deleted before its time.
func (l *loader) checkRetention() {
	c := l.config
	kept, remembered := Format(c.Retention), Format(c.SessionTTL)
	switch {
	case c.Retention >= c.SessionTTL:
	case c.isSet("retention"):
		l.fail(c.origins["retention"], "retention", "%s is shorter than conversations are remembered, %s (SESSION_TTL); make it at least as long", kept, remembered)
	default:
		l.fail(c.origins["session_ttl"], "session_ttl", "%s is longer than conversations are kept, %s (RETENTION); make RETENTION at least as long", remembered, kept)
	}
}

// checkTimeouts refuses times that are over before the ones within them.
func (l *loader) checkTimeouts() {
	c := l.config
	nest := func(name string, inner time.Duration, around string, outer time.Duration) {
		if inner >= outer {
			l.fail(c.origins[name], name, "%s is not shorter than %s, %s; make it shorter", Format(inner), around, Format(outer))
		}
	}
	nest("bot_timeout", c.BotTimeout, "ANSWER_TIMEOUT", c.AnswerTimeout)
	nest("first_token_timeout", c.FirstTokenTimeout, "BOT_TIMEOUT", c.BotTimeout)
}

// checkEngine has the engine itself check what is passed on to it.
func (l *loader) checkEngine(file *script) {
	nobody := parley.BotFunc(func(context.Context, *parley.Turn) (parley.Reply, error) { return parley.Reply{}, parley.ErrPass })
	chat, err := parley.New(parley.Config{
		Bot:            nobody,
		Forms:          file.Forms,
		AllowedOrigins: l.config.AllowedOrigins,
		BaseURL:        l.config.PublicURL,
	})
	if err == nil {
		chat.Shutdown(context.Background())
		return
	}
	var ps parley.Problems
	ps.AddAll("", err)
	for _, p := range ps {
		part, rest := p.Path, ""
		if i := strings.IndexAny(p.Path, ".["); i > 0 {
			part, rest = p.Path[:i], p.Path[i:]
		}
		switch part {
		case "AllowedOrigins":
			l.failAt(file, "allowed_origins", rest, p.Reason)
		case "BaseURL":
			l.failAt(file, "public_url", rest, p.Reason)
		case "Forms":
			l.report(file, "forms"+rest, p.Reason)
		default:
			l.problems.add(p.Path, "%s", p.Reason)
		}
	}
}

// checkGuards has the middleware itself check what is passed on to it.
func (l *loader) checkGuards() {
	c := l.config
	_, err := middleware.ClientAddr(c.TrustProxy, nil)
	l.failEach("trust_proxy", err)
	if c.CSRFRequired && c.CSRFSecret.IsZero() {
		l.fail(c.origins["csrf_required"], "csrf_required", "needs a CSRF_SECRET to check tokens with; write one, such as what `openssl rand -hex 32` prints")
	} else {
		_, err = middleware.NewCSRF(c.CSRFRequired, c.CSRFSecrets()...)
		l.failEach("csrf_secret", err)
	}
	if at := c.origins["rate_limit_window"]; c.RateLimitWindow%time.Second != 0 {
		l.fail(at, "rate_limit_window", "%s is not a whole number of seconds; write "+at.write, Format(c.RateLimitWindow), "15m")
	}
}

// failEach reports everything that is wrong with a setting.
func (l *loader) failEach(name string, err error) {
	var ps parley.Problems
	ps.AddAll("", err)
	for _, p := range ps {
		l.fail(l.config.origins[name], name, "%s", p.Reason)
	}
}

// failAt reports a problem with a part of a setting.
func (l *loader) failAt(file *script, name, rest, reason string) {
	at := l.config.origins[name]
	if at.node != nil {
		l.report(file, name+rest, reason)
		return
	}
	l.fail(at, name, "%s", reason)
}

// report adds a problem at a path of a script, unless what stands there was
// reported already because it could not be decoded.
func (l *loader) report(s *script, path, reason string) {
	n, path := s.doc.locate(path)
	if !s.isReported(path) {
		l.problems = append(l.problems, s.doc.problem(n, path, reason))
	}
}

func (s *script) isReported(path string) bool {
	return slices.ContainsFunc(s.reported, func(bad string) bool {
		rest, below := strings.CutPrefix(path, bad)
		return below && (rest == "" || rest[0] == '.' || rest[0] == '[') || parent(bad) == path
	})
}

// parent returns the path of what holds the thing at a path.
func parent(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }

// sample returns the script that answers where the file has none.
func (l *loader) sample() *script {
	doc, problems := parseDocument("the sample rules", l.Sample)
	l.problems = append(l.problems, problems...)
	s, _ := l.decode(doc)
	return s
}

// checkRules makes the bots.
func (l *loader) checkRules(s *script) {
	rules := make([]bot.Rule, len(s.Rules))
	lines := map[string]int{}
	for i, r := range s.Rules {
		at := fmt.Sprintf("rules[%d]", i)
		switch line := lines[r.Name]; {
		case r.Name == "":
		case r.Name == defaultName:
			l.report(s, at+".name", `is what tests call the default reply; choose another name`)
		case line > 0:
			l.report(s, at+".name", fmt.Sprintf("%q is the name of another rule, on line %d", r.Name, line))
		default:
			n, _ := s.doc.locate(at + ".name")
			lines[r.Name], _ = position(n)
		}
		if r.Reply != nil && len(r.Replies) > 0 {
			l.report(s, at+".replies", "stands beside reply; keep one of the two")
		}
		rules[i] = bot.Rule{Name: r.Name, Any: r.Any, All: r.All, Part: r.Part, Pattern: r.Pattern, Value: r.Value, Replies: l.replies(s, r.all())}
	}
	var err error
	var ps parley.Problems
	l.config.Rules, err = bot.NewRules(rules)
	ps.AddAll("rules", err)
	if len(s.Default) == 0 {
		s.Default = replies{{Reply: parley.Text(defaultReply)}}
	}
	l.config.Default, err = bot.Say(l.replies(s, s.Default)...)
	ps.AddAll("default", err)
	for _, p := range ps {
		l.report(s, s.written(p.Path), p.Reason)
	}
}

// written returns the path of a reply as the file has it: a single one is not
// part of a list there.
func (s *script) written(path string) string {
	for i, r := range s.Rules {
		at := fmt.Sprintf("rules[%d]", i)
		if len(r.all()) == 0 && path == at+".replies" {
			return at + ".reply"
		}
		if rest, ok := strings.CutPrefix(path, at+".replies[0]"); ok && r.Reply != nil {
			return r.Reply.path + rest
		}
	}
	for i, r := range s.Default {
		if rest, ok := strings.CutPrefix(path, fmt.Sprintf("default[%d]", i)); ok {
			return r.path + rest
		}
	}
	return path
}

// all returns the rule's replies.
func (r rule) all() []reply {
	if r.Reply != nil {
		return append([]reply{*r.Reply}, r.Replies...)
	}
	return r.Replies
}

// replies returns replies with their forms.
func (l *loader) replies(s *script, from []reply) []parley.Reply {
	to := make([]parley.Reply, len(from))
	for i, r := range from {
		to[i] = r.Reply
		if r.form != "" {
			to[i].Content = l.form(s, r)
		}
	}
	return to
}

// form returns the form that a reply shows, posted to this server. It is nil
// where there is no such form, or none that is right.
func (l *loader) form(s *script, r reply) parley.Content {
	form, ok := s.Forms[r.form]
	if r.form == parley.ContactFormID {
		form, ok = parley.ContactForm(), true
	}
	if !ok {
		ids := append([]string{parley.ContactFormID}, slices.Sorted(maps.Keys(s.Forms))...)
		l.report(s, join(r.path, "form"), fmt.Sprintf("%q is not declared under forms; %s", r.form, oneOf(r.form, ids)))
		return nil
	}
	if form.Validate() != nil { // reported where it is declared
		return nil
	}
	form.SubmitURL = "{{base_url}}" + parley.FormPath(r.form)
	return &form
}

// oneOf says what could be written instead of a word.
func oneOf(word string, known []string) string {
	if meant := Suggest(word, known); meant != "" {
		return fmt.Sprintf("did you mean %q?", meant)
	}
	return "there are " + strings.Join(known, ", ")
}
