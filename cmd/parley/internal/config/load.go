package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Sources are where a configuration comes from, beside the files that it names.
type Sources struct {
	Flags   map[string]string // what was given on the command line, by the flag's name
	Environ []string          // as [os.Environ] returns it
	Stores  [][]string        // the schemes that DATABASE_URL can have, those of each kind of store together
	// Services are the bots that ask somebody else, in the order in which they are
	// asked where BOTS says nothing.
	Services []Service
	Sample   []byte // the file whose rules answer where there are none
}

// loader gathers problems while the layers are read.
type loader struct {
	Sources
	problems Problems
	config   *Config
}

// Load reads and checks everything. Its error is of type [Problems].
func Load(src Sources) (*Config, error) {
	l := &loader{Sources: src, config: &Config{origins: map[string]Origin{}}}
	flags, environment, dotEnv := l.flags(), l.environment(), l.dotEnv()
	script, file := l.file(flags, environment, dotEnv)
	for _, layer := range []layer{defaults(), file, dotEnv, environment, flags} {
		l.apply(layer)
	}
	l.config.derive()
	l.check(script)
	if len(l.problems) > 0 {
		return nil, l.problems.sorted()
	}
	return l.config, nil
}

// apply sets every setting that a layer has.
func (l *loader) apply(layer layer) {
	values := reflect.ValueOf(&l.config.Settings).Elem()
	for _, s := range declared {
		g, ok := layer[s.Name]
		if s.hasFile() {
			g, ok = l.secret(s, layer)
		}
		if !ok {
			continue
		}
		l.config.origins[s.Name] = g.Origin
		value, reason, instead := s.parse(g.texts)
		if reason != "" {
			l.fail(g.Origin, s.Name, "%s; write "+g.write, reason, instead)
			continue
		}
		values.Field(s.index).Set(value)
	}
}

// fail reports a problem with a value that was written at an origin.
func (l *loader) fail(at Origin, path, reason string, args ...any) {
	l.problems = append(l.problems, l.problem(at, path, fmt.Sprintf(reason, args...)))
}

func (l *loader) problem(at Origin, path, reason string) Problem {
	if at.node != nil {
		return l.config.file.problem(at.node, path, reason)
	}
	return Problem{Where: at.Where, Reason: reason}
}

// secret returns a secret of a layer, read from the file that the layer names
// where it does.
func (l *loader) secret(s Setting, layer layer) (given, bool) {
	value, isGiven := layer[s.Name]
	file, isFile := layer[s.Name+fileSuffix]
	switch {
	case !isFile:
		return value, isGiven
	case isGiven:
		l.fail(file.Origin, s.Name+fileSuffix, "stands beside %s; keep one of the two", value.Where)
		return given{}, false
	}
	data, err := readFile(file.texts[0])
	if err != nil {
		l.fail(file.Origin, s.Name+fileSuffix, "%s %v; name a file that holds the secret", file.texts[0], err)
		return given{}, false
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" {
		l.fail(file.Origin, s.Name+fileSuffix, "%s is empty; write the secret into it", file.texts[0])
		return given{}, false
	}
	return given{[]string{text}, file.Origin}, true
}

// file reads the configuration file that the layers name, strongest first, or
// the one that is there.
func (l *loader) file(layers ...layer) (*script, layer) {
	name, origin := DefaultFile, Origin{}
	for _, layer := range layers {
		if g, ok := layer["config"]; ok {
			name, origin = g.texts[0], g.Origin
			break
		}
	}
	none := &script{doc: &document{name: name, lines: []string{""}}}
	data, err := readFile(name)
	switch isNamed := origin.Where != ""; {
	case err == errMissing && !isNamed:
		return none, nil
	case err != nil && !isNamed:
		l.problems.add(name, "%v", err)
		return none, nil
	case err != nil:
		l.problems.add(name, "%v (named by %s)", err, origin.Where)
		return none, nil
	}
	l.config.ConfigFile = name
	doc, problems := parseDocument(name, data)
	l.config.file = doc
	if len(problems) > 0 {
		l.problems = append(l.problems, problems...)
		return none, nil
	}
	return l.decode(doc)
}

// decode takes a document apart into what the bot says and the settings.
func (l *loader) decode(doc *document) (*script, layer) {
	s := &script{doc: doc}
	if isNull(doc.root) {
		return s, nil
	}
	var known []string
	for _, setting := range declared {
		if setting.inFile() {
			known = append(known, setting.names()...)
		}
	}
	body := reflect.ValueOf(&s.content).Elem()
	for _, f := range fieldsOf(body.Type()) {
		known = append(known, f.name)
	}
	d := &decoder{doc: doc}
	entries := d.entries(doc.root, "", known)
	found := layer{}
	for _, setting := range declared {
		for _, name := range setting.names() {
			if g, ok := d.setting(entries[name], name, setting.isList()); ok {
				found[name] = g
			}
		}
	}
	for _, f := range fieldsOf(body.Type()) {
		d.decode(entries[f.name], body.Field(f.index), f.name)
	}
	l.problems = append(l.problems, d.problems...)
	s.reported = d.paths
	return s, found
}

// setting returns what a file says for a setting: a text, or a list of them.
func (d *decoder) setting(n ast.Node, name string, isList bool) (given, bool) {
	if isNull(n) {
		return given{}, false
	}
	line, _ := position(n)
	g := given{make([]string, 1), Origin{Where: fmt.Sprintf("%s:%d", d.doc.name, line), write: name + ": %s", node: n}}
	before := len(d.problems)
	if isList {
		d.decode(n, reflect.ValueOf(&g.texts).Elem(), name)
	} else {
		d.decode(n, reflect.ValueOf(&g.texts[0]).Elem(), name)
	}
	return g, len(d.problems) == before
}
