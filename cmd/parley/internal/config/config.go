// Package config reads Parley's configuration: the settings, and what the bot
// says. A value comes from the strongest source that has it, and remembers
// where that was: a flag, an environment variable, a .env file, parley.yaml, or
// the default. Every problem is found in one reading, with its place and with
// what to write instead.
package config

import (
	"maps"
	"reflect"
	"strings"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/bot"
)

// Config is a configuration that can be used.
type Config struct {
	Settings
	// Rules answer from the rules of the file, or from the sample rules.
	Rules *bot.Rules
	// Default answers where no rule matches.
	Default parley.Bot
	// Chain names the bots that answer, in the order in which they are asked:
	// "rules", "text", or the name of a service.
	Chain []string
	// Services are those that are set up, whether or not Chain has them.
	Services []Service
	// Sample is whether the sample rules answer, because the file has none.
	Sample bool
	// Forms are the forms of the file.
	Forms map[string]parley.Form
	// Warnings are about what works and is probably not meant.
	Warnings Problems

	origins map[string]Origin
	file    *document // nil where there is none
	script  *script   // what answers
}

// derive sets what follows from other settings where nobody said anything else.
func (c *Config) derive() {
	if c.NodeEnv == "production" && !c.isSet("demo_page") {
		c.DemoPage = false
	}
	if scheme, _ := c.Database(); scheme == "memory" && !c.isSet("retention") {
		c.Retention = max(c.SessionTTL, 24*time.Hour) // an idempotency key lives a day
	}
	if !c.isSet("bot_timeout") {
		c.BotTimeout = min(c.BotTimeout, c.AnswerTimeout*3/4)
	}
	if !c.isSet("first_token_timeout") {
		c.FirstTokenTimeout = min(c.FirstTokenTimeout, c.BotTimeout/3)
	}
}

func (c *Config) isSet(name string) bool { return c.Origin(name) != "default" }

// Origin returns where the value of a setting was written, such as
// "parley.yaml:12"; "default" where nobody wrote it.
func (c *Config) Origin(name string) string {
	if o, ok := c.origins[name]; ok {
		return o.Where
	}
	return "default"
}

// Database returns the two parts of DATABASE_URL: which store, and where.
func (s Settings) Database() (scheme, location string) {
	scheme, location, _ = strings.Cut(string(s.DatabaseURL), ":")
	return scheme, strings.TrimPrefix(location, "//")
}

// value returns a setting's value as one could write it; a secret's is a
// placeholder.
func (c *Config) value(s Setting) string {
	return Format(reflect.ValueOf(c.Settings).Field(s.index).Interface())
}

// CSRFSecrets returns what signs CSRF tokens, and then what signed older ones.
func (c *Config) CSRFSecrets() []string {
	if c.CSRFSecret.IsZero() {
		return nil
	}
	secrets := strings.Split(c.CSRFSecret.Reveal(), ",")
	for i, secret := range secrets {
		secrets[i] = strings.TrimSpace(secret)
	}
	return secrets
}

// RuleCount returns how many rules answer.
func (c *Config) RuleCount() int { return len(c.script.Rules) }

// TestCount returns how many tests [Config.Test] runs.
func (c *Config) TestCount() int { return len(c.script.Tests) }

// AllForms returns the forms of the file and the contact form, by id.
func (c *Config) AllForms() map[string]parley.Form {
	forms := map[string]parley.Form{parley.ContactFormID: parley.ContactForm()}
	maps.Copy(forms, c.Forms)
	return forms
}
