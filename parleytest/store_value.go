package parleytest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/parley-chat/parley"
)

// The tests of what values may be: every text, and much of it.

// texts are texts that somebody once confused with another, with code, or with
// the end. No two are the same.
var texts = []string{
	"case", "Case", "pad", "pad ", " pad", "line", "line\n", "line\r\n", "\t",
	"nul", "nul\x00", "nul\x00a", "nul\x00b", "\x00",
	"'; DROP TABLE turns; --", `" OR ""="`, `'`, `''`, `"`, "`", `\`, `\\`, `\'`,
	"%", "%%", "_", "*", "?", "?1", "$1", ":a", "@a", "[a]", "{a}", "${a}", "{{.}}", "/* */", "--", ";", "%s%d%n",
	"null", "NULL", "true", "0", "00", "1", "1.0", "1e999", "-0", "NaN",
	"{}", "[]", `{"$gt":""}`, `{"output":"no"}`, "a:b", "a|b", "a,b", "a\x1fb",
	"é", "e\u0301", "ß", "ss", "İ", "i", "ſ", "s", "\u212a", "K",
	"日本語", "עברית", "👩‍👩‍👧‍👦", "🇦🇹", "\u2028", "\u2029", "\ufeff", "\u202e", "\u200b", "\u00a0",
	"\U0010ffff", "\ufffd", "\ufffe", "\x7f", "\x1b[31m", "\r",
	strings.Repeat("x", 255), strings.Repeat("x", 256), strings.Repeat("x", 257), strings.Repeat("é", 5000),
}

func testValues(s *storeTest) {
	// A session of each name, and in one more a key and a prompt of each.
	own, one := map[string]parley.Record{}, []parley.Record{}
	for _, t := range texts {
		own[t] = s.answer(s.message("session "+t, t))
		one = append(one, s.answer(s.keyed("one", t, t)))
	}
	for i, t := range texts {
		s.wantTranscript("of a session with the name of a text", "session "+t, own[t])
		s.same("with a text as its key", s.keyed("one", t, t), one[i])
		s.same("with a text as its prompt", s.message("session "+t, t), own[t])
	}
	s.wantTranscript("with keys, prompts and replies of all texts", "one", one...)

	secrets := map[string]string{}
	for _, t := range texts {
		secrets[s.secret(t)] = t
	}
	if len(secrets) != len(texts) {
		s.Errorf("%d names have %d different secrets; want one each", len(texts), len(secrets))
	}
	for _, t := range texts {
		submission := parley.Submission{ID: t, Form: t, Values: parley.Values{t: t, "list": []string{t}}, Time: s.now}
		submission.Seq = s.submit(submission).Seq
		s.wantSubmissions(fmt.Sprintf("of form %q", t), s.submissions(t, 0, 10), submission)
	}
	if n := len(s.submissions("", 0, 1000)); n != len(texts) {
		s.Errorf("there are %d submissions; want %d", n, len(texts))
	}
}

// testAnyText keeps many random texts.
func testAnyText(s *storeTest) {
	n := 1000
	if testing.Short() {
		n = 300
	}
	r := rand.New(rand.NewPCG(1, 2))
	want := make([]parley.Record, n)
	replies := make([]parley.Reply, n)
	for i := range n {
		m := s.message("s", fmt.Sprint(i, anyText(r)))
		want[i] = s.fresh("a message", m)
		want[i].Prompt, replies[i] = m.Prompt, parley.Text(anyText(r)+".")
		want[i].Reply, want[i].Ended = &replies[i], s.now
	}
	s.sideBySide(n, 64, func(i int) error {
		return s.store.Finish(s.Context(), want[i], replies[i], s.now)
	})
	for i, got := range s.transcript("s") {
		if got.Prompt != want[i].Prompt || got.Reply == nil || got.Reply.Text != replies[i].Text {
			s.Errorf("got %s\nwant %s", record(got), record(want[i]))
		}
	}
}

// anyText returns up to 100 random characters, most of them unusual.
func anyText(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(100) {
		limit := []int32{0x20, 0x80, 0x800, 0x10000, utf8.MaxRune + 1}[r.IntN(5)]
		if c := r.Int32N(limit); utf8.ValidRune(c) {
			b.WriteRune(c)
		}
	}
	return b.String()
}

func testLargeValues(s *storeTest) {
	size := 1 << 20
	if testing.Short() {
		size = 1 << 17
	}
	large := strings.Repeat("0123456789abcdef", size/16)
	r := s.fresh("a large prompt", s.keyed("s", "k", large))
	r = s.finish(r, parley.Text(large+"."))
	s.wantTranscript("with large values", "s", r)
	s.same("a large prompt, sent again", s.keyed("s", "k", large), r)
	s.reused("another large prompt", s.keyed("s", "k", large+"x"))

	submission := parley.Submission{ID: "id", Form: "f", Values: parley.Values{"large": large}, Time: s.now}
	submission.Seq = s.submit(submission).Seq
	s.wantSubmissions("with a large value", s.submissions("", 0, 1), submission)
}
