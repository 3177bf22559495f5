package widget_test

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestPageListsEverything holds the tables of docs/widget.md to the types that
// the widget is served with, and those to what it reads from attributes.
func TestPageListsEverything(t *testing.T) {
	page, types, names := read(t, "../docs/widget.md"), read(t, "src/widget.d.ts"), read(t, "src/settings.ts")
	settings := members(t, types, "Settings")
	for _, test := range []struct{ header, kind string }{
		{"setting", "Settings"}, {"method", "ParleyChatElement"}, {"event", "Events"},
	} {
		want := members(t, types, test.kind)
		if got := table(t, page, test.header); !slices.Equal(got, want) {
			t.Errorf("the page lists the %ss %q; widget.d.ts has %q", test.header, got, want)
		}
	}
	// Words have no attribute.
	want := slices.DeleteFunc(settings, func(name string) bool { return name == "strings" })
	list := regexp.MustCompile(`"([A-Za-z ]+)"\.split`).FindStringSubmatch(names)
	if list == nil {
		t.Fatal("settings.ts has no list of names")
	}
	got := regexp.MustCompile(`\w+`).FindAllString(list[1], -1)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("settings.ts reads the attributes %q; widget.d.ts has %q", got, want)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// members returns the sorted names of what an interface has.
func members(t *testing.T, types, kind string) []string {
	t.Helper()
	body := regexp.MustCompile(`(?ms)^export interface ` + kind + `\b[^{]*\{\n(.*?)^\}`).FindStringSubmatch(types)
	if body == nil {
		t.Fatalf("widget.d.ts has no %s", kind)
	}
	return found(body[1], `(?m)^  (\w+)[?(<:]`)
}

// table returns the sorted names in the first column of the table with a header.
func table(t *testing.T, page, header string) []string {
	t.Helper()
	body := regexp.MustCompile(`(?m)^\| ` + header + ` \|.*\n\|[-|]+\n((?:\|.*\n)+)`).FindStringSubmatch(page)
	if body == nil {
		t.Fatalf("docs/widget.md has no table with the header %q", header)
	}
	return found(body[1], "(?m)^\\| `(\\w+)")
}

func found(text, pattern string) []string {
	var names []string
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		names = append(names, match[1])
	}
	slices.Sort(names)
	return names
}
