package parley_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/parley-chat/parley"
)

// sampleBot answers by words, as the first bot of most people does.
func sampleBot(_ context.Context, turn *parley.Turn) (parley.Reply, error) {
	prompt := strings.ToLower(turn.Prompt)
	switch {
	case strings.Contains(prompt, "help"), strings.Contains(prompt, "support"):
		return parley.Reply{Text: "These pages may help:", Content: &parley.Articles{
			{Title: "Help Center", Description: "All help pages", Link: "https://help.example.com"},
			{Title: "Support", Description: "Write to the team", Link: "https://help.example.com/contact"},
		}}, nil
	case strings.Contains(prompt, "contact"), strings.Contains(prompt, "form"):
		form := parley.ContactForm()
		form.SubmitURL = turn.BaseURL + parley.FormPath(parley.ContactFormID)
		return parley.Reply{Text: "Leave us a message:", Content: &form}, nil
	case strings.Contains(prompt, "buy"):
		return parley.Reply{Text: "Our plans:", Content: &parley.Cards{Cards: []parley.Card{
			{Title: "Premium", Description: "Everything", Image: "https://example.com/premium.jpg", Price: "$29/month"},
		}}}, nil
	}
	return parley.Text("Thank you for your message! How can I assist you today?"), nil
}

// curl runs curl against a server and returns what it prints.
func curl(t *testing.T, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed")
	}
	out, err := exec.CommandContext(t.Context(), path, append([]string{"-sS"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("curl: %v: %s", err, out)
	}
	return string(out)
}

// The two lines with which everybody tries a chat first.
func TestTryingItWithCurl(t *testing.T) {
	server := httptest.NewServer(newChat(t, parley.Config{Bot: parley.BotFunc(sampleBot)}).Handler())
	defer server.Close()
	const want = `{"output":"Thank you for your message! How can I assist you today?"}` + "\n"
	for name, extra := range map[string][]string{
		"plain":             nil,
		"with a CSRF token": {"-H", "X-CSRFToken: test-token"},
	} {
		args := append([]string{"-X", "POST", server.URL + "/chat", "-H", "Content-Type: application/json"}, extra...)
		args = append(args, "-d", `{"prompt": "Hello", "session_id": "test-session"}`)
		if got := curl(t, args...); got != want {
			t.Errorf("%s: curl printed %q, want %q", name, got, want)
		}
	}
}

// A preflight as a reader of the documents types it.
func TestTryingAPreflightWithCurl(t *testing.T) {
	server := httptest.NewServer(newChat(t, parley.Config{AllowedOrigins: []string{"https://yourdomain.com"}}).Handler())
	defer server.Close()
	got := curl(t, "-X", "OPTIONS", server.URL+"/chat", "-D", "-",
		"-H", "Origin: https://yourdomain.com", "-H", "Access-Control-Request-Method: POST",
		"-H", "Access-Control-Request-Headers: Content-Type, X-CSRFToken")
	for _, want := range []string{
		"HTTP/1.1 204 No Content\r\n",
		"Access-Control-Allow-Origin: https://yourdomain.com\r\n",
		"Access-Control-Allow-Methods: POST, OPTIONS\r\n",
		"Access-Control-Allow-Headers: Content-Type, X-CSRFToken, X-CSRF-Token, Idempotency-Key, Last-Event-ID, X-Parley-Session\r\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("curl printed\n%s\nwant it to contain %q", got, want)
		}
	}
}

// ask posts a prompt over the network and returns the JSON of the answer.
func ask(t *testing.T, server *httptest.Server, prompt string) map[string]any {
	t.Helper()
	body, err := json.Marshal(map[string]string{"prompt": prompt, "session_id": "test-session"})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := server.Client().Post(server.URL+"/chat", "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 {
		t.Fatalf("%q got %d %s, %v; want 200", prompt, answer.StatusCode, data, err)
	}
	var reply map[string]any
	if err := json.Unmarshal(data, &reply); err != nil {
		t.Fatal(err)
	}
	return reply
}

func TestBasicPromptGetsAnOutput(t *testing.T) {
	server := httptest.NewServer(newChat(t, parley.Config{Bot: parley.BotFunc(sampleBot)}).Handler())
	defer server.Close()
	if output, ok := ask(t, server, "Hello")["output"].(string); !ok || output == "" {
		t.Errorf("output is %q, want a string", output)
	}
}

func TestHelpGetsArticles(t *testing.T) {
	server := httptest.NewServer(newChat(t, parley.Config{Bot: parley.BotFunc(sampleBot)}).Handler())
	defer server.Close()
	reply := ask(t, server, "I need help")
	if reply["content_type"] != "article" {
		t.Fatalf("content_type is %v, want article", reply["content_type"])
	}
	attributes, _ := reply["content_attributes"].(map[string]any)
	if items, _ := attributes["items"].([]any); len(items) != 2 {
		t.Errorf("content_attributes are %v, want two items", attributes)
	}
}

// A form that a reply shows can be filled in at the address that it names.
func TestContactFormRoundTrip(t *testing.T) {
	store := parley.NewMemory()
	server := httptest.NewServer(newChat(t, parley.Config{Store: store, Bot: parley.BotFunc(sampleBot)}).Handler())
	defer server.Close()
	attributes, _ := ask(t, server, "How do I contact you?")["content_attributes"].(map[string]any)
	form, _ := attributes["form"].(map[string]any)
	url, _ := form["submitUrl"].(string)
	if url != server.URL+"/contact-form" {
		t.Fatalf("submitUrl is %q, want %s/contact-form", url, server.URL)
	}
	answer, err := server.Client().Post(url, "application/json", strings.NewReader(contact))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if n := len(submissions(t, store, "contact")); answer.StatusCode != 200 || n != 1 {
		t.Errorf("the form got %d, and %d submissions are stored; want 200 and 1", answer.StatusCode, n)
	}
}
