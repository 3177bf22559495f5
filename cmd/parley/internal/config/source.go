package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/joho/godotenv"
)

// DefaultFile is the configuration file that is read where none is named.
const DefaultFile = "parley.yaml"

const dotEnvFile = ".env"

// An Origin says where a value was written, and how one writes it there.
type Origin struct {
	Where string // "parley.yaml:12", "environment variable PORT", "flag --port"
	write string // with %s for the value: "PORT=%s"
	node  ast.Node
}

// given is a value as somebody wrote it.
type given struct {
	texts []string // more than one only for a list in a file
	Origin
}

// A layer is what one source says, by the name of the setting, or that and
// "_file".
type layer map[string]given

// names are the names under which a setting can be written.
func (s Setting) names() []string {
	if s.hasFile() {
		return []string{s.Name, s.Name + fileSuffix}
	}
	return []string{s.Name}
}

func defaults() layer {
	found := layer{}
	for _, s := range declared {
		if s.Default != "" {
			found[s.Name] = given{[]string{s.Default}, Origin{Where: "default", write: "%s"}}
		}
	}
	return found
}

func (l *loader) flags() layer {
	found := layer{}
	for _, s := range declared {
		if text, ok := l.Flags[s.Flag()]; ok {
			name := s.Name
			if s.Secret {
				name += fileSuffix
			}
			found[name] = given{[]string{text}, Origin{Where: "flag --" + s.Flag(), write: "--" + s.Flag() + " %s"}}
		}
	}
	return found
}

func (l *loader) environment() layer {
	values := map[string]string{}
	for _, entry := range l.Environ {
		name, value, _ := strings.Cut(entry, "=")
		values[name] = value
	}
	return fromVariables(values, "environment variable ")
}

// dotEnv reads the .env file of the working directory, if there is one.
func (l *loader) dotEnv() layer {
	data, err := readFile(dotEnvFile)
	if err == errMissing {
		return nil
	}
	if err != nil {
		l.problems.add(dotEnvFile, "%v", err)
		return nil
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	values, err := godotenv.UnmarshalBytes(data)
	if err != nil { // whose text may contain a secret
		l.problems.add(fmt.Sprintf("%s:%d", dotEnvFile, badLine(data)), "is not understood; write NAME=value, with the value in quotes where it contains spaces, # or $")
		return nil
	}
	return fromVariables(values, dotEnvFile+": ")
}

// badLine returns the number of the first line of a .env file that cannot be
// understood: the one behind the longest beginning that can.
func badLine(data []byte) int {
	lines := bytes.SplitAfter(data, []byte("\n"))
	for n := len(lines); n > 0; n-- {
		if _, err := godotenv.UnmarshalBytes(bytes.Join(lines[:n-1], nil)); err == nil {
			return n
		}
	}
	return 1
}

// fromVariables takes the settings out of variables. An empty variable is as
// good as none.
func fromVariables(values map[string]string, where string) layer {
	found := layer{}
	for _, s := range declared {
		for _, name := range s.names() {
			env := s.Env
			if name != s.Name {
				env += strings.ToUpper(fileSuffix)
			}
			if text := values[env]; text != "" {
				found[name] = given{[]string{text}, Origin{Where: where + env, write: env + "=%s"}}
			}
		}
	}
	return found
}

// readFile reads a file of bounded size. Its errors leave the name out.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, withoutName(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, withoutName(err)
	case len(data) > maxFile:
		return nil, fmt.Errorf("is larger than %d KiB", maxFile>>10)
	}
	return data, nil
}

var errMissing = errors.New("does not exist")

func withoutName(err error) error {
	var withName *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errMissing
	case errors.As(err, &withName):
		return fmt.Errorf("cannot be read: %w", withName.Err)
	}
	return err
}
