package widget_test

import (
	"context"
	"testing"

	"github.com/chromedp/chromedp"
)

// checkAxe fails the test for everything that axe-core finds in a tab.
func checkAxe(t *testing.T, tab context.Context, axe string) {
	t.Helper()
	if _, err := chromedp.Run(tab, chromedp.Evaluate[int](axe+";0")); err != nil {
		t.Fatalf("load axe-core: %v", err)
	}
	found, err := chromedp.Run(tab, chromedp.Evaluate[[]string](`axe.run(document, {resultTypes: ["violations"]}).then((r) => r.violations.flatMap((v) =>
		v.nodes.map((n) => v.id + ": " + n.target.flat().join(" ") + ": " + n.failureSummary)))`, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("run axe-core: %v", err)
	}
	for _, violation := range found {
		t.Errorf("axe: %s", violation)
	}
}
