package parleytest_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/parleytest"
	"github.com/parley-chat/parley/store/sqlite"
)

// altered is a store with other methods in the place of its own.
type altered struct {
	parley.Store
	begin       func(context.Context, parley.NewTurn) (parley.Begun, error)
	finish      func(context.Context, parley.Record, parley.Reply, time.Time) error
	abandon     func(context.Context, parley.Record) error
	transcript  func(context.Context, parley.Page) ([]parley.Record, error)
	submit      func(context.Context, parley.Submission) (parley.Submission, error)
	submissions func(context.Context, string, int64, int) ([]parley.Submission, error)
	secret      func(context.Context, string) ([]byte, error)
	sweep       func(context.Context, time.Time, int) (int, error)
	close       func() error
}

// alter returns a store that alter has made changes to.
func alter(store parley.Store, alter func(*altered)) parley.Store {
	s := &altered{
		Store: store,
		begin: store.Begin, finish: store.Finish, abandon: store.Abandon, transcript: store.Transcript,
		submit: store.Submit, submissions: store.Submissions,
		secret: store.Secret, sweep: store.Sweep, close: store.Close,
	}
	alter(s)
	return s
}

func (s *altered) Begin(ctx context.Context, turn parley.NewTurn) (parley.Begun, error) {
	return s.begin(ctx, turn)
}

func (s *altered) Finish(ctx context.Context, turn parley.Record, reply parley.Reply, at time.Time) error {
	return s.finish(ctx, turn, reply, at)
}

func (s *altered) Abandon(ctx context.Context, turn parley.Record) error {
	return s.abandon(ctx, turn)
}

func (s *altered) Transcript(ctx context.Context, page parley.Page) ([]parley.Record, error) {
	return s.transcript(ctx, page)
}

func (s *altered) Submit(ctx context.Context, submission parley.Submission) (parley.Submission, error) {
	return s.submit(ctx, submission)
}

func (s *altered) Submissions(ctx context.Context, form string, after int64, limit int) ([]parley.Submission, error) {
	return s.submissions(ctx, form, after, limit)
}

func (s *altered) Secret(ctx context.Context, name string) ([]byte, error) {
	return s.secret(ctx, name)
}

func (s *altered) Sweep(ctx context.Context, before time.Time, limit int) (int, error) {
	return s.sweep(ctx, before, limit)
}

func (s *altered) Close() error { return s.close() }

// brokenStores each break one promise, and say which test of the suite has to
// find it.
var brokenStores = []struct {
	name   string
	part   string
	breaks func(s *altered)
}{
	{"loses replies", "a turn is begun and finished", func(s *altered) {
		s.finish = func(context.Context, parley.Record, parley.Reply, time.Time) error { return nil }
	}},
	{"hides turns that run", "a turn is begun and finished", func(s *altered) {
		s.transcript = func(ctx context.Context, page parley.Page) ([]parley.Record, error) {
			records, err := s.Store.Transcript(ctx, page)
			return slices.DeleteFunc(records, func(r parley.Record) bool { return r.Reply == nil }), err
		}
	}},
	{"keeps seconds", "a turn is begun and finished", func(s *altered) {
		s.finish = func(ctx context.Context, turn parley.Record, reply parley.Reply, at time.Time) error {
			return s.Store.Finish(ctx, turn, reply, at.Truncate(time.Second))
		}
	}},
	{"rounds times later", "times are kept to the millisecond", func(s *altered) {
		s.transcript = func(ctx context.Context, page parley.Page) ([]parley.Record, error) {
			records, err := s.Store.Transcript(ctx, page)
			for i := range records {
				records[i].Began = records[i].Began.Truncate(time.Millisecond)
			}
			return records, err
		}
	}},
	{"minds a second finish", "a turn is begun and finished", func(s *altered) { s.finish = finishOnce(s.Store) }},
	{"keeps text only", "replies are kept as they are", func(s *altered) {
		s.finish = func(ctx context.Context, turn parley.Record, reply parley.Reply, at time.Time) error {
			return s.Store.Finish(ctx, turn, parley.Text(reply.PlainText()), at)
		}
	}},
	{"keeps abandoned turns", "an abandoned turn leaves nothing", func(s *altered) {
		s.abandon = func(context.Context, parley.Record) error { return nil }
	}},
	{"has everything backwards", "the turns of a session are in order", func(s *altered) {
		s.transcript = func(ctx context.Context, page parley.Page) ([]parley.Record, error) {
			records, err := s.Store.Transcript(ctx, page)
			slices.Reverse(records)
			return records, err
		}
	}},
	{"has one session", "the turns of a session are in order", func(s *altered) {
		s.begin = func(ctx context.Context, turn parley.NewTurn) (parley.Begun, error) {
			turn.Session = "all"
			return s.Store.Begin(ctx, turn)
		}
	}},
	{"misses unknown sessions", "an unknown session is empty", func(s *altered) {
		s.transcript = func(ctx context.Context, page parley.Page) ([]parley.Record, error) {
			records, err := s.Store.Transcript(ctx, page)
			if len(records) == 0 && err == nil {
				err = errors.New("unknown session")
			}
			return records, err
		}
	}},
	{"shows the oldest", "pages", func(s *altered) {
		s.transcript = func(ctx context.Context, page parley.Page) ([]parley.Record, error) {
			limit := page.Limit
			page.Limit = 1 << 20
			records, err := s.Store.Transcript(ctx, page)
			return records[:min(limit, len(records))], err
		}
	}},
	{"counts from one too many", "pages", func(s *altered) {
		s.transcript = func(ctx context.Context, page parley.Page) ([]parley.Record, error) {
			page.From++
			return s.Store.Transcript(ctx, page)
		}
	}},
	{"counts before as last", "pages", func(s *altered) {
		s.transcript = func(ctx context.Context, page parley.Page) ([]parley.Record, error) {
			if page.Before > 0 {
				page.Before++
			}
			return s.Store.Transcript(ctx, page)
		}
	}},
	{"knows no rest", "stretches", asking(func(turn *parley.NewTurn) { turn.RestSince = time.Time{} })},
	{"rests after every turn", "stretches", asking(func(turn *parley.NewTurn) { turn.RestSince = turn.Time })},
	{"knows no keys", "a key names its turn", asking(func(turn *parley.NewTurn) { turn.Key = "" })},
	{"knows no sessions of keys", "a key names its turn", func(s *altered) {
		var keys sync.Map
		s.begin = func(ctx context.Context, turn parley.NewTurn) (parley.Begun, error) {
			if session, used := keys.LoadOrStore(turn.Key, turn.Session); used && turn.Key != "" {
				turn.Session = session.(string)
			}
			return s.Store.Begin(ctx, turn)
		}
	}},
	{"takes a key for any prompt", "a key names its turn", func(s *altered) {
		s.begin = func(ctx context.Context, turn parley.NewTurn) (parley.Begun, error) {
			begun, err := s.Store.Begin(ctx, turn)
			if errors.Is(err, parley.ErrKeyReused) {
				turn.Key = rand.Text()
				return s.Store.Begin(ctx, turn)
			}
			return begun, err
		}
	}},
	{"takes keyed turns for twins", "a key names its turn", func(s *altered) {
		s.begin = func(ctx context.Context, turn parley.NewTurn) (parley.Begun, error) {
			records, err := s.Store.Transcript(ctx, parley.Page{Session: turn.Session, Limit: 1})
			if err == nil && len(records) == 1 && turn.Key == "" && records[0].Prompt == turn.Prompt {
				return parley.Begun{Record: records[0]}, nil
			}
			return s.Store.Begin(ctx, turn)
		}
	}},
	{"keeps keys for ever", "a key is free when it is old", asking(func(turn *parley.NewTurn) { turn.KeysSince = time.Time{} })},
	{"knows no twins", "the same prompt is the same turn", asking(func(turn *parley.NewTurn) {
		if turn.Key == "" {
			turn.Key = rand.Text()
		}
	})},
	{"knows twins for ever", "the same prompt is the same turn", asking(func(turn *parley.NewTurn) { turn.TwinsSince = time.Time{} })},
	{"believes in the dead", "a dead turn is taken back", asking(func(turn *parley.NewTurn) { turn.DeadBefore = time.Time{} })},
	{"buries the living", "a dead turn is taken back", asking(func(turn *parley.NewTurn) { turn.DeadBefore = turn.Time.Add(time.Hour) })},
	{"rests a moment early", "stretches", asking(func(turn *parley.NewTurn) { turn.RestSince = turn.RestSince.Add(time.Millisecond) })},
	{"rests a moment late", "stretches", asking(func(turn *parley.NewTurn) { turn.RestSince = turn.RestSince.Add(-time.Millisecond) })},
	{"forgets keys a moment early", "a key is free when it is old", asking(func(turn *parley.NewTurn) { turn.KeysSince = turn.KeysSince.Add(time.Millisecond) })},
	{"forgets keys a moment late", "a key is free when it is old", asking(func(turn *parley.NewTurn) { turn.KeysSince = turn.KeysSince.Add(-time.Millisecond) })},
	{"forgets twins a moment early", "the same prompt is the same turn", asking(func(turn *parley.NewTurn) { turn.TwinsSince = turn.TwinsSince.Add(time.Millisecond) })},
	{"forgets twins a moment late", "the same prompt is the same turn", asking(func(turn *parley.NewTurn) { turn.TwinsSince = turn.TwinsSince.Add(-time.Millisecond) })},
	{"buries a moment early", "a dead turn is taken back", asking(func(turn *parley.NewTurn) { turn.DeadBefore = turn.DeadBefore.Add(time.Millisecond) })},
	{"buries a moment late", "a dead turn is taken back", asking(func(turn *parley.NewTurn) { turn.DeadBefore = turn.DeadBefore.Add(-time.Millisecond) })},
	{"abandons the newest", "anything in any order", func(s *altered) {
		s.abandon = func(ctx context.Context, turn parley.Record) error {
			newest, err := s.Store.Transcript(ctx, parley.Page{Session: turn.Session, Limit: 1})
			if err == nil && len(newest) == 1 {
				turn = newest[0]
			}
			return s.Store.Abandon(ctx, turn)
		}
	}},
	{"drops a finish beside another", "side by side in one session", func(s *altered) {
		s.finish = finishAlone(s.Store)
	}},
	{"looks before it writes", "the same message side by side", func(s *altered) {
		var running atomic.Int64
		s.begin = func(ctx context.Context, turn parley.NewTurn) (parley.Begun, error) {
			defer running.Add(-1)
			if running.Add(1) > 1 {
				turn.Key, turn.Prompt = rand.Text(), turn.Prompt+" "
			}
			runtime.Gosched()
			return s.Store.Begin(ctx, turn)
		}
	}},
	{"minds a second finish at once", "finished twice side by side", func(s *altered) { s.finish = finishOnce(s.Store) }},
	{"keeps quiet about a lost reply", "finished and abandoned side by side", func(s *altered) {
		s.finish = func(ctx context.Context, turn parley.Record, reply parley.Reply, at time.Time) error {
			s.Store.Finish(ctx, turn, reply, at)
			return ctx.Err()
		}
	}},
	{"remembers 100 turns", "long sessions", func(s *altered) {
		s.transcript = func(ctx context.Context, page parley.Page) ([]parley.Record, error) {
			page.Limit = min(page.Limit, 100)
			return s.Store.Transcript(ctx, page)
		}
	}},
	{"ends text at NUL", "values are kept as they are", asking(func(turn *parley.NewTurn) {
		turn.Prompt, _, _ = strings.Cut(turn.Prompt, "\x00")
	})},
	{"folds case", "any text", asking(func(turn *parley.NewTurn) { turn.Prompt = strings.ToLower(turn.Prompt) })},
	{"keeps 64 KB", "large values", asking(func(turn *parley.NewTurn) { turn.Prompt = turn.Prompt[:min(len(turn.Prompt), 1<<16)] })},
	{"sweeps as it likes", "old turns are swept", func(s *altered) {
		s.sweep = func(ctx context.Context, before time.Time, limit int) (int, error) {
			return s.Store.Sweep(ctx, before, limit+1)
		}
	}},
	{"sweeps what is young", "old turns are swept", func(s *altered) {
		s.sweep = func(ctx context.Context, before time.Time, limit int) (int, error) {
			return s.Store.Sweep(ctx, before.Add(time.Millisecond), limit)
		}
	}},
	{"sweeps nothing that never ended", "turns that never ended are swept", func(s *altered) {
		s.sweep = func(ctx context.Context, before time.Time, limit int) (int, error) {
			records, err := s.Store.Transcript(ctx, parley.Page{Session: "s", Limit: 1})
			if err != nil || len(records) == 0 || records[0].Reply == nil {
				return 0, err
			}
			return s.Store.Sweep(ctx, before, limit)
		}
	}},
	{"goes by the number", "a number belongs to the turn that has it", func(s *altered) {
		s.finish = func(ctx context.Context, turn parley.Record, reply parley.Reply, at time.Time) error {
			has, err := s.Store.Transcript(ctx, parley.Page{Session: turn.Session, From: turn.Seq, Limit: 1})
			if err == nil && len(has) == 1 {
				turn = has[0]
			}
			return s.Store.Finish(ctx, turn, reply, at)
		}
	}},
	{"says that it failed, and not why", "a turn is begun and finished", withoutReason},
	{"says that a turn failed, and not why", "a number belongs to the turn that has it", withoutReason},
	{"says that a swept turn failed, and not why", "turns that never ended are swept", withoutReason},
	{"takes back by the number", "a number belongs to the turn that has it", func(s *altered) {
		s.abandon = func(ctx context.Context, turn parley.Record) error {
			has, err := s.Store.Transcript(ctx, parley.Page{Session: turn.Session, From: turn.Seq, Limit: 1})
			if err == nil && len(has) == 1 {
				turn = has[0]
			}
			return s.Store.Abandon(ctx, turn)
		}
	}},
	{"knows of nothing that runs", "what a turn is behind", func(s *altered) {
		s.begin = func(ctx context.Context, turn parley.NewTurn) (parley.Begun, error) {
			begun, err := s.Store.Begin(ctx, turn)
			begun.Behind = 0
			return begun, err
		}
	}},
	{"waits for the dead", "what a turn is behind", asking(func(turn *parley.NewTurn) { turn.DeadBefore = time.Time{} })},
	{"keeps a submission twice", "submissions", func(s *altered) {
		s.submit = func(ctx context.Context, submission parley.Submission) (parley.Submission, error) {
			id := submission.ID
			submission.ID += rand.Text()
			kept, err := s.Store.Submit(ctx, submission)
			kept.ID = id
			return kept, err
		}
	}},
	{"mixes the forms", "submissions", func(s *altered) {
		s.submissions = func(ctx context.Context, _ string, after int64, limit int) ([]parley.Submission, error) {
			return s.Store.Submissions(ctx, "", after, limit)
		}
	}},
	{"hides a submission for a while", "submissions side by side", func(s *altered) {
		var busy atomic.Int64
		s.submit = func(ctx context.Context, submission parley.Submission) (parley.Submission, error) {
			defer busy.Add(-1)
			if busy.Add(1) > 1 {
				return submission, nil
			}
			runtime.Gosched()
			return s.Store.Submit(ctx, submission)
		}
	}},
	{"has one secret", "secrets", func(s *altered) {
		s.secret = func(ctx context.Context, _ string) ([]byte, error) { return s.Store.Secret(ctx, "one") }
	}},
	{"has a secret a call", "secrets", func(s *altered) {
		s.secret = func(ctx context.Context, _ string) ([]byte, error) { return s.Store.Secret(ctx, rand.Text()) }
	}},
	{"does not listen", "calls that are called off", func(s *altered) {
		s.begin = func(ctx context.Context, turn parley.NewTurn) (parley.Begun, error) {
			return s.Store.Begin(context.WithoutCancel(ctx), turn)
		}
	}},
	{"takes back what is called off", "calls that are called off on the way", func(s *altered) {
		s.finish = func(ctx context.Context, turn parley.Record, reply parley.Reply, at time.Time) error {
			runtime.Gosched()
			if err := ctx.Err(); err != nil {
				s.Store.Abandon(context.WithoutCancel(ctx), turn)
				return err
			}
			return s.Store.Finish(ctx, turn, reply, at)
		}
	}},
	{"does not close", "nothing works once it is closed", func(s *altered) {
		s.close = func() error { return nil }
	}},
}

// asking alters what a store is asked for.
func asking(change func(*parley.NewTurn)) func(*altered) {
	return func(s *altered) {
		s.begin = func(ctx context.Context, turn parley.NewTurn) (parley.Begun, error) {
			change(&turn)
			return s.Store.Begin(ctx, turn)
		}
	}
}

// withoutReason hides why a turn cannot be finished.
func withoutReason(s *altered) {
	s.finish = func(ctx context.Context, turn parley.Record, reply parley.Reply, at time.Time) error {
		if err := s.Store.Finish(ctx, turn, reply, at); err != nil {
			return errors.New(err.Error())
		}
		return nil
	}
}

// finishOnce returns a Finish that refuses turns that are finished.
func finishOnce(store parley.Store) func(context.Context, parley.Record, parley.Reply, time.Time) error {
	return func(ctx context.Context, turn parley.Record, reply parley.Reply, at time.Time) error {
		found, err := store.Transcript(ctx, parley.Page{Session: turn.Session, From: turn.Seq, Before: turn.Seq + 1, Limit: 1})
		if err == nil && len(found) == 1 && found[0].Reply != nil {
			return errors.New("the turn is finished")
		}
		return store.Finish(ctx, turn, reply, at)
	}
}

// finishAlone returns a Finish that does nothing while another one runs.
func finishAlone(store parley.Store) func(context.Context, parley.Record, parley.Reply, time.Time) error {
	var running atomic.Int64
	return func(ctx context.Context, turn parley.Record, reply parley.Reply, at time.Time) error {
		defer running.Add(-1)
		if running.Add(1) > 1 {
			return nil
		}
		runtime.Gosched()
		return store.Finish(ctx, turn, reply, at)
	}
}

// brokenDurableStores each forget something when they are closed.
var brokenDurableStores = []brokenPlace{
	{"forgets everything", "turns are there again", func(t *testing.T) func() parley.Store {
		return func() parley.Store { return open(t, filepath.Join(t.TempDir(), "parley.db")) }
	}},
	{"forgets twins", "a long turn is there again", func(t *testing.T) func() parley.Store {
		path, opened := filepath.Join(t.TempDir(), "parley.db"), 0
		return func() parley.Store {
			opened++
			if opened == 1 {
				return open(t, path)
			}
			return alter(open(t, path), asking(func(turn *parley.NewTurn) { turn.TwinsSince = turn.Time }))
		}
	}},
	{"makes new secrets", "submissions and secrets are there again", func(t *testing.T) func() parley.Store {
		path := filepath.Join(t.TempDir(), "parley.db")
		return func() parley.Store {
			life := rand.Text()
			return alter(open(t, path), func(s *altered) {
				s.secret = func(ctx context.Context, name string) ([]byte, error) { return s.Store.Secret(ctx, name+life) }
			})
		}
	}},
	{"says done too early", "closing waits", func(t *testing.T) func() parley.Store {
		path := filepath.Join(t.TempDir(), "parley.db")
		return func() parley.Store {
			return alter(open(t, path), func(s *altered) {
				s.finish = func(ctx context.Context, turn parley.Record, reply parley.Reply, at time.Time) error {
					go s.Store.Finish(context.WithoutCancel(ctx), turn, reply, at)
					return nil
				}
			})
		}
	}},
}

// open opens a store that keeps every promise.
func open(t *testing.T, path string) parley.Store {
	store, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// brokenStoreEnv names the broken store that a test binary runs the suite with,
// or the good one.
const (
	brokenStoreEnv = "PARLEYTEST_BROKEN_STORE"
	goodStore      = "good"
)

// TestStoreFindsBrokenStores runs the part of the suite that has to find it
// with every broken store, each in a process of its own because it has to fail.
func TestStoreFindsBrokenStores(t *testing.T) {
	for _, broken := range brokenStores {
		t.Run(broken.name, func(t *testing.T) { wantBroken(t, broken.name, broken.part) })
	}
	for _, broken := range slices.Concat(brokenDurableStores, brokenArchives, brokenSharedStores) {
		t.Run(broken.name, func(t *testing.T) { wantBroken(t, broken.name, broken.part) })
	}
}

// TestStoreAcceptsAGoodStore runs the whole suite, and holds its parts against
// those that a broken store shows able to fail.
func TestStoreAcceptsAGoodStore(t *testing.T) {
	t.Parallel()
	out, err := runStore(goodStore, ".")
	parts := regexp.MustCompile(`(?m)^    --- PASS: TestBrokenStore/(\S+)`).FindAllStringSubmatch(out, -1)
	if err != nil || len(parts) == 0 {
		t.Fatalf("the suite ended with %v after %d parts; want it to accept a good store. It said:\n%s", err, len(parts), out)
	}
	proven := map[string]bool{}
	for _, broken := range brokenStores {
		proven[strings.ReplaceAll(broken.part, " ", "_")] = true
	}
	for _, broken := range slices.Concat(brokenDurableStores, brokenArchives, brokenSharedStores) {
		proven[strings.ReplaceAll(broken.part, " ", "_")] = true
	}
	for _, part := range parts {
		if !proven[part[1]] {
			t.Errorf("no broken store shows that the part %s can fail; write one", part[1])
		}
	}
}

// wantBroken has a part of the suite find a broken store.
func wantBroken(t *testing.T, name, part string) {
	t.Parallel()
	part = strings.ReplaceAll(part, " ", "_")
	out, err := runStore(name, "^"+part+"$")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(out, "--- FAIL: TestBrokenStore/"+part) {
		t.Errorf("the suite ended with %v; want its part %s to fail. It said:\n%s", err, part, out)
	}
}

// runStore runs parts of the suite with a store in a process of its own, and
// returns what they said.
func runStore(name, parts string) (string, error) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestBrokenStore$/"+parts, "-test.short", "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), brokenStoreEnv+"="+name)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestBrokenStore is what runStore runs.
func TestBrokenStore(t *testing.T) {
	name, ok := os.LookupEnv(brokenStoreEnv)
	if !ok {
		t.Skip("is run by the tests above")
	}
	if name == goodStore {
		parleytest.DurableStore(t, func(t *testing.T) func() parley.Store {
			path := filepath.Join(t.TempDir(), "parley.db")
			return func() parley.Store { return open(t, path) }
		})
		parleytest.Archive(t, archives(nil))
		parleytest.Shared(t, cluster(nil))
	}
	for _, broken := range brokenStores {
		if broken.name == name {
			parleytest.Store(t, func(*testing.T) parley.Store { return alter(parley.NewMemory(), broken.breaks) })
		}
	}
	for _, broken := range brokenDurableStores {
		if broken.name == name {
			parleytest.DurableStore(t, broken.open)
		}
	}
	for _, broken := range brokenArchives {
		if broken.name == name {
			parleytest.Archive(t, broken.open)
		}
	}
	for _, broken := range brokenSharedStores {
		if broken.name == name {
			parleytest.Shared(t, broken.open)
		}
	}
}
