package nodes_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/parley-chat/parley"
)

// A history is what several clients did to one session through stores on three
// nodes, and what they were told. It is linearizable if all of it could have been
// done one after the other, each at a moment between the call and its return,
// to what the model below says a session is.

// An operation is what a client asks a store to do.
type operation struct {
	what  string // "begin", "behind" (which is part of begin), "finish", "abandon" or "read"
	key   string // of a message
	began int64  // when the turn began, in milliseconds: no two begin at the same time
	seq   int    // of the turn to finish or to abandon
	reply string // to finish it with
}

// An outcome is what the client was told.
type outcome struct {
	unknown bool // there was an error: it may have happened or not
	gone    bool // the turn to be finished was taken back
	fresh   bool
	turn    turn   // of a beginning
	behind  int    // of a beginning
	turns   []turn // of a reading
}

// A turn of a session. Its number is 0 where nobody was told.
type turn struct {
	seq   int
	key   string
	began int64
	reply string // empty while it runs
}

// session is the model: the turns in their order. It lets pass what the stores
// promise to nobody: what a turn is behind may be as of another moment of its
// beginning, and a store may take back a turn where it does not know whether that
// has begun.
var session = porcupine.Model{
	Init: func() any { return []turn(nil) },
	Step: func(state, input, output any) (bool, any) {
		turns, in, out := state.([]turn), input.(operation), output.(outcome)
		i := slices.IndexFunc(turns, func(t turn) bool {
			return in.what == "begin" && t.key == in.key || t.began == in.began && in.what != "begin"
		})
		switch in.what {
		case "begin":
			return begin(turns, i, in, out)
		case "behind":
			return behind(turns, out), turns
		case "finish":
			switch {
			case i < 0:
				return out.unknown || out.gone, turns
			case out.gone:
				return false, turns
			case turns[i].reply == "":
				turns = slices.Clone(turns)
				turns[i].reply = in.reply
			}
			return true, turns
		case "abandon":
			if i >= 0 && turns[i].reply == "" {
				turns = slices.Delete(slices.Clone(turns), i, i+1)
			}
			return true, turns
		default:
			return read(turns, out)
		}
	},
	Equal: func(a, b any) bool { return slices.Equal(a.([]turn), b.([]turn)) },
}

// begin finds the turn of a message at i, or begins it.
func begin(turns []turn, i int, in operation, out outcome) (bool, []turn) {
	if i >= 0 {
		found := turns[i]
		if out.unknown {
			return true, turns
		}
		if out.fresh || out.turn.key != found.key || out.turn.began != found.began || out.turn.reply != found.reply {
			return false, turns
		}
		return number(turns, i, out.turn.seq)
	}
	next := turn{key: in.key, began: in.began}
	turns = append(slices.Clone(turns), next)
	if out.unknown {
		return true, turns
	}
	if !out.fresh || out.turn.began != in.began {
		return false, turns
	}
	return number(turns, len(turns)-1, out.turn.seq)
}

// behind finds the newest turn before another that is not finished.
func behind(turns []turn, out outcome) bool {
	newest := 0
	for _, t := range turns {
		switch {
		case t.seq >= out.turn.seq:
			return out.behind == newest
		case t.reply == "" && t.seq == 0:
			newest = out.behind // whatever its number is
		case t.reply == "":
			newest = t.seq
		}
	}
	return out.behind == newest
}

// number gives a turn the number that somebody was told. Numbers ascend.
func number(turns []turn, i, seq int) (bool, []turn) {
	if turns[i].seq == seq {
		return true, turns
	}
	if turns[i].seq != 0 || seq < 1 {
		return false, turns
	}
	turns = slices.Clone(turns)
	turns[i].seq = seq
	last := 0
	for _, t := range turns {
		if t.seq != 0 && t.seq <= last {
			return false, turns
		}
		last = max(last, t.seq)
	}
	return true, turns
}

// read compares all turns.
func read(turns []turn, out outcome) (bool, []turn) {
	if out.unknown {
		return true, turns
	}
	if len(out.turns) != len(turns) {
		return false, turns
	}
	ok := true
	for i, t := range out.turns {
		if ok, turns = number(turns, i, t.seq); !ok || turns[i] != t {
			return false, turns
		}
	}
	return true, turns
}

// A client does things to a session through one node's store.
type client struct {
	id    int
	store parley.TurnStore
	scene *recording
}

// A recording is a history while it is made.
type recording struct {
	session string
	began   time.Time
	clock   *atomic.Int64 // milliseconds that no two messages share

	mu      sync.Mutex
	history []porcupine.Operation
	known   []parley.Record // turns whose beginning somebody was told of, which anybody may finish or take back
}

const (
	clients    = 6 // two to a node
	operations = 6 // of each
	keys       = 5 // of messages, which are so sent again
)

// record has clients do random things at once, and returns the history.
func record(ctx context.Context, stores []parley.TurnStore, name string, clock *atomic.Int64) []porcupine.Operation {
	r := &recording{session: name, began: time.Now(), clock: clock}
	var doing sync.WaitGroup
	for id := range clients {
		c := &client{id, stores[id%len(stores)], r}
		doing.Go(func() {
			for range operations {
				c.doSomething(ctx)
			}
		})
	}
	doing.Wait()
	// What everybody sees in the end is part of it.
	last := &client{clients, stores[0], r}
	for range 5 {
		if last.read(ctx) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return r.history
}

// noteLost notes a beginning that nobody was told of, and that the store may take
// back.
func (r *recording) noteLost(called time.Time, in operation) {
	r.note(0, called, in, outcome{unknown: true})
	r.note(0, called, operation{what: "abandon", began: in.began}, outcome{unknown: true})
}

func (c *client) doSomething(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	turn, ok := c.scene.anyTurn()
	switch n := rand.IntN(10); {
	case n < 4 || !ok && n < 8:
		c.begin(ctx)
	case n < 7:
		c.finish(ctx, turn)
	case n < 8:
		c.abandon(ctx, turn)
	default:
		c.read(ctx)
	}
}

func (r *recording) anyTurn() (parley.Record, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known) == 0 {
		return parley.Record{}, false
	}
	return r.known[rand.IntN(len(r.known))], true
}

// note writes an operation down. One that may have happened or not may also
// happen at any time later.
func (r *recording) note(client int, called time.Time, in operation, out outcome) {
	returned := time.Since(r.began)
	r.mu.Lock()
	defer r.mu.Unlock()
	end := int64(returned)
	if out.unknown {
		end = int64(time.Hour) + int64(len(r.history))
		client = 1000 + len(r.history)
	}
	r.history = append(r.history, porcupine.Operation{
		ClientId: client, Input: in, Call: int64(called.Sub(r.began)), Output: out, Return: end,
	})
}

func (c *client) begin(ctx context.Context) {
	at := time.UnixMilli(c.scene.clock.Add(1))
	long := at.Add(-24 * time.Hour)
	key := fmt.Sprint("key ", rand.IntN(keys))
	called := time.Now()
	begun, err := c.store.Begin(ctx, parley.NewTurn{
		Session: c.scene.session, Key: key, Prompt: key, Time: at,
		RestSince: long, KeysSince: long, TwinsSince: long, DeadBefore: long,
	})
	out := outcome{fresh: begun.Fresh, behind: begun.Behind, turn: turnOf(begun.Record)}
	in := operation{what: "begin", key: key, began: at.UnixMilli()}
	if err != nil {
		c.scene.noteLost(called, in)
		return
	}
	c.scene.note(c.id, called, in, out)
	if !begun.Fresh {
		return
	}
	c.scene.note(c.id+clients+1, called, operation{what: "behind"}, out)
	c.scene.mu.Lock()
	defer c.scene.mu.Unlock()
	c.scene.known = append(c.scene.known, begun.Record)
}

func (c *client) finish(ctx context.Context, t parley.Record) {
	reply := fmt.Sprint("reply ", c.scene.clock.Add(1))
	called := time.Now()
	err := c.store.Finish(ctx, t, parley.Text(reply), called)
	gone := errors.Is(err, parley.ErrTakenBack)
	out := outcome{unknown: err != nil && !gone, gone: gone}
	c.scene.note(c.id, called, operation{what: "finish", seq: t.Seq, began: t.Began.UnixMilli(), reply: reply}, out)
}

func (c *client) abandon(ctx context.Context, t parley.Record) {
	called := time.Now()
	err := c.store.Abandon(ctx, t)
	c.scene.note(c.id, called, operation{what: "abandon", seq: t.Seq, began: t.Began.UnixMilli()}, outcome{unknown: err != nil})
}

func (c *client) read(ctx context.Context) bool {
	called := time.Now()
	records, err := c.store.Transcript(ctx, parley.Page{Session: c.scene.session, Limit: 1000})
	if err != nil {
		return false // it says nothing
	}
	out := outcome{}
	for _, r := range records {
		out.turns = append(out.turns, turnOf(r))
	}
	c.scene.note(c.id, called, operation{what: "read"}, out)
	return true
}

func turnOf(r parley.Record) turn {
	t := turn{seq: r.Seq, key: r.Key, began: r.Began.UnixMilli()}
	if r.Reply != nil {
		t.reply = r.Reply.Text
	}
	return t
}

// A tally counts what is in histories.
type tally struct {
	histories, operations, unknown, violations, undecided int
	of                                                    map[string]int
	example                                               []porcupine.Operation // that is not linearizable
}

func (a tally) String() string {
	return fmt.Sprintf("histories=%d operations=%d %v unknown=%d violations=%d undecided=%d",
		a.histories, a.operations, a.of, a.unknown, a.violations, a.undecided)
}

// checkTimeout is how long a history may take to be checked.
const checkTimeout = 5 * time.Second

// judge makes histories, eight at once, each in a weather of its own, and checks
// them.
func judge(t *testing.T, stores []parley.TurnStore, histories int, disturb func()) tally {
	a := tally{histories: histories, of: map[string]int{}}
	var clock atomic.Int64
	clock.Store(time.Now().UnixMilli())
	var mu sync.Mutex
	var making sync.WaitGroup
	limit := make(chan bool, 8)
	for n := range histories {
		limit <- true
		disturb()
		making.Go(func() {
			defer func() { <-limit }()
			history := record(t.Context(), stores, fmt.Sprint("history ", n), &clock)
			result := porcupine.CheckOperationsTimeout(session, history, checkTimeout)
			mu.Lock()
			defer mu.Unlock()
			a.operations += len(history)
			for _, op := range history {
				a.of[op.Input.(operation).what]++
				if op.Output.(outcome).unknown {
					a.unknown++
				}
			}
			switch result {
			case porcupine.Illegal:
				a.violations++
				a.example = history
			case porcupine.Unknown:
				a.undecided++
			}
		})
	}
	making.Wait()
	return a
}

// describe returns a history, a line for each operation.
func describe(history []porcupine.Operation) string {
	slices.SortFunc(history, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	text := ""
	for _, op := range history {
		text += fmt.Sprintf("%8d–%8d µs client %d: %+v: %+v\n", op.Call/1000, op.Return/1000, op.ClientId, op.Input, op.Output)
	}
	return text
}

// TestLinearizable has three nodes' stores, whose links are bad in turn, used by
// several clients at once.
func TestLinearizable(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) {
		var stores []parley.TurnStore
		var links []*link
		for range nodes {
			l := newLink(t, db.url)
			store, err := db.open(t.Context(), l.url)
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			stores, links = append(stores, store), append(links, l)
		}
		tears := 0
		a := judge(t, stores, short(200, 20), func() {
			l := links[rand.IntN(len(links))]
			switch rand.IntN(5) {
			case 0:
				time.AfterFunc(rand.N(50*time.Millisecond), l.tear)
				tears++
			case 1, 2:
				l.slow(rand.N(20 * time.Millisecond))
			default:
				l.heal()
			}
		})
		t.Logf("%v tears=%d", a, tears)
		if a.violations > 0 || a.undecided > a.histories/50 {
			t.Errorf("of %d histories %d are not linearizable, and %d could not be decided; want none. One of them:\n%s", a.histories, a.violations, a.undecided, describe(a.example))
		}
		if tears == 0 {
			t.Error("no link was torn; want some")
		}
	})
}

// TestLinearizableFindsFlaws is the control: a store that reads, thinks, and then
// writes.
func TestLinearizableFindsFlaws(t *testing.T) {
	t.Parallel()
	s := &findThenSave{sessions: map[string][]parley.Record{}}
	a := judge(t, []parley.TurnStore{s, s, s}, 10, func() {})
	if a.violations == 0 {
		t.Fatalf("nothing was found wrong: %v", a)
	}
	t.Logf("found: %v", a)
}

// findThenSave is a store over a database that can only read and write a whole
// session, each in one step. Who writes last wins.
type findThenSave struct {
	parley.TurnStore // Begin and Finish and Abandon are its own
	mu               sync.Mutex
	sessions         map[string][]parley.Record
}

func (s *findThenSave) find(session string) []parley.Record {
	s.mu.Lock()
	turns := slices.Clone(s.sessions[session])
	s.mu.Unlock()
	time.Sleep(rand.N(2 * time.Millisecond)) // on its way
	return turns
}

func (s *findThenSave) save(session string, turns []parley.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sessions := maps.Clone(s.sessions)
	sessions[session] = turns
	s.sessions = sessions
}

func (s *findThenSave) Begin(_ context.Context, t parley.NewTurn) (parley.Begun, error) {
	turns := s.find(t.Session)
	begun := parley.Begun{Fresh: true}
	for _, r := range turns {
		if r.Key == t.Key {
			return parley.Begun{Record: r}, nil
		}
		if r.Reply == nil {
			begun.Behind = r.Seq
		}
		begun.Seq = r.Seq
	}
	begun.Record = parley.Record{Session: t.Session, Seq: begun.Seq + 1, First: 1, Key: t.Key, Prompt: t.Prompt, Began: t.Time}
	s.save(t.Session, append(turns, begun.Record))
	return begun, nil
}

func (s *findThenSave) Finish(_ context.Context, turn parley.Record, reply parley.Reply, at time.Time) error {
	turns := s.find(turn.Session)
	i := slices.IndexFunc(turns, func(r parley.Record) bool { return r.Began.Equal(turn.Began) })
	if i < 0 {
		return parley.ErrTakenBack
	}
	if turns[i].Reply == nil {
		turns[i].Reply, turns[i].Ended = &reply, at
		s.save(turn.Session, turns)
	}
	return nil
}

func (s *findThenSave) Abandon(_ context.Context, turn parley.Record) error {
	turns := s.find(turn.Session)
	s.save(turn.Session, slices.DeleteFunc(turns, func(r parley.Record) bool { return r.Reply == nil && r.Began.Equal(turn.Began) }))
	return nil
}

func (s *findThenSave) Transcript(_ context.Context, page parley.Page) ([]parley.Record, error) {
	return s.find(page.Session), nil
}
