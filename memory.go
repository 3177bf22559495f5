package parley

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Memory is a [Store] that keeps everything in memory, for tests and for
// programs that may forget. What it keeps ends with the process.
type Memory struct {
	mu          sync.Mutex
	sessions    map[string][]*Record
	keys        map[sessionKey]*Record // the turns that have an idempotency key
	byAge       []*Record              // by the times at which they began, abandoned ones included
	submissions []Submission           // the one with Seq n at n-1
	submitted   map[string]int64       // Seq by ID
	secrets     map[string][]byte
	closed      bool
}

type sessionKey struct{ session, key string }

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{
		sessions:  map[string][]*Record{},
		keys:      map[sessionKey]*Record{},
		submitted: map[string]int64{},
		secrets:   map[string][]byte{},
	}
}

// lock begins a call, or says why it cannot be. The caller unlocks m.mu.
func (m *Memory) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return errors.New("parley: the store is closed")
	}
	return nil
}

// Begin implements [TurnStore].
func (m *Memory) Begin(ctx context.Context, turn NewTurn) (Begun, error) {
	if err := m.lock(ctx); err != nil {
		return Begun{}, err
	}
	defer m.mu.Unlock()
	if same := m.same(turn); same != nil {
		switch {
		case turn.Key != "" && same.Prompt != turn.Prompt:
			return Begun{}, ErrKeyReused
		case same.Reply != nil || !same.Began.Before(turn.DeadBefore):
			return Begun{Record: *same}, nil
		}
		m.remove(same)
	}
	behind := m.behind(turn)
	next := &Record{Session: turn.Session, Seq: 1, First: 1, Key: turn.Key, Prompt: turn.Prompt, Began: turn.Time}
	if newest := m.newest(turn.Session); newest != nil {
		next.Seq, next.First = newest.Seq+1, newest.First
		if newest.lastMessage().Before(turn.RestSince) {
			next.First = next.Seq
		}
	}
	m.sessions[turn.Session] = append(m.sessions[turn.Session], next)
	younger := len(m.byAge) // from here on; clocks and locks disagree a little
	for younger > 0 && m.byAge[younger-1].Began.After(next.Began) {
		younger--
	}
	m.byAge = slices.Insert(m.byAge, younger, next)
	if turn.Key != "" {
		m.keys[sessionKey{turn.Session, turn.Key}] = next
	}
	return Begun{Record: *next, Fresh: true, Behind: behind}, nil
}

// same returns the turn that the same message began before, or nil. The caller
// holds the lock.
func (m *Memory) same(turn NewTurn) *Record {
	if turn.Key != "" {
		if r := m.keys[sessionKey{turn.Session, turn.Key}]; r != nil && !r.Began.Before(turn.KeysSince) {
			return r
		}
		return nil
	}
	for _, r := range slices.Backward(m.sessions[turn.Session]) {
		if (r.Reply == nil || !r.Ended.Before(turn.TwinsSince)) && r.Key == "" && r.Prompt == turn.Prompt {
			return r
		}
		if r.Reply != nil && r.Began.Before(turn.DeadBefore) {
			break
		}
	}
	return nil
}

// behind returns the number of the newest turn of a session that runs, or 0.
// The caller holds the lock.
func (m *Memory) behind(turn NewTurn) int {
	for _, r := range slices.Backward(m.sessions[turn.Session]) {
		switch {
		case r.Began.Before(turn.DeadBefore):
			return 0
		case r.Reply == nil:
			return r.Seq
		}
	}
	return 0
}

// newest returns the newest turn of a session, or nil. The caller holds the lock.
func (m *Memory) newest(session string) *Record {
	records := m.sessions[session]
	if len(records) == 0 {
		return nil
	}
	return records[len(records)-1]
}

// lastMessage returns the time of the turn's newest message.
func (r *Record) lastMessage() time.Time {
	if r.Ended.IsZero() {
		return r.Began
	}
	return r.Ended
}

// Finish implements [TurnStore].
func (m *Memory) Finish(ctx context.Context, turn Record, reply Reply, at time.Time) error {
	if err := m.lock(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	r := m.find(turn)
	if r == nil {
		return fmt.Errorf("turn %d: %w", turn.Seq, ErrTakenBack)
	}
	if r.Reply == nil {
		r.Reply, r.Ended = &reply, at
	}
	return nil
}

// Abandon implements [TurnStore].
func (m *Memory) Abandon(ctx context.Context, turn Record) error {
	if err := m.lock(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if r := m.find(turn); r != nil && r.Reply == nil {
		m.remove(r)
	}
	return nil
}

// place returns where in its session a turn is or would be. The caller holds
// the lock.
func (m *Memory) place(session string, seq int) (int, bool) {
	return slices.BinarySearchFunc(m.sessions[session], seq, func(r *Record, seq int) int { return r.Seq - seq })
}

// find returns what is kept of a turn, or nil. The caller holds the lock.
func (m *Memory) find(turn Record) *Record {
	if i, ok := m.place(turn.Session, turn.Seq); ok {
		if r := m.sessions[turn.Session][i]; r.Began.Equal(turn.Began) {
			return r
		}
	}
	return nil
}

// remove forgets a turn; byAge forgets it when it is swept. The caller holds
// the lock.
func (m *Memory) remove(r *Record) {
	i, ok := m.place(r.Session, r.Seq)
	if !ok {
		return
	}
	if key := (sessionKey{r.Session, r.Key}); m.keys[key] == r {
		delete(m.keys, key)
	}
	if left := slices.Delete(m.sessions[r.Session], i, i+1); len(left) > 0 {
		m.sessions[r.Session] = left
	} else {
		delete(m.sessions, r.Session)
	}
}

// Transcript implements [TurnStore].
func (m *Memory) Transcript(ctx context.Context, page Page) ([]Record, error) {
	if err := m.lock(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var records []Record
	for _, r := range slices.Backward(m.sessions[page.Session]) {
		if r.Seq < page.From || len(records) == page.Limit {
			break
		}
		if page.Before == 0 || r.Seq < page.Before {
			records = append(records, *r)
		}
	}
	slices.Reverse(records)
	return records, nil
}

// Submit implements [SubmissionStore].
func (m *Memory) Submit(ctx context.Context, s Submission) (Submission, error) {
	if err := m.lock(ctx); err != nil {
		return Submission{}, err
	}
	defer m.mu.Unlock()
	if seq, ok := m.submitted[s.ID]; ok {
		return m.submissions[seq-1], nil
	}
	s.Seq = int64(len(m.submissions) + 1)
	m.submissions = append(m.submissions, s)
	m.submitted[s.ID] = s.Seq
	return s, nil
}

// Submissions implements [SubmissionStore].
func (m *Memory) Submissions(ctx context.Context, form string, after int64, limit int) ([]Submission, error) {
	if err := m.lock(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var found []Submission
	for _, s := range m.submissions[min(max(after, 0), int64(len(m.submissions))):] {
		if len(found) == limit {
			break
		}
		if form == "" || s.Form == form {
			found = append(found, s)
		}
	}
	return found, nil
}

// Secret implements [Store].
func (m *Memory) Secret(ctx context.Context, name string) ([]byte, error) {
	if err := m.lock(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	if m.secrets[name] == nil {
		m.secrets[name] = make([]byte, 32)
		rand.Read(m.secrets[name]) // never fails: see crypto/rand
	}
	return slices.Clone(m.secrets[name]), nil
}

// Sweep implements [Store].
func (m *Memory) Sweep(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := m.lock(ctx); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	swept, seen := 0, 0
	for _, r := range m.byAge {
		if swept == limit || !r.Began.Before(before) {
			break
		}
		seen++
		if m.find(*r) == r { // not abandoned before
			m.remove(r)
			swept++
		}
	}
	clear(m.byAge[:seen]) // or the array behind it would keep what was deleted
	m.byAge = m.byAge[seen:]
	return swept, nil
}

// Close implements [Store].
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}
