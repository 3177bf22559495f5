package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/dbtest"
	"github.com/parley-chat/parley/store/mongo"
	"github.com/parley-chat/parley/store/postgres"
	"github.com/parley-chat/parley/store/redis"
	"github.com/parley-chat/parley/store/sqlite"
)

// openFile opens a SQLite store that is closed with the test.
func openFile(t *testing.T, path string) parley.Archive {
	t.Helper()
	store, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// strange are texts that a file of text may spoil.
var strange = []string{"Hello", "", "\x00", "\xff\xfe", "\xf0\x28\x8c\x28", "\xed\xa0\x80", "<b>&amp;\u2028\u2029</b>", "\ufffd", `{"base64":"eA"}`, "\"\\\n\r\t", "ünï 漢字 🙂"}

// replies are one of each kind.
func replies() []parley.Reply {
	return []parley.Reply{
		parley.Text("Hi <b>\u2028"),
		{Text: "Choose", Content: &parley.QuickReplies{Responses: []parley.QuickReply{{ID: "a", Text: "A & B", Value: "<a>"}}}},
		{Text: "Fill in", Content: new(parley.ContactForm())},
		{Text: "Other", Content: &parley.Other{Type: "map", Attributes: []byte(`{"x":1.50e2,"y":"<>"}`)}},
	}
}

// fill has a store keep turns of many sessions, submissions and secrets.
func fill(t *testing.T, store parley.Archive, turns int) {
	t.Helper()
	began := time.Date(2026, 11, 23, 15, 0, 0, 123456000, time.UTC)
	var records []parley.Record
	for i := range turns {
		reply := replies()[i%4]
		at := began.Add(time.Duration(i) * 1234567 * time.Microsecond)
		records = append(records, parley.Record{
			Session: fmt.Sprint("session ", i/7, strange[i/7%len(strange)]),
			Seq:     i%7 + 1,
			First:   1,
			Key:     strings.Repeat(fmt.Sprint("k", i)+strange[i%len(strange)], i%2),
			Prompt:  strange[i%len(strange)] + fmt.Sprint(i),
			Reply:   &reply,
			Began:   at,
			Ended:   at.Add(1500 * time.Millisecond),
		})
	}
	if err := store.Restore(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	for i := range min(12, turns) {
		s := parley.Submission{ID: fmt.Sprint("id", i), Form: "survey", Time: began, Values: parley.Values{
			"name": "Ada <" + fmt.Sprint(i) + ">\x00\u2028", "agree": true, "topics": []string{"a", "b"}, "none": []string{},
		}}
		if _, err := store.Submit(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"sessions", "two \x00\xff'"} {
		if _, err := store.Secret(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
}

// kept is all that a store has.
type kept struct {
	turns       map[string]parley.Record // by session and number
	submissions []parley.Submission
	secrets     map[string][]byte
}

// keeping returns it with times of less precision.
func (k kept) keeping(precision time.Duration) kept {
	for name, r := range k.turns {
		r.Began, r.Ended = r.Began.Truncate(precision), r.Ended.Truncate(precision)
		k.turns[name] = r
	}
	for i := range k.submissions {
		k.submissions[i].Time = k.submissions[i].Time.Truncate(precision)
	}
	return k
}

// everything reads a store by its own methods.
func everything(t *testing.T, store parley.Archive) kept {
	t.Helper()
	k := kept{turns: map[string]parley.Record{}}
	for after, more := "", true; more; {
		records, next, err := store.Records(t.Context(), after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			k.turns[fmt.Sprintf("%q %d", r.Session, r.Seq)] = r
		}
		after, more = next, next != ""
	}
	var err error
	if k.submissions, err = store.Submissions(t.Context(), "", 0, 1_000_000); err != nil {
		t.Fatal(err)
	}
	if k.secrets, err = store.Secrets(t.Context()); err != nil {
		t.Fatal(err)
	}
	return k
}

// wantSame compares what two stores have.
func wantSame(t *testing.T, got, want kept) {
	t.Helper()
	if len(got.turns) != len(want.turns) {
		t.Errorf("%d turns were moved; want %d", len(got.turns), len(want.turns))
	}
	for name, w := range want.turns {
		g, ok := got.turns[name]
		if !ok {
			t.Fatalf("turn %s was not moved", name)
		}
		if !reflect.DeepEqual(g, w) {
			t.Fatalf("turn %s was moved as\n%+v %+v\nwant\n%+v %+v", name, g, g.Reply, w, w.Reply)
		}
	}
	if !reflect.DeepEqual(got.submissions, want.submissions) {
		t.Errorf("the submissions were moved as\n%+v\nwant\n%+v", got.submissions, want.submissions)
	}
	if !maps.EqualFunc(got.secrets, want.secrets, bytes.Equal) {
		t.Errorf("the secrets were moved as %q; want %q", got.secrets, want.secrets)
	}
}

// parleyAt returns a command of parley that works on a database.
func parleyAt(ctx context.Context, url string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "parley", args...)
	cmd.Env = append(unconfigured(), "DATABASE_URL="+url)
	return cmd
}

// must runs a command, which must end well, and returns what it says.
func must(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", cmd.Args, err, out)
	}
	return string(out)
}

// fails runs a command, which must end with exit code 1 and say something.
func fails(t *testing.T, cmd *exec.Cmd, says string) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitFailure || !strings.Contains(string(out), says) {
		t.Errorf("%q ends with %v and says\n%s\nwant exit code 1 and %q", cmd.Args, err, out, says)
	}
}

// exported fills a database and returns it, and its export.
func exported(t *testing.T, turns int) (db, file string) {
	t.Helper()
	dir := t.TempDir()
	db, file = filepath.Join(dir, "from.db"), filepath.Join(dir, "export.jsonl")
	store := openFile(t, db)
	fill(t, store, turns)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	must(t, parleyAt(t.Context(), "sqlite:"+db, "export", "--output", file))
	return db, file
}

func TestWhatIsExportedIsImported(t *testing.T) {
	db, file := exported(t, 1200)
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("the export has the mode %v, %v; want -rw-------", info.Mode(), err)
	}
	to := filepath.Join(t.TempDir(), "to.db")
	const says = "Imported and checked: 1,200 turns, 12 submissions, 2 secrets.\n"
	for _, when := range []string{"first", "again"} {
		if out := must(t, parleyAt(t.Context(), "sqlite:"+to, "import", file)); out != says {
			t.Errorf("%s, import says %q; want %q", when, out, says)
		}
	}
	wantSame(t, everything(t, openFile(t, to)), everything(t, openFile(t, db)))
}

func TestExportGoesThroughAPipe(t *testing.T) {
	db, _ := exported(t, 100)
	to := filepath.Join(t.TempDir(), "to.db")
	from := parleyAt(t.Context(), "sqlite:"+db, "export")
	data, err := from.Output()
	if err != nil {
		t.Fatal(err)
	}
	into := parleyAt(t.Context(), "sqlite:"+to, "import", "-")
	into.Stdin = bytes.NewReader(data)
	must(t, into)
	wantSame(t, everything(t, openFile(t, to)), everything(t, openFile(t, db)))
}

// TestExportBesideAServer exports while the store that has the file open writes.
func TestExportBesideAServer(t *testing.T) {
	dir := t.TempDir()
	store := openFile(t, filepath.Join(dir, "from.db"))
	fill(t, store, 5000)
	before := everything(t, store)
	ctx, stop := context.WithCancel(t.Context())
	written := make(chan int)
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			turn := parley.NewTurn{Session: fmt.Sprint("session ", n%2000, " meanwhile"), Prompt: fmt.Sprint(n), Time: time.Now()}
			begun, err := store.Begin(context.Background(), turn)
			if err == nil {
				err = store.Finish(context.Background(), begun.Record, parley.Text("Hi"), time.Now())
			}
			if err != nil {
				t.Error(err)
				break
			}
		}
		written <- n
	}()
	file := filepath.Join(dir, "export.jsonl")
	cmd := parleyAt(t.Context(), "sqlite:"+filepath.Join(dir, "from.db"), "export", "--output", file)
	out, err := cmd.CombinedOutput()
	stop()
	if n := <-written; err != nil || n == 0 {
		t.Fatalf("while %d turns were written, the export ended with %v and said\n%s", n, err, out)
	}
	to := filepath.Join(dir, "to.db")
	must(t, parleyAt(t.Context(), "sqlite:"+to, "import", file))
	got, after := everything(t, openFile(t, to)), everything(t, store)
	for name, r := range got.turns {
		if !reflect.DeepEqual(after.turns[name], r) {
			t.Fatalf("turn %s was moved as %+v; want %+v", name, r, after.turns[name])
		}
	}
	for name := range before.turns {
		if _, ok := got.turns[name]; !ok {
			t.Fatalf("turn %s, which was there before the export, was not moved", name)
		}
	}
}

// killed starts a command, kills it as soon as ready says so, and fails where it
// ended before.
func killed(t *testing.T, cmd *exec.Cmd, ready func() bool) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for tick := time.NewTicker(time.Millisecond); !ready(); <-tick.C {
		if t.Context().Err() != nil {
			t.Fatalf("%q did not come far enough to be killed", cmd.Args)
		}
	}
	cmd.Process.Kill()
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Exited() {
		t.Fatalf("%q ended with %v before it was killed", cmd.Args, err)
	}
}

func TestKilledExportGoesOn(t *testing.T) {
	dir := t.TempDir()
	db, file := filepath.Join(dir, "from.db"), filepath.Join(dir, "export.jsonl")
	store := openFile(t, db)
	fill(t, store, 8000)
	before := everything(t, store)
	store.Close()
	killed(t, parleyAt(t.Context(), "sqlite:"+db, "export", "--output", file), func() bool {
		info, err := os.Stat(file)
		return err == nil && info.Size() > 256<<10
	})
	fails(t, parleyAt(t.Context(), "sqlite:"+filepath.Join(dir, "cut.db"), "import", file), "the file is cut off in line ")
	if _, err := os.Stat(filepath.Join(dir, "cut.db")); err == nil {
		t.Error("a file that is cut was imported in part; want it refused as a whole")
	}
	out := must(t, parleyAt(t.Context(), "sqlite:"+db, "export", "--output", file, "--resume"))
	if !strings.Contains(out, "Going on behind ") || !strings.Contains(out, "Exported 8,000 turns, 12 submissions, 2 secrets.") {
		t.Errorf("the export that goes on says\n%s\nwant behind what, and all that is in the file", out)
	}
	to := filepath.Join(dir, "to.db")
	must(t, parleyAt(t.Context(), "sqlite:"+to, "import", file))
	wantSame(t, everything(t, openFile(t, to)), before)
}

func TestKilledImportGoesOn(t *testing.T) {
	db, file := exported(t, 6000)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "to.db")
	cmd := parleyAt(t.Context(), "sqlite:"+to, "import", "-")
	pipe, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	// What a pipe has no room for was read, so half of it was nearly imported.
	killed(t, cmd, func() bool {
		_, err := pipe.Write(data[:len(data)/2])
		return err == nil
	})
	store, err := sqlite.Open(to)
	if err != nil {
		t.Fatal(err)
	}
	part := everything(t, store)
	store.Close()
	if n := len(part.turns); n < 1000 || n > 5000 {
		t.Fatalf("the import was killed behind %d turns; want some and not all of 6,000", n)
	}
	must(t, parleyAt(t.Context(), "sqlite:"+to, "import", file))
	wantSame(t, everything(t, openFile(t, to)), everything(t, openFile(t, db)))
}

// readAll reads a file to its end.
func readAll(data []byte) (tally, error) {
	r := newArchiveReader(bytes.NewReader(data))
	for {
		if _, err := r.next(); err == io.EOF {
			return r.tally, nil
		} else if err != nil {
			return r.tally, err
		}
	}
}

// TestDamageIsFound spoils every byte and every line of a small file.
func TestDamageIsFound(t *testing.T) {
	_, file := exported(t, 3)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readAll(data); err != nil {
		t.Fatalf("the file as it was written: %v", err)
	}
	found := func(what string, spoiled []byte) {
		if _, err := readAll(spoiled); err == nil {
			t.Errorf("%s: nothing is found; want an error", what)
		}
	}
	for i := range data {
		for _, bits := range []byte{0x01, 0x20, 0x80} { // the second one makes a small letter of a capital
			spoiled := bytes.Clone(data)
			spoiled[i] ^= bits
			found(fmt.Sprintf("bits %02x of byte %d flipped", bits, i), spoiled)
		}
		found(fmt.Sprintf("byte %d gone", i), slices.Delete(bytes.Clone(data), i, i+1))
		found(fmt.Sprintf("cut at byte %d", i), data[:i])
	}
	lines := slices.Collect(bytes.Lines(data))
	for i, line := range lines {
		if bytes.HasPrefix(line, []byte(`{"next"`)) {
			continue // without it, or with it twice, nothing is lost
		}
		found(fmt.Sprintf("line %d gone", i+1), bytes.Join(slices.Delete(slices.Clone(lines), i, i+1), nil))
		found(fmt.Sprintf("line %d twice", i+1), bytes.Join(slices.Insert(slices.Clone(lines), i, lines[i]), nil))
	}
	found("the file twice", slices.Concat(data, data))
}

// TestDamageIsNamed checks what is said of files that cannot be imported.
func TestDamageIsNamed(t *testing.T) {
	_, file := exported(t, 5)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	signed := func(body string) string { return body + checksum([]byte(body)) }
	for name, test := range map[string]struct{ data, says string }{
		"empty":           {"", "cut off in line 1"},
		"something else":  {"PRAGMA", "line 1 is not the beginning of an export"},
		"a newer version": {signed(`{"parley_export":{"version":2,"store":"SQLite","new":{}}`), "line 1: the export has version 2, of a newer Parley"},
		"cut":             {string(data[:len(data)-1]), "the file is cut off in line 16; copy it again, or have the export go on"},
		"a spoiled line":  {strings.Replace(string(data), `"Ada <1>`, `"Eve <1>`, 1), "line 12 is damaged; copy the file again, or export again"},
		"something new":   {strings.SplitAfter(string(data), "\n")[0] + signed(`{"new":{}`), "line 2 is not what stands in an export"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, []byte(test.data), 0o600); err != nil {
				t.Fatal(err)
			}
			fails(t, parleyAt(t.Context(), "sqlite:"+path+".db", "import", path), test.says)
			if _, err := os.Stat(path + ".db"); err == nil {
				t.Error("a database was made; want the file refused before")
			}
		})
	}
}

// forged returns a file with other prompts whose lines are whole.
func forged(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := &archiveWriter{w: bufio.NewWriter(&out)}
	r := newArchiveReader(bytes.NewReader(data))
	for {
		e, err := r.next()
		if err == io.EOF {
			return out.Bytes()
		} else if err != nil {
			t.Fatal(err)
		}
		if e.Turn != nil {
			e.Turn.Prompt += "!"
		}
		if e.End != nil {
			e.End = &w.tally
		}
		if err := w.write(e); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSumFindsWhatLinesDoNot changes a turn and the checksum of its line.
func TestSumFindsWhatLinesDoNot(t *testing.T) {
	_, file := exported(t, 5)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, err := readAll(data)
	if err != nil {
		t.Fatal(err)
	}
	other := forged(t, data)
	got, err := readAll(other)
	if err != nil {
		t.Fatalf("a file with other prompts, written as it should be: %v", err)
	}
	if got.Sum == want.Sum {
		t.Error("the sum of other prompts is the same")
	}
	lines, others := slices.Collect(bytes.Lines(data)), slices.Collect(bytes.Lines(other))
	for i, line := range lines {
		if !bytes.HasPrefix(line, []byte(`{"turn"`)) {
			continue
		}
		mixed := slices.Clone(lines)
		mixed[i] = others[i]
		if _, err := readAll(bytes.Join(mixed, nil)); err == nil {
			t.Errorf("line %d is another, with a checksum of its own, and nothing is found", i+1)
		}
	}
}

func TestSumDoesNotDependOnTheOrder(t *testing.T) {
	var there, back tally
	store := parley.Submission{ID: "a", Form: "contact"}
	entries := []entry{{Submission: newSubmissionEntry(store)}}
	for i := range 100 {
		reply := parley.Text("Hi")
		entries = append(entries, entry{Turn: newTurnEntry(parley.Record{Session: "s", Seq: i, Reply: &reply})})
	}
	for i := range entries {
		if err := errors.Join(there.add(entries[i]), back.add(entries[len(entries)-1-i])); err != nil {
			t.Fatal(err)
		}
	}
	if there != back {
		t.Errorf("the tally is %+v in one order and %+v in the other", there, back)
	}
}

func TestSumAddsUp(t *testing.T) {
	full := sum(bytes.Repeat([]byte{0xff}, 32))
	one := sum{31: 1}
	if full.add(one); full != (sum{}) {
		t.Errorf("2^256-1 and 1 make %x; want 0", full)
	}
	carried := sum{31: 0xff}
	if carried.add(one); carried != (sum{30: 1}) {
		t.Errorf("255 and 1 make %x; want 256", carried)
	}
}

// TestImportIntoADatabaseThatIsNotEmpty checks that the comparison at the end
// finds what is not in the file.
func TestImportIntoADatabaseThatIsNotEmpty(t *testing.T) {
	db, file := exported(t, 50)
	from := everything(t, openFile(t, db))
	other := parley.Text("other")
	for name, test := range map[string]struct {
		fill func(parley.Archive) error
		says string
	}{
		"a turn more": {func(s parley.Archive) error {
			return s.Restore(t.Context(), []parley.Record{{Session: "x", Seq: 1, First: 1, Reply: &other}})
		}, "the database has 51 turns, 12 submissions, 2 secrets, and the file 50 turns, 12 submissions, 2 secrets"},
		"a turn under the number of one": {func(s parley.Archive) error {
			return s.Restore(t.Context(), []parley.Record{{Session: "session 0Hello", Seq: 1, First: 1, Reply: &other}})
		}, "they are not the same"},
		"a submission under the id of one": {func(s parley.Archive) error {
			_, err := s.Submit(t.Context(), parley.Submission{ID: "id3", Form: "other"})
			return err
		}, "they are not the same"},
		"a secret of its own": {func(s parley.Archive) error {
			_, err := s.Secret(t.Context(), "sessions")
			return err
		}, `the database has secrets of its own ("sessions"), because a server has used it`},
		"another secret": {func(s parley.Archive) error {
			_, err := s.Secret(t.Context(), "csrf")
			return err
		}, `the database has secrets of its own ("csrf"), because a server has used it`},
	} {
		t.Run(name, func(t *testing.T) {
			to := filepath.Join(t.TempDir(), "to.db")
			store := openFile(t, to)
			if err := test.fill(store); err != nil {
				t.Fatal(err)
			}
			store.Close()
			fails(t, parleyAt(t.Context(), "sqlite:"+to, "import", file), test.says)
		})
	}
	t.Run("the same secret", func(t *testing.T) {
		to := filepath.Join(t.TempDir(), "to.db")
		store := openFile(t, to)
		if err := store.RestoreSecret(t.Context(), "sessions", from.secrets["sessions"]); err != nil {
			t.Fatal(err)
		}
		store.Close()
		must(t, parleyAt(t.Context(), "sqlite:"+to, "import", file))
	})
	t.Run("a server uses it", func(t *testing.T) {
		to := filepath.Join(t.TempDir(), "to.db")
		openFile(t, to)
		fails(t, parleyAt(t.Context(), "sqlite:"+to, "import", file), "a server uses the database")
	})
}

func TestResumeRefusesOtherFiles(t *testing.T) {
	db, file := exported(t, 600)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	otherDB := filepath.Join(dir, "other.db")
	store := openFile(t, otherDB)
	fill(t, store, 600)
	store.Close()
	lines := slices.Collect(bytes.Lines(data))
	for name, test := range map[string]struct {
		url, says string
		data      []byte
	}{
		"of another database": {otherDB, "this is the export of another database", data[:len(data)-10]},
		"no export":           {db, "line 1 is not the beginning of an export", []byte("my diary")},
		"with a line missing": {db, "are missing or stand there twice", bytes.Join(slices.Delete(lines[:550], 10, 11), nil)},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, test.data, 0o600); err != nil {
				t.Fatal(err)
			}
			fails(t, parleyAt(t.Context(), "sqlite:"+test.url, "export", "--resume", "--output", path), test.says)
			if left, _ := os.ReadFile(path); !bytes.Equal(left, test.data) {
				t.Error("the file was changed; want it left as it is")
			}
		})
	}
}

// TestResumeFromAnywhere cuts a file at many places, has it go on, and expects
// the same file.
func TestResumeFromAnywhere(t *testing.T) {
	db, file := exported(t, 1100)
	store := openFile(t, db)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, want, _ := bytes.Cut(whole, []byte("\n")) // without the time
	for n := 0; n <= len(whole); n += len(whole)/40 + 1 {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		x := &export{store: store, kind: "SQLite", stderr: io.Discard}
		if n > 0 && n < len(beginning) {
			continue
		}
		if err := x.writeFile(t.Context(), path, true); err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		got, err := os.ReadFile(path)
		if _, got, _ := bytes.Cut(got, []byte("\n")); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("cut at %d and resumed, the file is not the same", n)
		}
	}
}

// TestMoveBetweenKindsOfStore moves from SQLite to another kind and back.
func TestMoveBetweenKindsOfStore(t *testing.T) {
	for name, kind := range map[string]struct {
		keeps time.Duration // of times
		url   func(t *testing.T) string
		open  func(ctx context.Context, url string) (parley.Store, error)
	}{
		"PostgreSQL": {
			time.Microsecond,
			func(t *testing.T) string { return dbtest.Postgres(t).URL(t) },
			func(ctx context.Context, url string) (parley.Store, error) {
				return asStore(postgres.Open(ctx, postgres.Config{URL: url}))
			},
		},
		"MongoDB": {
			time.Millisecond,
			func(t *testing.T) string { return dbtest.Mongo(t).URL(t) },
			func(ctx context.Context, url string) (parley.Store, error) {
				return asStore(mongo.Open(ctx, mongo.Config{URL: url, Retention: 30 * 24 * time.Hour}))
			},
		},
		"Redis": {
			time.Microsecond,
			func(t *testing.T) string { return dbtest.Redis(t).URL(t) },
			func(ctx context.Context, url string) (parley.Store, error) {
				return asStore(redis.Open(ctx, redis.Config{URL: url}))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := kind.url(t)
			db, file := exported(t, 1100)
			must(t, parleyAt(t.Context(), url, "import", file))
			store, err := kind.open(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			from := everything(t, openFile(t, db)).keeping(kind.keeps)
			wantSame(t, everything(t, store.(parley.Archive)), from)

			back := filepath.Join(t.TempDir(), "back")
			must(t, parleyAt(t.Context(), url, "export", "--output", back+".jsonl"))
			must(t, parleyAt(t.Context(), "sqlite:"+back+".db", "import", back+".jsonl"))
			wantSame(t, everything(t, openFile(t, back+".db")), from)
		})
	}
}
