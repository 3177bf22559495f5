package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/cmd/parley/internal/config"
)

// testPrompt is what "bot test" says if it is given nothing to say.
const testPrompt = "Hello! What can you help me with?"

func (p *program) botTestCommand() command {
	return command{
		name:    "bot test",
		args:    "[PROMPT]",
		summary: "Send one message to each model or relay, and show what comes back",
		about: "It asks those of BOTS, as they are set up, and shows each answer as it comes, how long it took, and the tokens used. " +
			"Each is asked once, with no try again. A failure is told in the service's own words. It needs no running server and keeps nothing.",
		flags: func(fs *flag.FlagSet) func(context.Context, []string) error {
			flags := settingFlags{}.register(fs)
			only := fs.String("bot", "", "Ask this `BOT` only, whether BOTS has it or not, such as openai.")
			return func(ctx context.Context, args []string) error {
				if len(args) > 1 {
					return &errUsage{fmt.Sprintf("bot test takes one prompt; write it in quotes, as in %q", strings.Join(args, " ")), "bot test"}
				}
				return p.testBots(ctx, flags, *only, cmp.Or(strings.Join(args, ""), testPrompt))
			}
		},
	}
}

// testBots sends a prompt to services, one after the other.
func (p *program) testBots(ctx context.Context, flags settingFlags, only, prompt string) error {
	cfg, err := p.load(flags)
	if err != nil {
		return err
	}
	tested, err := servicesToTest(cfg, only)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "> %s\n", printable(prompt))
	var silent []string
	for _, service := range tested {
		fmt.Fprintf(p.stdout, "\n%s\n\n", serviceLine(cfg, service))
		if !p.testBot(ctx, cfg, service, prompt) {
			silent = append(silent, service.Name)
		}
	}
	if len(silent) > 0 {
		return fmt.Errorf("no answer from %s", strings.Join(silent, " and "))
	}
	return nil
}

// servicesToTest returns the services of the chain, or the only one asked for.
func servicesToTest(cfg *config.Config, only string) ([]config.Service, error) {
	names := cfg.Chain
	if only != "" {
		names = []string{only}
	}
	var found []config.Service
	for _, name := range names {
		if service, ok := cfg.Service(name); ok {
			found = append(found, service)
		}
	}
	switch {
	case len(found) > 0:
		return found, nil
	case only == "":
		return nil, &errUsage{"no model or relay answers: set OPENAI_API_KEY, OPENAI_BASE_URL, ANTHROPIC_API_KEY or RELAY_URL", "bot test"}
	}
	var known []string
	for _, s := range services {
		if s.Name == only {
			return nil, &errUsage{fmt.Sprintf("%s is not set up: set %s", only, s.SetUp()), "bot test"}
		}
		known = append(known, s.Name)
	}
	return nil, &errUsage{fmt.Sprintf("%q is no model or relay; write --bot with one of %s", only, strings.Join(known, ", ")), "bot test"}
}

// testBot asks a service without a guard, which would try again, and reports
// whether it answered. What came back is printed as it comes.
func (p *program) testBot(ctx context.Context, cfg *config.Config, service config.Service, prompt string) bool {
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.BotTimeout, fmt.Errorf("no whole answer within BOT_TIMEOUT, %s", config.Format(cfg.BotTimeout)))
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	late := time.AfterFunc(cfg.FirstTokenTimeout, func() {
		giveUp(fmt.Errorf("no text within FIRST_TOKEN_TIMEOUT, %s", config.Format(cfg.FirstTokenTimeout)))
	})
	defer late.Stop()
	if service.InOnePiece {
		late.Stop()
	}

	// The session is a new one each time: a backend may remember what it said.
	turn := &parley.Turn{Session: "test-" + rand.Text(), Seq: 1, Prompt: prompt, Time: time.Now()}
	out := &terminal{w: p.stdout}
	var first time.Duration
	var emitted strings.Builder
	reply, err := service.Bot.Reply(ctx, turn, func(text string) {
		if text != "" && emitted.Len() == 0 {
			late.Stop()
			first = time.Since(turn.Time)
		}
		emitted.WriteString(text)
		out.print(text)
	})
	took := time.Since(turn.Time)
	if emitted.Len() > 0 {
		fmt.Fprint(p.stdout, "\n\n")
	}
	if err != nil {
		err = cmp.Or(context.Cause(ctx), err)
		fmt.Fprintf(p.stdout, "Failed after %s: %s\n", seconds(took), printable(err.Error()))
		return false
	}
	if whole := reply.PlainText(); whole != emitted.String() { // and it is the truth
		out.print(whole)
		fmt.Fprint(p.stdout, "\n\n")
	}
	fmt.Fprintln(p.stdout, measured(cmp.Or(first, took), took, turn.Usage()))
	for _, u := range turn.Usage() {
		if most := cfg.MaxTokens; most > 0 && u.OutputTokens >= most {
			fmt.Fprintf(p.stdout, "The answer is as long as MAX_TOKENS allows, %d tokens, and may be cut.\n", most)
		}
	}
	return true
}

// measured says in one line what an answer took.
func measured(first, whole time.Duration, usage []parley.Usage) string {
	line := fmt.Sprintf("First text after %s, whole answer after %s", seconds(first), seconds(whole))
	for _, u := range usage {
		line += fmt.Sprintf("; %d tokens in, %d tokens out, by %s", u.InputTokens, u.OutputTokens, printable(u.Model))
	}
	return line + "."
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// A terminal prints the text of strangers without the control characters with
// which it could take the screen over.
type terminal struct {
	w    io.Writer
	half []byte // of a character, whose rest is still to come
}

// print prints a piece of text, which may begin and end within a character.
func (t *terminal) print(piece string) {
	text := append(t.half, piece...)
	end := len(text)
	for i := 1; i <= min(utf8.UTFMax, len(text)); i++ {
		if utf8.RuneStart(text[len(text)-i]) {
			if !utf8.FullRune(text[len(text)-i:]) {
				end -= i
			}
			break
		}
	}
	t.half = append([]byte(nil), text[end:]...)
	io.WriteString(t.w, strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, string(text[:end])))
}
