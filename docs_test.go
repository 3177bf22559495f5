package parley_test

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/parley-chat/parley"
)

var codeBlock = regexp.MustCompile("(?s)```([a-z]+)\n(.*?)```")

// Every JSON block of the reference is in the vectors, as a reply, a request or
// an answer, so the page shows nothing that does not work.
func TestReferenceShowsVectors(t *testing.T) {
	var known []any
	add := func(data []byte) {
		var v any
		if json.Unmarshal(data, &v) == nil {
			known = append(known, v)
		}
	}
	for _, file := range replyFiles(t) {
		for _, v := range readVectors[replyVector](t, file) {
			if v.Problems == nil && !v.Malformed {
				add(v.Reply)
			}
		}
	}
	for _, file := range requestFiles {
		for _, v := range readVectors[requestVector](t, file) {
			if v.Response.Status == 200 {
				add(v.body(t))
			}
			add(v.Response.Body)
		}
	}
	shown := map[string]bool{}
	blocks := 0
	for _, block := range codeBlock.FindAllStringSubmatch(string(readFile(t, "docs/api-reference.md")), -1) {
		if block[1] != "json" {
			continue
		}
		blocks++
		var v any
		if err := json.Unmarshal([]byte(block[2]), &v); err != nil {
			t.Errorf("a block is not JSON: %v\n%s", err, block[2])
			continue
		}
		found := false
		for _, k := range known {
			found = found || reflect.DeepEqual(k, v)
		}
		if !found {
			t.Errorf("no vector has\n%s", block[2])
		}
		if object, ok := v.(map[string]any); ok {
			kind, _ := object["content_type"].(string)
			shown[kind] = true
		}
	}
	if blocks == 0 {
		t.Error("the reference has no JSON blocks")
	}
	for _, kind := range parley.ContentTypes() {
		if !shown[kind] && kind != "canned_response" {
			t.Errorf("the reference shows no %q", kind)
		}
	}
}

// The errors that the reference lists are those that vectors and failures have.
func TestReferenceListsTheErrors(t *testing.T) {
	page := string(readFile(t, "docs/api-reference.md"))
	for _, body := range []string{apologyInternal, apologyUnavailable, apologyNoAnswer, apologyForm} {
		if !strings.Contains(page, body) {
			t.Errorf("the reference does not list %s", body)
		}
	}
	for _, v := range readVectors[requestVector](t, "chat.json") {
		var body struct{ Error string }
		if json.Unmarshal(v.Response.Body, &body) != nil || v.Response.Status == 405 {
			continue
		}
		if !strings.Contains(page, body.Error) && body.Error != "Content-Encoding is not supported" {
			t.Errorf("the reference does not list the error %q", body.Error)
		}
	}
}

// The smallest program is the same in the reference and in the package comment.
func TestReferenceShowsThePackageExample(t *testing.T) {
	comment := strings.ReplaceAll(string(readFile(t, "doc.go")), "//\t", "")
	for _, block := range codeBlock.FindAllStringSubmatch(string(readFile(t, "docs/api-reference.md")), -1) {
		if block[1] == "go" && strings.Contains(block[2], "parley.New(") && strings.Contains(comment, block[2]) {
			return
		}
	}
	t.Error("the reference does not show the program of the package comment")
}
