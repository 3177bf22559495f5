package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// readmeBlock returns the code block of the README in a language that contains
// some text.
func readmeBlock(t *testing.T, language, containing string) string {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		if strings.Contains(m[1], containing) {
			return m[1]
		}
	}
	t.Fatalf("the README has no %s block with %q", language, containing)
	return ""
}

// TestReadmeFirstScreen runs the command line that a newcomer copies.
func TestReadmeFirstScreen(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("SKIPPED: curl is not installed")
	}
	command := readmeBlock(t, "sh", "curl")
	want := readmeBlock(t, "json", "output")
	s := start(t, t.TempDir(), nil)
	command = strings.Replace(command, "http://localhost:3001", s.url, 1)
	out, err := exec.Command("sh", "-c", strings.Replace(command, "curl", "curl -s", 1)).Output()
	if err != nil || string(out) != want {
		t.Errorf("the README's command answers\n%s(%v)\nand the README says\n%s", out, err, want)
	}
}

// TestReadmeConfiguration checks the parley.yaml that a newcomer copies.
func TestReadmeConfiguration(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "parley.yaml")
	if err := os.WriteFile(file, []byte(readmeBlock(t, "yaml", "rules:")), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("parley", "config", "check", file)
	cmd.Env = unconfigured()
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "1 test passed") {
		t.Errorf("parley config check says of the README's file:\n%s(%v)", out, err)
	}
}

// TestReadmeProgram compares the README's program with the one that is compiled.
func TestReadmeProgram(t *testing.T) {
	program, err := os.ReadFile("../../examples/echo/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if _, code, _ := strings.Cut(string(program), "chat: a bot that is a function.\n"); code != readmeBlock(t, "go", "package main") {
		t.Error("the README's program is not the one in examples/echo")
	}
}
