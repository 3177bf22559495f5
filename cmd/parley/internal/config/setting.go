package config

import (
	"reflect"
	"strings"
	"time"
)

// A Setting describes one field of [Settings].
type Setting struct {
	Name    string // in YAML: "allowed_origins"
	Env     string // "ALLOWED_ORIGINS"
	Group   string
	Help    string
	Default string
	Choices []string // the only values; empty where others do
	Min     string
	Max     string
	Secret  bool

	example     string
	risk        string // the value that relaxes something
	consequence string // what follows from it
	index       int    // of the field
	typ         reflect.Type
}

// fileSuffix makes the name of a setting that names a file with a secret.
const fileSuffix = "_file"

var declared = declare()

// All returns every setting in the order of declaration.
func All() []Setting { return declared }

func declare() []Setting {
	var all []Setting
	group := ""
	t := reflect.TypeFor[Settings]()
	for i := range t.NumField() {
		field := t.Field(i)
		tag := field.Tag.Get
		if g := tag("group"); g != "" {
			group = g
		}
		s := Setting{
			Name:    tag("name"),
			Env:     tag("env"),
			Group:   group,
			Help:    tag("help"),
			Default: tag("default"),
			Min:     tag("min"),
			Max:     tag("max"),
			Secret:  field.Type == reflect.TypeFor[Secret]() || field.Type == reflect.TypeFor[Headers](),
			example: tag("example"),
			index:   i,
			typ:     field.Type,
		}
		if s.Env == "" {
			s.Env = strings.ToUpper(s.Name)
		}
		if choices := tag("oneof"); choices != "" {
			s.Choices = strings.Split(choices, ",")
		}
		s.risk, s.consequence, _ = strings.Cut(tag("risk"), "=")
		all = append(all, s)
	}
	return all
}

// hasFile reports whether the value can be in a file of its own: it is a secret,
// or holds one.
func (s Setting) hasFile() bool { return s.Secret || s.typ == reflect.TypeFor[DatabaseURL]() }

// Flag returns the name of the setting's flag, without dashes. A secret's flag
// names the file that holds it.
func (s Setting) Flag() string {
	name := s.Name
	if s.Secret {
		name += fileSuffix
	}
	return strings.ReplaceAll(name, "_", "-")
}

// Values describes what can be written: "number, 0 to 65535".
func (s Setting) Values() string {
	kind := "text"
	switch {
	case len(s.Choices) > 0:
		return strings.Join(s.Choices, " or ")
	case s.Secret:
		return "secret"
	case s.isList():
		return "list"
	case s.IsSwitch():
		return "true or false"
	case s.isNumber():
		kind = "number"
	case s.typ == reflect.TypeFor[time.Duration]():
		kind = "duration"
	}
	switch {
	case s.Min != "" && s.Max != "":
		return kind + ", " + s.Min + " to " + s.Max
	case s.Min != "":
		return kind + ", at least " + s.Min
	}
	return kind
}

func (s Setting) isList() bool { return s.typ == reflect.TypeFor[[]string]() }

func (s Setting) isNumber() bool {
	return s.typ == reflect.TypeFor[int]() || s.typ == reflect.TypeFor[*float64]()
}

// inFile reports whether the setting can stand in the configuration file. What
// names that file cannot.
func (s Setting) inFile() bool { return s.Name != "config" }

// suggestion returns a value that could be written.
func (s Setting) suggestion() string {
	switch {
	case s.example != "":
		return s.example
	case s.Default != "":
		return s.Default
	}
	return "…"
}

// Usage returns how the setting's flag is written, without the dashes before
// it: "port NUMBER".
func (s Setting) Usage() string {
	value := " TEXT"
	switch {
	case s.Secret || s.Name == "config":
		value = " FILE"
	case len(s.Choices) > 0:
		value = " " + strings.Join(s.Choices, "|")
	case s.isNumber():
		value = " NUMBER"
	case s.typ == reflect.TypeFor[bool]():
		value = "[=false]"
	case s.typ == reflect.TypeFor[time.Duration]():
		value = " DURATION"
	case s.isList():
		value = " LIST"
	}
	return s.Flag() + value
}

// IsSwitch reports whether the setting is true or false, so that its flag needs
// no value.
func (s Setting) IsSwitch() bool { return s.typ == reflect.TypeFor[bool]() }
