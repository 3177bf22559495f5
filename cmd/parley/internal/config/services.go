package config

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/parley-chat/parley"
)

// The bots of BOTS that are no services.
const (
	RulesBot = "rules"
	TextBot  = "text" // the default reply
)

// A Service is a bot that asks somebody else for the answer, such as a model's
// provider.
type Service struct {
	Name string // what BOTS calls it
	// Switches are the settings that set it up; any of them will do.
	Switches []string
	// Settings are all its settings, by the paths of New's problems.
	Settings map[string]string
	// New makes the bot. Its error is of type [parley.Problems].
	New func(*Settings) (parley.Bot, error)
	// Asks returns the address that is asked, and the model; "" where it has none.
	Asks func(*Settings) (address, model string)
	// InOnePiece says that its answers need not be streamed, so that there may be
	// no first token to wait for.
	InOnePiece bool

	// Bot is what New made, when the configuration was loaded.
	Bot parley.Bot
}

// SetUp names what sets the service up: "OPENAI_API_KEY or OPENAI_BASE_URL".
func (s Service) SetUp() string {
	var names []string
	for _, name := range s.Switches {
		names = append(names, strings.ToUpper(name))
	}
	return strings.Join(names, " or ")
}

// HostOf returns the host that a service asks, with its port. The rest of an
// address may hold secrets.
func (c *Config) HostOf(s Service) string {
	address, _ := s.Asks(&c.Settings)
	u, err := url.Parse(address)
	if err != nil {
		return "" // it was refused
	}
	return u.Host
}

// KeyOrigin returns where the key of a service was written; "" where it has none.
func (c *Config) KeyOrigin(s Service) string {
	name, ok := s.Settings["APIKey"]
	if !ok || !c.isSet(name) {
		return ""
	}
	return c.Origin(name)
}

// Service returns the service of a name, if it is set up.
func (c *Config) Service(name string) (Service, bool) {
	i := slices.IndexFunc(c.Services, func(s Service) bool { return s.Name == name })
	if i < 0 {
		return Service{}, false
	}
	return c.Services[i], true
}

// FirstText returns how long a service has until its answer begins.
func (c *Config) FirstText(s Service) time.Duration {
	if s.InOnePiece {
		return c.BotTimeout
	}
	return c.FirstTokenTimeout
}

// AsksServices reports whether services are among those who answer.
func (c *Config) AsksServices() bool { return slices.ContainsFunc(c.Chain, isService) }

// HasNext reports whether another service is asked where the i-th of the chain
// passes.
func (c *Config) HasNext(i int) bool { return slices.ContainsFunc(c.Chain[i+1:], isService) }

func isService(name string) bool { return name != RulesBot && name != TextBot }

// checkServices makes the bots of the services that are set up, and has them
// check their settings.
func (l *loader) checkServices() {
	for _, s := range l.Sources.Services {
		if !slices.ContainsFunc(s.Switches, l.config.isSet) {
			continue
		}
		var err error
		s.Bot, err = s.New(&l.config.Settings)
		l.config.Services = append(l.config.Services, s)
		var ps parley.Problems
		ps.AddAll("", err)
		for _, p := range ps {
			l.failService(s, p)
		}
	}
}

// failService reports a problem of a service with one of its settings. Two
// services that share a setting may have the same.
func (l *loader) failService(s Service, p parley.Problem) {
	field, _, isPart := strings.Cut(p.Path, "[")
	name, reason := s.Settings[field], p.Reason
	if isPart { // a header, and in the brackets may be a secret
		reason = "one of them " + reason
	}
	if problem := l.problem(l.config.origins[name], name, reason); !slices.Contains(l.problems, problem) {
		l.problems = append(l.problems, problem)
	}
}

// checkChain sets who answers, and in which order: as BOTS says, or the owner's
// rules, every service that is set up, and the default reply where there is none.
func (l *loader) checkChain(file *script) {
	c := l.config
	for i, name := range c.Bots {
		if reason := l.unfit(file, name, c.Bots[:i], c.Bots[i+1:]); reason != "" {
			l.failAt(file, "bots", fmt.Sprintf("[%d]", i), reason)
		}
	}
	c.Chain = c.Bots
	if len(c.Bots) > 0 {
		return
	}
	if len(file.Rules) > 0 || len(c.Services) == 0 {
		c.Chain = append(c.Chain, RulesBot)
	}
	for _, s := range c.Services {
		c.Chain = append(c.Chain, s.Name)
	}
	if len(c.Services) == 0 {
		c.Chain = append(c.Chain, TextBot)
	}
}

// unfit says what is wrong with a bot of BOTS, with those that are asked before
// it and after it.
func (l *loader) unfit(file *script, name string, before, after []string) string {
	known := []string{RulesBot}
	setUp := ""
	for _, s := range l.Sources.Services {
		known = append(known, s.Name)
		if s.Name == name {
			setUp = s.SetUp()
		}
	}
	known = append(known, TextBot)
	_, isSetUp := l.config.Service(name)
	besideService := slices.ContainsFunc(slices.Concat(before, after), func(other string) bool {
		_, ok := l.config.Service(other)
		return ok
	})
	switch {
	case !slices.Contains(known, name):
		return fmt.Sprintf("%q is no bot; %s", name, oneOf(name, known))
	case slices.Contains(before, name):
		return fmt.Sprintf("%q stands there twice; keep one of the two", name)
	case setUp != "" && !isSetUp:
		return fmt.Sprintf("%q is not set up; set %s, or take it out", name, setUp)
	case name == RulesBot && len(file.Rules) == 0 && besideService:
		return fmt.Sprintf("%q has nothing to answer from; write rules in %s, or take it out", name, file.doc.name)
	case name == TextBot && len(after) > 0:
		return fmt.Sprintf("%q answers everything, so that what stands behind it is never asked; put it last", name)
	}
	return ""
}

// warnServices warns about settings of services that are not set up, and about a
// default reply whose place services take.
func (l *loader) warnServices(file *script) {
	c := l.config
	for _, s := range l.Sources.Services {
		if _, ok := c.Service(s.Name); ok {
			continue
		}
		for _, name := range slices.Sorted(maps.Values(s.Settings)) {
			if strings.HasPrefix(name, s.Name) && c.isSet(name) { // and no other service has it
				reason := fmt.Sprintf("counts for nothing while %s is not set up; set %s", s.Name, s.SetUp())
				c.Warnings = append(c.Warnings, l.problem(c.origins[name], name, reason))
			}
		}
	}
	if len(file.Default) > 0 && c.AsksServices() && !slices.Contains(c.Chain, TextBot) {
		l.warning(file, "default", "is never said, because %s answers in its place; to have it said where that fails, set BOTS=%s",
			c.Chain[len(c.Chain)-1], strings.Join(append(slices.Clone(c.Chain), TextBot), ","))
	}
}

// eavesdropping returns the risk that others read what visitors say on its way
// to a service: a connection without encryption that leaves the owner's network.
func (c *Config) eavesdropping(s Service) (Risk, bool) {
	name := cmp.Or(s.Settings["URL"], s.Settings["BaseURL"])
	address, _ := s.Asks(&c.Settings)
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || isNear(u.Hostname()) {
		return Risk{}, false
	}
	return Risk{
		Setting:     strings.ToUpper(name) + "=http://" + u.Host,
		Origin:      c.Origin(name),
		Consequence: "what visitors say, and keys, can be read on their way; write https:// if the server has it",
	}, true
}

// isNear reports whether a host is this computer or in the owner's network, as
// far as its name or address tells.
func isNear(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast()
	}
	_, domain, hasDomain := strings.Cut(strings.TrimSuffix(host, "."), ".")
	top := domain[strings.LastIndexByte(domain, '.')+1:]
	return !hasDomain || slices.Contains([]string{"localhost", "local", "internal"}, top)
}
