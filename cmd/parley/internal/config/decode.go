package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// A decoder turns YAML into Go values and goes on after each problem, so that
// one reading finds them all. Structs are described by their json tags.
//
// Anchors, aliases, tags and merge keys are refused, which also keeps small
// files from becoming large values.
type decoder struct {
	doc      *document
	problems Problems
	paths    []string // of the problems
}

// A decodable value decodes itself.
type decodable interface {
	decode(d *decoder, n ast.Node, path string)
}

func (d *decoder) fail(n ast.Node, path, reason string, args ...any) {
	d.problems = append(d.problems, d.doc.problem(n, path, fmt.Sprintf(reason, args...)))
	d.paths = append(d.paths, path)
}

// decode sets v to what n says. Null leaves v as it is.
func (d *decoder) decode(n ast.Node, v reflect.Value, path string) {
	if isNull(n) {
		return
	}
	if !d.plain(n, path) {
		return
	}
	if custom, ok := v.Addr().Interface().(decodable); ok {
		custom.decode(d, n, path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.decode(n, v.Elem(), path)
	case reflect.Struct:
		d.decodeStruct(n, v, path)
	case reflect.Map:
		d.decodeMap(n, v, path)
	case reflect.Slice:
		d.decodeSlice(n, v, path)
	default:
		d.decodeScalar(n, v, path)
	}
}

// plain reports whether a node is one of YAML's simple parts, and refuses it
// otherwise.
func (d *decoder) plain(n ast.Node, path string) bool {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode:
		d.fail(n, path, "anchors (&) and aliases (*) cannot be used here; write the value out, or put the text in quotes")
	case *ast.TagNode:
		d.fail(n, path, "tags (!) cannot be used here; put the text in quotes")
	default:
		return true
	}
	return false
}

func (d *decoder) decodeStruct(n ast.Node, v reflect.Value, path string) {
	fields := fieldsOf(v.Type())
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	entries := d.entries(n, path, names)
	for _, f := range fields {
		if value, ok := entries[f.name]; ok {
			d.decode(value, v.Field(f.index), join(path, f.name))
		}
	}
}

type field struct {
	name  string
	index int
}

// fieldsOf returns the fields of a struct that have a json tag.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			fields = append(fields, field{name, i})
		}
	}
	return fields
}

func (d *decoder) decodeMap(n ast.Node, v reflect.Value, path string) {
	v.Set(reflect.MakeMap(v.Type()))
	for key, value := range d.entries(n, path, nil) {
		element := reflect.New(v.Type().Elem()).Elem()
		d.decode(value, element, join(path, key))
		v.SetMapIndex(reflect.ValueOf(key), element)
	}
}

// decodeSlice decodes a list. Where texts are listed, one text is a list too.
func (d *decoder) decodeSlice(n ast.Node, v reflect.Value, path string) {
	list, ok := n.(*ast.SequenceNode)
	if !ok && v.Type().Elem().Kind() == reflect.String && isScalar(n) {
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		d.decode(n, v.Index(0), path)
		return
	}
	if !ok {
		d.fail(n, path, "is %s where a list belongs; put a - before each item", describe(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(list.Values), len(list.Values)))
	for i, item := range list.Values {
		at := fmt.Sprintf("%s[%d]", path, i)
		if isNull(item) {
			d.fail(item, at, "is empty; write a value or take the line out")
			continue
		}
		d.decode(item, v.Index(i), at)
	}
}

func (d *decoder) decodeScalar(n ast.Node, v reflect.Value, path string) {
	text, ok := scalarText(n)
	if !ok {
		d.fail(n, path, "is %s where %s belongs", describe(n), belongs(v.Kind()))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, reason := parseBool(text)
		if reason != "" {
			d.fail(n, path, "%s; write true or false", reason)
		}
		v.SetBool(b)
	case reflect.Int:
		i, reason := parseInt(text)
		if reason != "" {
			d.fail(n, path, "%s; write digits only", reason)
		}
		v.SetInt(int64(i))
	}
}

// entries returns the values of a mapping by key. It reports keys that stand
// twice, and those that are not known unless known is nil.
func (d *decoder) entries(n ast.Node, path string, known []string) map[string]ast.Node {
	mapping, ok := n.(*ast.MappingNode)
	if !ok {
		hint := ""
		if len(known) > 0 {
			hint = "; the keys are " + strings.Join(known, ", ")
		}
		d.fail(n, path, "is %s where keys with values belong%s", describe(n), hint)
		return nil
	}
	entries := map[string]ast.Node{}
	lines := map[string]int{}
	for _, entry := range mapping.Values {
		name := keyText(entry.Key)
		at := join(path, name)
		line, _ := position(entry.Key)
		switch {
		case entry.Key.Type() == ast.MergeKeyType:
			d.fail(entry.Key, path, "merge keys (<<) cannot be used here; write the keys out")
		case lines[name] > 0:
			d.fail(entry.Key, at, "stands twice; it is on line %d already", lines[name])
		case known != nil && !slices.Contains(known, name):
			d.problems = append(d.problems, d.doc.keyProblem(entry.Key, at, unknownKey(name, known)))
			d.paths = append(d.paths, at)
		default:
			entries[name] = entry.Value
		}
		lines[name] = line
	}
	return entries
}

// unknownKey says what is wrong with a key, and what to write instead.
func unknownKey(name string, known []string) string {
	if meant := Suggest(name, known); meant != "" {
		return fmt.Sprintf("is not known; did you mean %q?", meant)
	}
	return "is not known; the keys here are " + strings.Join(known, ", ")
}

func keyText(key ast.MapKeyNode) string {
	if explicit, ok := key.(*ast.MappingKeyNode); ok {
		return explicit.Value.GetToken().Value
	}
	return key.GetToken().Value
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func isNull(n ast.Node) bool { return n == nil || n.Type() == ast.NullType }

func isScalar(n ast.Node) bool {
	_, ok := scalarText(n)
	return ok
}

// scalarText returns the text of a value that has no parts, as it was written:
// a number where text belongs is text.
func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// describe names what a node is, for people.
func describe(n ast.Node) string {
	switch n.(type) {
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode:
		return "a group of keys"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	}
	return "nothing"
}

func belongs(k reflect.Kind) string {
	switch k {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a number"
	}
	return "text"
}
