package site

import (
	_ "embed"
	"net/http"
)

// SampleYAML is the parley.yaml that answers while a user has none: rules for
// every kind of reply, and a start to copy. Its links lead to [Sample].
//
//go:embed sample.yaml
var SampleYAML []byte

// Sample returns the pages and the picture that the sample rules link to, and
// the rules themselves as /sample/parley.yaml. All of it is below /sample/. It
// answers GET and HEAD.
func Sample() http.Handler {
	return files{
		"/sample/help":            webFile("sample/help.html"),
		"/sample/getting-started": webFile("sample/getting-started.html"),
		"/sample/plan":            webFile("sample/plan.html"),
		"/sample/plan.svg":        webFile("sample/plan.svg"),
		"/sample/sample.css":      webFile("sample/sample.css"),
		"/sample/base.css":        webFile("base.css"),
		"/sample/icon.svg":        webFile("icon.svg"),
		"/sample/parley.yaml":     {mediaTypes[".yaml"], SampleYAML},
	}
}
