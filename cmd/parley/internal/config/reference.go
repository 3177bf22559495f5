package config

import (
	_ "embed"
	"fmt"
	"strings"
	"text/template"
)

// example is the part of the reference that is no settings: what the bot says.
//
//go:embed example.yaml
var example string

// Reference returns a parley.yaml with every setting at its default, and rules,
// a form and tests to start from. What it says is what it explains: it can be
// used as it is.
func Reference() string {
	var b strings.Builder
	b.WriteString("# parley.yaml: the settings of Parley, and what its bot says.\n" +
		"# Everything is optional. To change a setting, take away the # before its name.\n" +
		"# An environment variable or a flag wins over this file.\n")
	group := ""
	for _, s := range declared {
		if s.Group != group {
			group = s.Group
			fmt.Fprintf(&b, "\n# ---- %s ----\n", group)
		}
		fmt.Fprintf(&b, "\n%s", Wrap(s.Help, 78, "# "))
		fmt.Fprintf(&b, "# %s: %s.\n", s.spellings(), s.Values())
		if s.inFile() {
			fmt.Fprintf(&b, "# %s: %s\n", s.Name, s.inYAML())
		}
	}
	b.WriteString("\n")
	b.WriteString(example)
	return b.String()
}

// spellings names what sets the setting elsewhere.
func (s Setting) spellings() string {
	if s.Secret {
		return fmt.Sprintf("Environment %s, or %s for a file that holds it; flag --%s", s.Env, s.Env+strings.ToUpper(fileSuffix), s.Flag())
	}
	return fmt.Sprintf("Environment %s, flag --%s", s.Env, s.Flag())
}

// inYAML returns the default, or an example where there is none, as YAML.
func (s Setting) inYAML() string {
	value := s.Default
	switch {
	case s.Secret:
		return "…"
	case value == "":
		value = s.example
	}
	if s.isList() {
		return "[" + value + "]"
	}
	if strings.HasSuffix(value, ":") {
		return `"` + value + `"`
	}
	return value
}

// page is the template of docs/configuration.md.
//
//go:embed configuration.md
var page string

// Markdown returns docs/configuration.md.
func Markdown() string {
	t := template.Must(template.New("").Parse(page))
	var b strings.Builder
	if err := t.Execute(&b, map[string]any{"Groups": groups(), "Example": example}); err != nil {
		panic(err) // the template is ours
	}
	return b.String()
}

// A group is settings under a heading.
type group struct {
	Name     string
	Settings []Setting
}

func groups() []group {
	var all []group
	for _, s := range declared {
		if len(all) == 0 || all[len(all)-1].Name != s.Group {
			all = append(all, group{Name: s.Group})
		}
		last := &all[len(all)-1]
		last.Settings = append(last.Settings, s)
	}
	return all
}

// Wrap breaks text into lines of at most width characters where words allow it.
// Each line begins with the prefix and ends with a newline.
func Wrap(text string, width int, prefix string) string {
	var b strings.Builder
	line := prefix
	for _, word := range strings.Fields(text) {
		if line != prefix && len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = prefix
		}
		if line != prefix {
			line += " "
		}
		line += word
	}
	b.WriteString(line + "\n")
	return b.String()
}
