package parleytest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley"
)

// testModel does anything in any order and holds the store against a model
// that follows the contract's words without a thought for speed.
func testModel(s *storeTest) {
	runs, steps := uint64(8), 250
	if testing.Short() {
		runs, steps = 3, 100
	}
	for seed := range runs {
		m := model{storeTest: s, rand: rand.New(rand.NewPCG(seed, 0)), name: fmt.Sprint("model ", seed)}
		for range steps {
			m.step()
			if s.Failed() {
				s.Fatalf("with seed %d, after:\n%s", seed, strings.Join(m.log, "\n"))
			}
		}
		// Another run has other sessions, but the sweeps would see these.
		m.clear()
	}
}

// model is what a store should hold, and how it came to that.
type model struct {
	*storeTest
	rand    *rand.Rand
	name    string
	records []*parley.Record // all that there are, in the order in which they began
	log     []string
}

func (m *model) step() {
	m.pass(time.Millisecond) // no two turns begin at once, so it is clear which one is older
	switch n := m.rand.IntN(100); {
	case n < 40:
		m.tryBegin()
	case n < 65:
		m.tryFinish()
	case n < 72:
		m.tryAbandon()
	case n < 80:
		m.trySweep()
	case n < 90:
		m.tryPage()
	default:
		m.rest()
	}
}

func (m *model) session() string { return m.name + pick(m, "a", "b") }

func pick[T any](m *model, from ...T) T { return from[m.rand.IntN(len(from))] }

// of returns the records of a session, in order.
func (m *model) of(session string) []*parley.Record {
	var found []*parley.Record
	for _, r := range m.records {
		if r.Session == session {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b *parley.Record) int { return a.Seq - b.Seq })
	return found
}

func (m *model) remove(r *parley.Record) {
	m.records = slices.DeleteFunc(m.records, func(other *parley.Record) bool { return other == r })
}

func (m *model) note(format string, args ...any) { m.log = append(m.log, fmt.Sprintf(format, args...)) }

func (m *model) tryBegin() {
	t := m.keyed(m.session(), pick(m, "", "", "k1", "k2"), pick(m, "one", "two", "three"))
	m.note("Begin %s", message(t))
	begun, err := m.store.Begin(m.Context(), t)

	same := m.same(t)
	dead := same != nil && same.Reply == nil && same.Began.Before(t.DeadBefore)
	switch {
	case same != nil && same.Prompt != t.Prompt && !(dead && err == nil): // of a dead turn, either will do
		if !errors.Is(err, parley.ErrKeyReused) {
			m.Errorf("Begin returned %s, %v; want ErrKeyReused", record(begun.Record), err)
		}
		return
	case err != nil:
		m.Errorf("Begin: %v", err)
		return
	case same != nil && !dead:
		if got, want := record(begun.Record), record(*same); begun.Fresh || got != want {
			m.Errorf("Begin returned %s, fresh: %v; want %s, begun before", got, begun.Fresh, want)
		}
		return
	case same != nil:
		m.remove(same)
	}

	want := parley.Record{Session: t.Session, Seq: begun.Seq, First: begun.Seq, Key: t.Key, Prompt: t.Prompt, Began: t.Time}
	if of := m.of(t.Session); len(of) > 0 {
		newest := of[len(of)-1]
		last := newest.Began
		if newest.Reply != nil {
			last = newest.Ended
		}
		if !last.Before(t.RestSince) {
			want.First = newest.First
		}
		if begun.Seq <= newest.Seq {
			m.Errorf("Begin returned the number %d; want more than %d", begun.Seq, newest.Seq)
		}
	}
	if got, want := record(begun.Record), record(want); !begun.Fresh || got != want {
		m.Errorf("Begin returned %s, fresh: %v; want %s, fresh", got, begun.Fresh, want)
	}
	m.records = append(m.records, &want)
	m.wantSession(t.Session)
}

// same returns the turn that the same message began before, to the letter of
// [parley.NewTurn].
func (m *model) same(t parley.NewTurn) *parley.Record {
	for _, r := range slices.Backward(m.of(t.Session)) {
		byKey := t.Key != "" && r.Key == t.Key && !r.Began.Before(t.KeysSince)
		twin := t.Key == "" && r.Key == "" && r.Prompt == t.Prompt && (r.Reply == nil || !r.Ended.Before(t.TwinsSince))
		if byKey || twin {
			return r
		}
	}
	return nil
}

// running returns a turn that runs and that keep says yes to, or nil.
func (m *model) running(keep func(*parley.Record) bool) *parley.Record {
	var running []*parley.Record
	for _, r := range m.records {
		if r.Reply == nil && keep(r) {
			running = append(running, r)
		}
	}
	if len(running) == 0 {
		return nil
	}
	return pick(m, running...)
}

func (m *model) tryFinish() {
	r := m.running(func(r *parley.Record) bool { return m.now.Sub(r.Began) < turnLife })
	if r == nil {
		return
	}
	m.note("Finish %s", record(*r))
	*r = m.finish(*r, parley.Text(fmt.Sprint("answer ", m.rand.Uint32())))
	m.wantSession(r.Session)
}

func (m *model) tryAbandon() {
	if r := m.running(func(*parley.Record) bool { return true }); r != nil {
		m.giveUp(r)
		m.wantSession(r.Session)
	}
}

func (m *model) giveUp(r *parley.Record) {
	m.note("Abandon %s", record(*r))
	m.abandon(*r)
	m.remove(r)
}

func (m *model) trySweep() {
	before, limit := m.now.Add(-pick(m, 0, time.Second, time.Hour)), pick(m, 1, 2, 1000)
	m.note("Sweep %s, %d", moment(before), limit)
	want := 0
	for _, r := range slices.Clone(m.records) { // the dead need not be swept in any order
		if r.Reply == nil && r.Began.Before(before) {
			m.giveUp(r)
		}
	}
	for _, r := range slices.Clone(m.records) {
		if want < limit && r.Reply != nil && r.Began.Before(before) {
			m.remove(r)
			want++
		}
	}
	m.sweep(before, limit, want)
	m.wantSession(m.name + "a")
	m.wantSession(m.name + "b")
}

func (m *model) tryPage() {
	page := parley.Page{Session: m.session(), From: m.rand.IntN(10), Before: m.rand.IntN(20), Limit: 1 + m.rand.IntN(5)}
	var want []*parley.Record
	for _, r := range m.of(page.Session) {
		if r.Seq >= page.From && (page.Before == 0 || r.Seq < page.Before) {
			want = append(want, r)
		}
	}
	m.wantRecords(fmt.Sprintf("%+v", page), m.page(page), values(want[max(0, len(want)-page.Limit):])...)
}

// rest lets some time go by. Before a long time, only the newest turn of a
// session may be left running: a store need not look for the dead behind others.
func (m *model) rest() {
	d := pick(m, 500*time.Millisecond, time.Second, twinWindow, 10*time.Second, turnLife, sessionLife, keyLife)
	m.note("%v go by", d)
	if d >= 10*time.Second {
		for _, r := range slices.Clone(m.records) {
			if of := m.of(r.Session); r.Reply == nil && r != of[len(of)-1] {
				m.giveUp(r)
			}
		}
	}
	m.pass(d)
}

// clear takes everything away.
func (m *model) clear() {
	for _, r := range slices.Clone(m.records) {
		if r.Reply == nil {
			m.giveUp(r)
		}
	}
	m.pass(time.Second)
	m.sweep(m.now, len(m.records)+1, len(m.records))
}

func (m *model) wantSession(session string) {
	m.wantTranscript("the session", session, values(m.of(session))...)
}

func values(records []*parley.Record) []parley.Record {
	all := make([]parley.Record, len(records))
	for i, r := range records {
		all[i] = *r
	}
	return all
}
