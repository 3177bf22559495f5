package bot_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/bot"
	"github.com/parley-chat/parley/parleytest"
)

// TestBackends runs the backends of testdata/backends for real, and relays
// prompts to them. What one of them needs and does not find skips it, or fails
// it if the environment says CI=true.
func TestBackends(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: backends take their time to start, and -short is set")
	}
	article := func(text, items string) string {
		return `{"content":"` + text + `","content_type":"article","content_attributes":{"items":[` + items + `]}}`
	}
	for _, backend := range []struct {
		name    string
		start   func(t *testing.T) *exec.Cmd
		replies map[string]string // by prompt
	}{
		{"express", express, map[string]string{
			"I need HELP": article("These pages may have the answer:",
				`{"title":"Help","description":"Questions and answers","link":"https://help.example.com"},
				{"title":"Support","description":"Write to a person","link":"https://help.example.com/contact"}`),
			"May I contact you?": `{"content":"Please tell us how we can reach you:","content_type":"form","content_attributes":{"form":
				{"title":"Contact","submitUrl":"https://shop.example.com/contact-form","fields":[
					{"id":"name","type":"text","label":"Name","required":true},
					{"id":"email","type":"email","label":"E-mail","required":true},
					{"id":"message","type":"textarea","label":"Message","required":true}]}}}`,
			"Hello": `{"output":"Thank you for writing. What can I do for you?"}`,
		}},
		{"flask", python("flask"), map[string]string{
			"I need HELP": article("These pages may have the answer:",
				`{"title":"Manual","description":"How everything works","link":"https://docs.example.com/manual"},
				{"title":"Questions","description":"And their answers","link":"https://docs.example.com/faq"}`),
			"What can I buy?": `{"content":"This is what we have:","content_type":"card","content_attributes":{"cards":{"title":"Plans","cards":[
				{"title":"Premium","description":"Everything in one plan","image":"https://shop.example.com/premium.jpg",
				"link":"https://shop.example.com/premium","linkText":"Read more","price":"$29 a month"}]}}}`,
			"Hello": `{"output":"Hello! What can I do for you?"}`,
		}},
		{"fastapi", python("fastapi"), map[string]string{
			"Grüß Gott <b>": `{"output":"Thank you for writing: 'Grüß Gott <b>'"}`,
		}},
	} {
		t.Run(backend.name, func(t *testing.T) {
			relay := startBackend(t, backend.start(t))
			var prompts []string
			for prompt, want := range backend.replies {
				prompts = append(prompts, prompt)
				reply, err := relay.Reply(t.Context(), turnIn("s", prompt), func(string) {})
				if err != nil {
					t.Errorf("prompt %q: Reply = %v; want %s", prompt, err, want)
					continue
				}
				got, err := json.Marshal(reply)
				if err != nil {
					t.Fatal(err)
				}
				wantJSON(t, "the reply to "+prompt, got, want)
			}
			if backend.name == "fastapi" {
				testFastAPIFailures(t, relay)
				return // the suite asks without a session too, which this one refuses
			}
			parleytest.Bot(t, relay, prompts...)
		})
	}
}

func testFastAPIFailures(t *testing.T, relay *bot.Relay) {
	for _, test := range []struct {
		turn      *parley.Turn
		want      string
		temporary bool
	}{
		{turnIn("", "Hello"), "422 Unprocessable", false},
		{turnIn("s", "Say nothing"), `500 Internal Server Error. It said: {"detail":"Something went wrong here."}`, true},
	} {
		_, err := relay.Reply(t.Context(), test.turn, func(string) {})
		var failure *parley.Failure
		if !errors.As(err, &failure) || failure.Temporary != test.temporary || !strings.Contains(err.Error(), test.want) {
			t.Errorf("prompt %q in session %q: Reply = %v; want a failure with %q", test.turn.Prompt, test.turn.Session, err, test.want)
		}
	}
}

func turnIn(session, prompt string) *parley.Turn {
	return &parley.Turn{Session: session, Seq: 1, Prompt: prompt, Time: time.Now()}
}

func express(t *testing.T) *exec.Cmd {
	modules, err := filepath.Abs("../tools/node/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "express")); err != nil {
		missing(t, "needs Express, which is not in tools/node; install it, as with: npm ci --prefix tools/node")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		missing(t, "needs Node.js, which is not in the PATH; install it, as with: apt-get install nodejs")
	}
	cmd := exec.Command(node, "testdata/backends/express/app.js")
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	return cmd
}

// python returns what starts a backend in Python, with the first interpreter
// that has its framework: another one may stand before the system's in the PATH.
func python(framework string) func(t *testing.T) *exec.Cmd {
	return func(t *testing.T) *exec.Cmd {
		imports := framework
		if framework == "fastapi" {
			imports += ", uvicorn"
		}
		for _, interpreter := range []string{"python3", "/usr/bin/python3"} {
			if exec.Command(interpreter, "-c", "import "+imports).Run() == nil {
				cmd := exec.Command(interpreter, "testdata/backends/"+framework+"/app.py")
				cmd.Env = append(os.Environ(), "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1")
				return cmd
			}
		}
		missing(t, fmt.Sprintf("needs Python 3 with %s; install it, as with: apt-get install python3-flask python3-fastapi python3-uvicorn", imports))
		return nil
	}
}

// missing ends a test that lacks something.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip("SKIPPED: " + what)
}

// listening is how each of the backends says that it is ready, and where.
var listening = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// startBackend starts a backend that ends with the test, and returns a relay to
// it.
func startBackend(t *testing.T, cmd *exec.Cmd) *bot.Relay {
	t.Helper()
	output, input, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	t.Cleanup(func() { output.Close() })
	cmd.Env = append(cmd.Env, "PORT=0")
	cmd.Stdout, cmd.Stderr = input, input
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	output.SetReadDeadline(time.Now().Add(time.Minute))
	var said strings.Builder
	lines := bufio.NewScanner(io.TeeReader(output, &said))
	for lines.Scan() {
		address := listening.FindString(lines.Text())
		if address == "" {
			continue
		}
		output.SetReadDeadline(time.Time{})
		go io.Copy(io.Discard, output) // or it blocks when the pipe is full
		relay, err := bot.NewRelay(bot.RelayConfig{URL: address + "/chat"})
		if err != nil {
			t.Fatal(err)
		}
		return relay
	}
	t.Fatalf("the backend did not start (%v). It said:\n%s", lines.Err(), &said)
	return nil
}
