package llm_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/tmaxmax/go-sse"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/bot/anthropic"
	"github.com/parley-chat/parley/bot/openai"
	"github.com/parley-chat/parley/internal/browsertest"
	"github.com/parley-chat/parley/proof/llm"
	"github.com/parley-chat/parley/proof/server"
)

// sentences are what the models know of the world.
var sentences = []string{
	"We open the shop at nine in the morning and close it at six.",
	"Your parcel leaves the house on the day on which you order it.",
	"You can send the parcel back within a month, and we pay for it.",
	"The blue bicycle comes with a bell, a lamp and a very long name.",
	"A bell costs nine euros, and a lamp costs as much as a good lunch.",
	"On Sunday the shop sleeps, and so does the owner of the shop.",
	"Nobody at the shop knows why the blue bicycle is blue.",
	"It is a good day for a long ride on a blue bicycle.",
	"Ask for the owner when the bell of your bicycle is out of tune.",
	"We repair a lamp in a day and a name in a month.",
}

// wantSaid fails the test unless a reply consists of words that the models know.
func wantSaid(t *testing.T, reply string) {
	t.Helper()
	known := strings.Fields(strings.Join(sentences, " "))
	said := strings.Fields(reply)
	if len(said) == 0 || slices.ContainsFunc(said, func(word string) bool { return !slices.Contains(known, word) }) {
		t.Errorf("the reply is %q; want words of the model's sentences", reply)
	}
}

// eachAPI runs a test with a chat server for each way to ask a model.
func eachAPI(t *testing.T, models *llm.Server, model string, test func(t *testing.T, url string)) {
	program := server.Build(t, parleyCommand)
	for _, api := range []struct {
		name     string
		settings []string
	}{
		{"chat", []string{"--openai-base-url", models.URL, "--openai-model", model}},
		{"responses", []string{"--openai-base-url", models.URL, "--openai-model", model, "--openai-api", "responses"}},
		{"messages", []string{"--anthropic-base-url", models.URL, "--anthropic-model", model}},
	} {
		t.Run(api.name, func(t *testing.T) {
			test(t, serve(t, program, append(api.settings, "--max-tokens", "1000000")...))
		})
	}
}

func TestReplies(t *testing.T) {
	models := llm.Start(t)
	models.Create(t, "shop", llm.Model{Sentences: sentences})
	eachAPI(t, models, "shop", func(t *testing.T, url string) {
		began := time.Now()
		reply := ask(t, url, "When do you open?")
		wantSaid(t, reply)
		t.Logf("whole, in %v: %s", time.Since(began).Round(time.Millisecond), reply)

		began = time.Now()
		pieces, reply := askForStream(t, url, "What do you sell?")
		wantSaid(t, reply)
		if got := strings.Join(pieces, ""); got != reply {
			t.Errorf("the pieces are %q together; want the reply, %q", got, reply)
		}
		t.Logf("streamed, in %v and %d pieces: %s", time.Since(began).Round(time.Millisecond), len(pieces), reply)
	})
}

// TestModelStopsWhenTheVisitorLeaves has a visitor leave in the middle of an
// answer without an end. The model speaks to one visitor at a time, so the next
// one is answered if it has stopped.
func TestModelStopsWhenTheVisitorLeaves(t *testing.T) {
	models := llm.Start(t)
	models.Create(t, "endless", llm.Model{Sentences: sentences, Endless: true})
	eachAPI(t, models, "endless", func(t *testing.T, url string) {
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		if err := listen(ctx, url, "Tell me everything."); err != nil {
			t.Fatal(err)
		}
		inVain, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := listen(inVain, url, "And me?"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a second visitor got %v while the first was being answered; want to wait", err)
		}
		leave()
		left := time.Now()
		patient, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := listen(patient, url, "Is it my turn?"); err != nil {
			t.Fatalf("ten seconds after the first visitor left, the third got %v; want to be answered", err)
		}
		t.Logf("the next visitor was answered %v after the first had left", time.Since(left).Round(time.Millisecond))
	})
}

// listen sends a prompt, and returns when the first pieces of the answer came.
func listen(ctx context.Context, url, prompt string) error {
	answer, err := post(ctx, url, "text/event-stream", prompt)
	if err != nil {
		return err
	}
	pieces := 0
	for event, err := range sse.Read(answer.Body, nil) {
		if err != nil {
			return err
		}
		if event.Type != "delta" {
			return fmt.Errorf("after %d pieces, there was an event %q: %s", pieces, event.Type, event.Data)
		}
		if pieces++; pieces == 20 {
			return nil
		}
	}
	return fmt.Errorf("the answer ended after %d pieces", pieces)
}

// TestBrowserShowsAStream has a visitor of the server's own page watch a long
// answer.
func TestBrowserShowsAStream(t *testing.T) {
	browser := browsertest.Start(t)
	models := llm.Start(t)
	models.Create(t, "story", llm.Model{Sentences: sentences, Endless: true})
	url := serve(t, server.Build(t, parleyCommand), "--openai-base-url", models.URL, "--openai-model", "story", "--max-tokens", "300")
	tab := browser.Tab(t)

	const composer = chromedp.JSPath(`document.querySelector("parley-chat").shadowRoot?.querySelector(".composer textarea")`)
	if err := chromedp.Do(tab,
		chromedp.Navigate(url),
		chromedp.WaitVisible(composer),
		chromedp.Evaluate[chromedp.Void](`(() => {
			const chat = document.querySelector("parley-chat");
			window.shown = [];
			new MutationObserver(() => shown.push([...chat.shadowRoot.querySelectorAll(".bot:not(.typing) > .bubble")].at(-1)?.innerText))
				.observe(chat.shadowRoot, {childList: true, characterData: true, subtree: true});
			chat.on("reply", (e) => window.reply = e.detail.reply.output);
		})()`),
		chromedp.SendKeys(composer, "Tell me a story.\r"),
	); err != nil {
		t.Fatal(err)
	}
	reply, err := chromedp.Run(tab, chromedp.Poll[string](`window.reply`))
	if err != nil {
		t.Fatal(err)
	}
	wantSaid(t, reply)
	shown, err := chromedp.Run(tab, chromedp.Evaluate[[]string](`[...new Set(shown)].filter((text) => text && reply.startsWith(text.trimEnd()))`))
	if err != nil {
		t.Fatal(err)
	}
	if len(shown) < 3 || len(shown[0]) >= len(reply) {
		t.Errorf("the chat showed these beginnings of the reply: %q; want it to grow", shown)
	}
	if !slices.Contains(shown, reply) {
		t.Errorf("the chat never showed the whole reply, %q", reply)
	}
	t.Logf("the chat showed %d beginnings of a reply of %d words", len(shown), len(strings.Fields(reply)))
	browsertest.Screenshot(t, tab, "story")
}

// TestHistoryGoesAlong tells by what the turns use up whether the model is told
// of the one before.
func TestHistoryGoesAlong(t *testing.T) {
	models := llm.Start(t)
	models.Create(t, "shop", llm.Model{Sentences: sentences})
	for _, api := range []struct {
		name string
		make func() (parley.Bot, error)
	}{
		{"chat", func() (parley.Bot, error) {
			return openai.New(openai.Config{BaseURL: models.URL, Model: "shop"})
		}},
		{"responses", func() (parley.Bot, error) {
			return openai.New(openai.Config{BaseURL: models.URL, Model: "shop", API: openai.Responses})
		}},
		{"messages", func() (parley.Bot, error) {
			return anthropic.New(anthropic.Config{BaseURL: models.URL, Model: "shop"})
		}},
	} {
		t.Run(api.name, func(t *testing.T) {
			bot, err := api.make()
			if err != nil {
				t.Fatal(err)
			}
			c := newCounted(t, bot)
			first, second, other := c.use("one session"), c.use("one session"), c.use("another session")
			if second.InputTokens < first.InputTokens+first.OutputTokens {
				t.Errorf("the first turn used up %+v, and the second %+v; want its input to hold the first turn", first, second)
			}
			if other.InputTokens != first.InputTokens {
				t.Errorf("the first turn of another session used up %+v; want the input of %+v", other, first)
			}
			if least := len(openai.DefaultSystem); first.InputTokens < least { // the model knows none of its words, so each letter is a token
				t.Errorf("the first turn used up %+v; want the system prompt's %d tokens of input, too", first, least)
			}
			t.Logf("the first turn used up %+v, the second %+v", first, second)
		})
	}
}

// A counted is a chat whose bot says what each turn used up.
type counted struct {
	*testing.T
	chat *parley.Chat
	last []parley.Usage // of the newest turn
}

func newCounted(t *testing.T, bot parley.Bot) *counted {
	t.Helper()
	c := &counted{T: t}
	chat, err := parley.New(parley.Config{Bot: parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
		reply, err := bot.Reply(ctx, turn, func(string) {})
		c.last = turn.Usage()
		return reply, err
	})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { chat.Shutdown(context.Background()) })
	c.chat = chat
	return c
}

// use has a turn answered in a session, and returns what it used up.
func (c *counted) use(session string) parley.Usage {
	c.Helper()
	reply, err := c.chat.Answer(c.Context(), parley.Request{Session: session, Prompt: "Where is the bell?", Key: rand.Text()})
	if err != nil {
		c.Fatal(err)
	}
	wantSaid(c.T, reply.Text)
	if len(c.last) != 1 || c.last[0].Model != "shop" || c.last[0].InputTokens == 0 || c.last[0].OutputTokens == 0 {
		c.Fatalf("the turn used up %+v; want one call of the model shop, with input and output", c.last)
	}
	return c.last[0]
}
