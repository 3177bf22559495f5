package parley_test

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/parley-chat/parley"

// An importRule says which packages of this module, and whether libraries, a
// part of the house may import. "" is the root package. A part that ends with a
// slash is a folder of siblings, which never import each other.
type importRule struct {
	part      string
	packages  []string
	libraries bool
}

// mayImport is the house. The first part that a package lies in counts. Tests
// may import what they like.
var mayImport = []importRule{
	{part: ""}, // the root: standard library only
	{part: "bot/", packages: []string{"", "internal/provider"}, libraries: true},
	{part: "bot", packages: []string{"", "internal/upstream"}, libraries: true},
	{part: "store/", packages: []string{"", "internal/notes"}, libraries: true},
	{part: "middleware/", packages: []string{""}, libraries: true},
	{part: "middleware", packages: []string{""}},
	{part: "parleytest", packages: []string{""}},
	{part: "widget"},
	{part: "internal/browsertest", libraries: true},
	{part: "internal/dbtest", libraries: true},
	{part: "internal/notes"},
	{part: "internal/provider", packages: []string{"", "internal/upstream"}},
	{part: "internal/providertest"},
	{part: "internal/upstream", packages: []string{""}},
	{part: "cmd/parley", packages: []string{"", "bot", "store/", "middleware", "widget", "cmd/parley/"}, libraries: true},
	{part: "bench", packages: []string{"", "bot", "store/", "middleware"}, libraries: true},
	{part: "examples", packages: []string{"", "bot", "store/", "middleware", "widget"}, libraries: true},
}

// TestImportsPointInward keeps the direction of the house's arrows: cmd/parley
// imports adapters, adapters import the root and no sibling, and the root
// imports the standard library.
func TestImportsPointInward(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; packages++ {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, imported := range p.Imports {
			if reason := forbidden(within(p.ImportPath), imported); reason != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imported, reason)
			}
		}
	}
	if packages == 0 {
		t.Fatal("go list named no package")
	}
}

// TestForbiddenImportsAreSeen is the control: edges that must be refused.
func TestForbiddenImportsAreSeen(t *testing.T) {
	for _, edge := range [][2]string{
		{"", "golang.org/x/text/unicode/norm"},
		{"", module + "/bot"},
		{"bot", module + "/middleware"},
		{"store/sqlite", module + "/store/memory"},
		{"middleware", "github.com/klauspost/compress/gzhttp"},
		{"parleytest", module + "/store/sqlite"},
		{"widget", module},
		{"unheard/of", "fmt/../" + module},
	} {
		if forbidden(edge[0], edge[1]) == "" {
			t.Errorf("%q may import %s, and must not", edge[0], edge[1])
		}
	}
}

func forbidden(part, imported string) string {
	i := slices.IndexFunc(mayImport, func(rule importRule) bool { return covers(rule.part, part) })
	switch first, _, _ := strings.Cut(imported, "/"); {
	case i < 0:
		return "the package has no line in mayImport; decide what it may import"
	case imported == module || strings.HasPrefix(imported, module+"/"):
		to := within(imported)
		sibling := strings.HasSuffix(mayImport[i].part, "/") && covers(mayImport[i].part, to)
		if sibling || !slices.ContainsFunc(mayImport[i].packages, func(p string) bool { return covers(p, to) }) {
			return "the arrow points the wrong way"
		}
	case strings.Contains(first, ".") && !mayImport[i].libraries:
		return "only the standard library may be imported here"
	}
	return ""
}

// within returns the path of a package within the module.
func within(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
}

// covers reports whether a package is part, or lies in it where part ends with
// a slash or names a command.
func covers(part, pkg string) bool {
	return pkg == part || (part != "" && strings.HasPrefix(pkg, strings.TrimSuffix(part, "/")+"/"))
}
