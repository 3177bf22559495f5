package config

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFile is the size of the largest file that is read, in bytes.
const maxFile = 1 << 20

// A document is a YAML file as somebody wrote it, kept so that every problem
// can be shown in its place.
type document struct {
	name  string
	lines []string
	root  ast.Node // nil where the file says nothing
}

// parseDocument parses YAML. JSON is YAML too.
func parseDocument(name string, data []byte) (*document, Problems) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	doc := &document{name: name, lines: strings.Split(string(data), "\n")}
	if len(data) > maxFile {
		return doc, Problems{{Where: name, Reason: fmt.Sprintf("is larger than %d KiB", maxFile>>10)}}
	}
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return doc, Problems{doc.syntaxProblem(err)}
	}
	if len(file.Docs) > 0 {
		doc.root = file.Docs[0].Body
	}
	if len(file.Docs) > 1 {
		return doc, Problems{doc.problem(file.Docs[1].Body, "", "is a second document in the file; there can be only one, so take out the --- above it")}
	}
	return doc, nil
}

// syntaxHints say what to do about the mistakes that people make in YAML, by
// what the parser says of them.
var syntaxHints = []struct{ says, hint string }{
	{"mapping value is not allowed", `text that contains ": " needs quotes, and the keys of one thing need the same indentation`},
	{"tab character", "indent with spaces, not with tabs"},
	{"'\t'", "indent with spaces, not with tabs"},
	{"alias name", "text that begins with * needs quotes"},
	{"reserved character", "text that begins with @ or ` needs quotes"},
	{"end character of", "a quote that opens text is missing its other half"},
	{"escape character", `in double quotes a \ begins an escape; use single quotes, '\d+'`},
	{"directive", "text that begins with % needs quotes"},
}

// loneStar finds a * that means every site, and means an alias to YAML.
var loneStar = regexp.MustCompile(`[:,\[-]\s*\*\s*([,\]#]|$)`)

// syntaxProblem describes text that is no YAML.
func (d *document) syntaxProblem(err error) Problem {
	var syntax yaml.Error
	if !errors.As(err, &syntax) || syntax.GetToken() == nil {
		return Problem{Where: d.name, Reason: "is not YAML"}
	}
	at := syntax.GetToken().Position
	line, column := min(max(at.Line, 1), len(d.lines)), at.Column
	reason := "is not YAML: " + syntax.GetMessage()
	if loneStar.MatchString(d.lines[line-1]) {
		return d.problemAt(line, column, "", `a * needs quotes in YAML; write "*"`)
	}
	for _, h := range syntaxHints {
		if strings.Contains(syntax.GetMessage(), h.says) {
			reason += "; " + h.hint
			break
		}
	}
	return d.problemAt(line, column, "", reason)
}

// problem returns a problem with the value at a node.
func (d *document) problem(n ast.Node, path, reason string) Problem {
	line, column := position(n)
	return d.problemAt(line, column, path, reason)
}

func (d *document) problemAt(line, column int, path, reason string) Problem {
	return Problem{
		Where:   fmt.Sprintf("%s:%d:%d", d.name, line, column),
		Path:    path,
		Reason:  reason,
		Excerpt: excerpt(line, column, d.censored(line)),
		line:    line,
		column:  column,
	}
}

// keyProblem returns a problem with a key. Its excerpt ends with the key: what
// stands behind a misspelt one may be a secret.
func (d *document) keyProblem(key ast.Node, path, reason string) Problem {
	line, column := position(key)
	p := d.problemAt(line, column, path, reason)
	text := []rune(d.censored(line))
	end := column - 1 + len([]rune(strings.TrimSpace(key.GetToken().Origin)))
	if end < len(text) {
		p.Excerpt = excerpt(line, column, string(text[:end])+": …")
	}
	return p
}

// position returns the line and the column at which a node begins, from 1.
func position(n ast.Node) (line, column int) {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		n = m.Values[0].Key
	}
	if n == nil {
		return 1, 1
	}
	at := n.GetToken().Position
	return at.Line, at.Column
}

// excerpt returns a line of a file with a caret below the given column.
func excerpt(line, column int, content string) string {
	const before, width = 60, 90
	text := []rune(content)
	for i, r := range text {
		if unicode.IsControl(r) {
			text[i] = ' '
		}
	}
	column = min(max(column, 1), len(text)+1)
	if start := column - 1 - before; start > 0 && len(text) > width {
		text, column = append([]rune("…"), text[start:]...), before+2
	}
	if len(text) > width {
		text = append(text[:width:width], '…')
	}
	number := strconv.Itoa(line)
	return fmt.Sprintf("    %s | %s\n    %s | %s^", number, string(text),
		strings.Repeat(" ", len(number)), strings.Repeat(" ", column-1))
}

var (
	// secretKey finds the key of something that must not be shown.
	secretKey = regexp.MustCompile(`(?i)(api[_-]?key|secret|password|token|headers)["']?\s*:`)
	// userInfo finds a name and password in a URL.
	userInfo = regexp.MustCompile(`://[^/@\s]*@`)
)

// censored returns a line without what must not be shown: what stands behind
// the key of a secret, on the same line or indented below it, and passwords in
// URLs.
func (d *document) censored(line int) string {
	text := d.lines[line-1]
	if key := secretKey.FindStringIndex(text); key != nil {
		return text[:key[1]] + " [secret]"
	}
	depth := indent(text)
	for i := line - 1; i > 0 && depth > 0; i-- {
		above := d.lines[i-1]
		if strings.TrimSpace(above) == "" || indent(above) >= depth {
			continue
		}
		if secretKey.MatchString(above) {
			return "[secret]"
		}
		depth = indent(above)
	}
	return userInfo.ReplaceAllString(text, "://[secret]@")
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " \t")) }

// locate finds the value at a path such as "rules[3].reply.content", or the
// value nearest to it that is there. It returns the path as far as the file has
// it, and the rest of the given one below something that has parts.
func (d *document) locate(path string) (ast.Node, string) {
	n, at, rest := d.root, "", path
	for rest != "" {
		child, step := step(n, rest)
		if child == nil {
			break
		}
		n, at, rest = child, at+rest[:step], rest[step:]
	}
	if isScalar(n) {
		return n, strings.TrimPrefix(at, ".")
	}
	return n, path
}

// step returns the value that a path leads to first, and how much of the path
// leads there.
func step(n ast.Node, path string) (ast.Node, int) {
	switch n := n.(type) {
	case *ast.SequenceNode:
		end := strings.IndexByte(path, ']')
		if end < 0 || path[0] != '[' {
			return nil, 0
		}
		i, err := strconv.Atoi(path[1:end])
		if err != nil || i >= len(n.Values) {
			return nil, 0
		}
		return n.Values[i], end + 1
	case *ast.MappingNode:
		key := strings.TrimPrefix(path, ".")
		for _, entry := range n.Values {
			name := keyText(entry.Key)
			rest, ok := strings.CutPrefix(key, name)
			if ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
				return entry.Value, len(path) - len(rest)
			}
		}
	}
	return nil, 0
}
