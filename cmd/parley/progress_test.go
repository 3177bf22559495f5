package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgressSaysHowFarItIs(t *testing.T) {
	for name, test := range map[string]struct {
		total, from, done int64
		took              time.Duration
		want              string
	}{
		"a counter":             {0, 0, 12345, 3 * time.Second, "Moving: 12,345 bytes, 4,115/s"},
		"a counter gone on":     {0, 10000, 12345, time.Second, "Moving: 12,345 bytes, 2,345/s"},
		"nothing yet":           {1000, 0, 0, time.Second, "Moving [------------------------------]   0%"},
		"a quarter":             {1000, 0, 250, 20 * time.Second, "Moving [#######-----------------------]  25%, 1m0s left"},
		"all":                   {1000, 0, 1000, time.Second, "Moving [##############################] 100%"},
		"more than there is in": {1000, 0, 2000, time.Second, "Moving [##############################] 100%"},
	} {
		p := &progress{what: "Moving", unit: "bytes", total: test.total, from: test.from}
		if got := p.line(test.done, test.took); got != test.want {
			t.Errorf("%s: %q; want %q", name, got, test.want)
		}
	}
}

func TestProgressIsShownAFewTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var screen bytes.Buffer
		p := &progress{w: &screen, what: "Moving", unit: "turns", began: time.Now(), shown: time.Now()}
		for n := range int64(2000) {
			p.at(n)
			time.Sleep(time.Millisecond)
		}
		p.end()
		if n := strings.Count(screen.String(), "Moving"); n < 4 || n > 10 {
			t.Errorf("in two seconds it was shown %d times; want a few", n)
		}
		if !strings.HasSuffix(screen.String(), "\r\x1b[K") {
			t.Errorf("it leaves %q; want the line taken away", screen.String())
		}
	})
}

func TestProgressIsForTerminals(t *testing.T) {
	var log bytes.Buffer
	p := newProgress(&log, "Moving", "turns", 0, 0)
	p.shown = time.Time{}
	p.at(1)
	p.end()
	if log.Len() > 0 {
		t.Errorf("what is no terminal is shown %q; want nothing", log.String())
	}
}

func TestNumbersAreGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", 1000007: "1,000,007"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is written %q; want %q", n, got, want)
		}
	}
}
