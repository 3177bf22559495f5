// Package ledger is the clients' side of the story: which messages they sent,
// which answers they got and in which order, to be compared with what a store
// holds.
//
// It knows nothing of servers, files or faults, so that it can judge any store.
package ledger

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/parley-chat/parley"
)

// A Message is what a client sends.
type Message struct {
	Session string // session id; empty for none
	Token   string // session token, which counts instead; empty for none
	Key     string // idempotency key; empty for none
	Prompt  string // no two messages have the same, which tells them apart everywhere
}

// A Ledger is empty at first. Its methods are safe for concurrent use.
type Ledger struct {
	mu       sync.Mutex
	entries  []*entry // in the order in which they were first sent
	byPrompt map[string]*entry
	clock    int // counts what is written down
	altered  []string
}

type entry struct {
	Message
	since  time.Time // when it was first sent
	sent   int       // the clock then
	acked  int       // the clock when it was first answered, or 0
	answer []byte    // the body that acknowledged it
	gaveUp bool
}

// New returns an empty ledger.
func New() *Ledger { return &Ledger{byPrompt: map[string]*entry{}} }

// Sent writes down that a message is about to be sent, or to be sent again, and
// returns when it was first sent.
func (l *Ledger) Sent(m Message) (since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.byPrompt[m.Prompt]
	if e == nil {
		l.clock++
		e = &entry{Message: m, since: time.Now(), sent: l.clock}
		l.entries = append(l.entries, e)
		l.byPrompt[m.Prompt] = e
	}
	return e.since
}

// Acked writes down the answer to a message that was sent.
func (l *Ledger) Acked(m Message, answer []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.byPrompt[m.Prompt]
	if e.acked != 0 {
		if !bytes.Equal(e.answer, answer) {
			l.altered = append(l.altered, fmt.Sprintf("%q was answered with %q, and later with %q", m.Prompt, e.answer, answer))
		}
		return
	}
	l.clock++
	e.acked, e.answer = l.clock, answer
}

// Waiting is a message that waits for its answer.
type Waiting struct {
	Message
	Since time.Time // when it was first sent
}

// Unanswered returns the messages that wait for an answer, oldest first.
func (l *Ledger) Unanswered() []Waiting {
	l.mu.Lock()
	defer l.mu.Unlock()
	var waiting []Waiting
	for _, e := range l.entries {
		if e.acked == 0 && !e.gaveUp {
			waiting = append(waiting, Waiting{e.Message, e.since})
		}
	}
	return waiting
}

// GiveUp takes a message out of those that wait. Whether the store has it, no
// client will learn.
func (l *Ledger) GiveUp(m Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byPrompt[m.Prompt].gaveUp = true
}

// Answered returns the messages that were acknowledged, in the order in which
// they were sent.
func (l *Ledger) Answered() []Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	var messages []Message
	for _, e := range l.entries {
		if e.acked != 0 {
			messages = append(messages, e.Message)
		}
	}
	return messages
}

// A Verdict counts what is wrong with a store. All but Acked and Stored must be 0.
type Verdict struct {
	Acked     int // messages that were acknowledged
	Stored    int // answered turns in the store
	Lost      int // acknowledged, and not in the store
	Doubled   int // in the store more than once, acknowledged or not
	Reordered int // sent after another was acknowledged, and in the store before it
	Altered   int // stored or answered again with another reply than the acknowledged one
	Strayed   int // in the store, and never sent, or in another conversation than its own

	details []string
}

// maxDetails is how many details of a verdict are kept.
const maxDetails = 5

func (v *Verdict) add(count *int, format string, args ...any) {
	*count++
	if len(v.details) < maxDetails {
		v.details = append(v.details, fmt.Sprintf(format, args...))
	}
}

// Err returns what is wrong with the store, or nil.
func (v Verdict) Err() error {
	if v.Lost+v.Doubled+v.Reordered+v.Altered+v.Strayed == 0 {
		return nil
	}
	return fmt.Errorf("%v:\n\t%s", v, strings.Join(v.details, "\n\t"))
}

// String returns the counts.
func (v Verdict) String() string {
	return fmt.Sprintf("acked=%d stored=%d lost=%d doubled=%d reordered=%d altered=%d strayed=%d",
		v.Acked, v.Stored, v.Lost, v.Doubled, v.Reordered, v.Altered, v.Strayed)
}

// Plus returns the sum of two verdicts on different ledgers.
func (v Verdict) Plus(w Verdict) Verdict {
	return Verdict{
		v.Acked + w.Acked, v.Stored + w.Stored, v.Lost + w.Lost, v.Doubled + w.Doubled,
		v.Reordered + w.Reordered, v.Altered + w.Altered, v.Strayed + w.Strayed,
		append(v.details, w.details...),
	}
}

// Compare judges the records of a store: those of each session together, in
// ascending order.
func (l *Ledger) Compare(records []parley.Record) Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := Verdict{}
	for _, what := range l.altered {
		v.add(&v.Altered, "%s", what)
	}
	stored := map[string]int{}
	homes := map[string]string{} // the stored session of each client's session, and the reverse
	var latest *entry            // of the records of this session so far, the one that was sent last
	for i, r := range records {
		if i == 0 || r.Session != records[i-1].Session {
			latest = nil
		}
		if r.Reply == nil {
			continue // it runs, or died: nobody was told
		}
		v.Stored++
		e := l.byPrompt[r.Prompt]
		if e == nil || e.Key != r.Key {
			v.add(&v.Strayed, "%q with the key %q is stored, and nobody sent it", r.Prompt, r.Key)
			continue
		}
		if stored[r.Prompt]++; stored[r.Prompt] > 1 {
			v.add(&v.Doubled, "%q is stored again as turn %d of %s", r.Prompt, r.Seq, r.Session)
			continue
		}
		if !sameHome(homes, e.Session, r.Session) {
			v.add(&v.Strayed, "%q of session %q is stored in %s, which is another conversation", r.Prompt, e.Session, r.Session)
		}
		if e.acked != 0 && !answers(*r.Reply, e.answer) {
			v.add(&v.Altered, "%q was answered with %q, and %+v is stored", r.Prompt, e.answer, *r.Reply)
		}
		if latest != nil && e.acked != 0 && e.acked < latest.sent {
			v.add(&v.Reordered, "%q was acknowledged before %q was sent, and is stored behind it", e.Prompt, latest.Prompt)
		}
		if latest == nil || e.sent > latest.sent {
			latest = e
		}
	}
	for _, e := range l.entries {
		if e.acked == 0 {
			continue
		}
		if v.Acked++; stored[e.Prompt] == 0 {
			v.add(&v.Lost, "%q was acknowledged, and is not stored", e.Prompt)
		}
	}
	return v
}

// sameHome reports whether the client's session and the stored one belong to
// each other and to no other.
func sameHome(homes map[string]string, sent, stored string) bool {
	if sent == "" {
		return true
	}
	for _, pair := range [][2]string{{"sent " + sent, stored}, {"stored " + stored, sent}} {
		if home, ok := homes[pair[0]]; ok && home != pair[1] {
			return false
		}
		homes[pair[0]] = pair[1]
	}
	return true
}

// answers reports whether a stored reply is the body of an answer, byte for byte.
func answers(reply parley.Reply, body []byte) bool {
	data, err := reply.MarshalJSON() // json.Marshal would escape what the wire does not
	return err == nil && bytes.Equal(data, bytes.TrimSuffix(body, []byte("\n")))
}
