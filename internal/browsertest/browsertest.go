// Package browsertest opens pages in a real Chromium, for tests:
//
//	browser := browsertest.Start(t)
//	tab := browser.Tab(t)
//	err := chromedp.Do(tab, chromedp.Navigate(server.URL))
//
// What the page then does is asked with package chromedp.
package browsertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// tabTimeout bounds all that a test does in one tab, so that a page which never
// shows what the test waits for fails the test instead of hanging it.
const tabTimeout = time.Minute

// names are what Chromium and its relatives are called, the likeliest first.
var names = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"}

// A Browser is a headless Chromium with a profile of its own.
type Browser struct {
	ctx context.Context
}

// Start starts a browser that ends with the test. With -short the test is
// skipped. Where no browser is installed it is skipped too, or fails if the
// environment says CI=true.
func Start(t testing.TB) *Browser {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: tests in a browser take their time, and -short is set")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], // which make it headless and quiet
		chromedp.ExecPath(find(t)),
		chromedp.NoSandbox, // containers lack what the sandbox needs; only pages of ours are opened
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	)
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return &Browser{ctx}
}

func find(t testing.TB) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const missing = "needs Chromium, which is not in the PATH; install it, as with: apt-get install chromium"
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// Tab opens an empty tab that shares no cookies or storage with other tabs. The
// context it returns is for chromedp's functions; it ends with the test, or
// after a minute.
//
// When the test ends it fails for everything that went wrong unseen in the tab:
// exceptions that nobody caught, what scripts wrote to console.error, and what
// the browser itself calls an error, such as a breach of the page's content
// security policy. Failed requests do not count; a test can cause them on
// purpose.
func (b *Browser) Tab(t testing.TB) context.Context {
	t.Helper()
	var wrong unseen
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(wrong.listen))
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	t.Cleanup(func() {
		// The answer to this comes behind every event before it.
		last, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if _, err := chromedp.Run(last, chromedp.Title()); err != nil {
			t.Errorf("the tab does not answer at the end of the test: %v", err)
		}
		for _, line := range wrong.all() {
			t.Errorf("in the tab: %s", line)
		}
	})
	timed, cancel := context.WithTimeout(ctx, tabTimeout)
	t.Cleanup(cancel)
	return timed
}

// unseen collects what went wrong in a tab.
type unseen struct {
	mu    sync.Mutex
	lines []string
}

func (u *unseen) add(format string, args ...any) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.lines = append(u.lines, fmt.Sprintf(format, args...))
}

func (u *unseen) all() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.lines
}

// listen is called with each event of the tab, in order.
func (u *unseen) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		u.add("exception: %s (%s:%d)", text, e.ExceptionDetails.URL, e.ExceptionDetails.LineNumber+1)
	case *runtime.EventConsoleAPICalled:
		if e.Type != runtime.ConsoleAPICalledTypeError {
			return
		}
		var words []string
		for _, arg := range e.Args {
			words = append(words, strings.Trim(string(arg.Value), `"`)+arg.Description)
		}
		u.add("console.error: %s", strings.Join(words, " "))
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
			u.add("%s: %s", e.Entry.Source, e.Entry.Text)
		}
	}
}

// ColorScheme has the page believe that its visitor prefers a "light" or a
// "dark" page.
func ColorScheme(scheme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}

// Screenshot writes a picture of the whole page to name.png among the test's
// artifacts, which go test keeps with -artifacts.
func Screenshot(t testing.TB, tab context.Context, name string) {
	t.Helper()
	png, err := chromedp.Run(tab, chromedp.FullScreenshot(100))
	if err != nil {
		t.Errorf("take the screenshot %s: %v", name, err)
		return
	}
	if err := os.WriteFile(filepath.Join(t.ArtifactDir(), name+".png"), png, 0o644); err != nil {
		t.Error(err)
	}
}
