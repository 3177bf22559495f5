package mongo_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/dbtest"
	"github.com/parley-chat/parley/store/mongo"
)

func openAt(tb testing.TB, url string) *mongo.Store {
	tb.Helper()
	store, err := mongo.Open(tb.Context(), mongo.Config{URL: url})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := store.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return store
}

// withOptions returns a URL with further options.
func withOptions(url, more string) string {
	if strings.Contains(url, "?") {
		return url + "&" + more
	}
	return url + "?" + more
}

// databaseOf returns the name of the database of a URL.
func databaseOf(url string) string {
	name, err := mongo.DatabaseName(url)
	if err != nil {
		panic(err)
	}
	return name
}

// message asks for a turn now, as a Chat does.
func message(session, prompt string) parley.NewTurn {
	now := time.Now()
	return parley.NewTurn{
		Session: session, Prompt: prompt, Time: now,
		RestSince: now.Add(-time.Hour), KeysSince: now.Add(-24 * time.Hour),
		TwinsSince: now.Add(-2 * time.Second), DeadBefore: now.Add(-70 * time.Second),
	}
}

// begin begins a turn that must be a new one.
func begin(t *testing.T, store parley.Store, m parley.NewTurn) parley.Record {
	t.Helper()
	begun, err := store.Begin(t.Context(), m)
	if err != nil || !begun.Fresh {
		t.Fatalf("Begin in session %q returned %+v, %v; want a fresh turn", m.Session, begun, err)
	}
	return begun.Record
}

// answer begins and finishes a turn.
func answer(t *testing.T, store parley.Store, session, prompt string) {
	t.Helper()
	r := begin(t, store, message(session, prompt))
	if err := store.Finish(t.Context(), r, parley.Text("You said: "+prompt), time.Now()); err != nil {
		t.Fatalf("Finish in session %q: %v", session, err)
	}
}

// prompts returns the prompts of a session's finished turns.
func prompts(t *testing.T, store parley.Store, session string) []string {
	t.Helper()
	records, err := store.Transcript(t.Context(), parley.Page{Session: session, Limit: 1 << 20})
	if err != nil {
		t.Fatalf("Transcript of %q: %v", session, err)
	}
	var prompts []string
	for _, r := range records {
		if r.Reply != nil {
			prompts = append(prompts, r.Prompt)
		}
	}
	return prompts
}

// TestNumbersAreGivenOnce keeps what Begin's one step rests on: a number that
// is free again could be taken by somebody who read before it was given first,
// and who knows nothing of the turns behind it.
func TestNumbersAreGivenOnce(t *testing.T) {
	store := openAt(t, dbtest.SharedMongo(t).URL(t))
	one := begin(t, store, message("s", "one"))
	if err := store.Abandon(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	if two := begin(t, store, message("s", "two")); two.Seq != one.Seq+1 {
		t.Errorf("after turn %d was abandoned comes turn %d; want %d", one.Seq, two.Seq, one.Seq+1)
	}
}

// TestWhatIsTakenBackIsForgotten looks at what is left of a turn that was
// abandoned, and that it is swept.
func TestWhatIsTakenBackIsForgotten(t *testing.T) {
	url := dbtest.SharedMongo(t).URL(t)
	store := openAt(t, url)
	m := message("session-4711", "prompt-4711")
	m.Key = "key-4711"
	if err := store.Abandon(t.Context(), begin(t, store, m)); err != nil {
		t.Fatal(err)
	}
	turns := database(t, url).Collection("turns")
	left, err := turns.FindOne(t.Context(), bson.D{}).Raw()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(left.String(), "4711") {
		t.Errorf("of an abandoned turn is left %v; want no text of it", left)
	}
	if n, err := store.Sweep(t.Context(), time.Now().Add(time.Second), 10); n != 0 || err != nil {
		t.Errorf("Sweep returned %d, %v; want 0, since nobody sees what is left", n, err)
	}
	if n, err := turns.CountDocuments(t.Context(), bson.D{}); n != 0 || err != nil {
		t.Errorf("after the sweep there are %d documents, %v; want none", n, err)
	}
}

// TestManyTurnsAtOnce has more turns run than are read at once.
func TestManyTurnsAtOnce(t *testing.T) {
	store := openAt(t, dbtest.SharedMongo(t).URL(t))
	const turns = 40
	first := begin(t, store, message("s", "first"))
	for i := range turns {
		begin(t, store, message("s", fmt.Sprint("prompt ", i)))
	}
	begun, err := store.Begin(t.Context(), message("s", "first"))
	if err != nil || begun.Fresh || begun.Seq != first.Seq {
		t.Errorf("the message that runs behind %d others returned %+v, %v; want turn %d", turns, begun, err, first.Seq)
	}
}

// TestManyTakenBack has a session in which more turns were taken back than are
// read at once: they are not read, and hide nothing.
func TestManyTakenBack(t *testing.T) {
	url := dbtest.SharedMongo(t).URL(t)
	store, commands := record(t, mongo.Config{URL: url})
	answer(t, store, "s", "one")
	if err := store.Abandon(t.Context(), begin(t, store, message("s", "two"))); err != nil {
		t.Fatal(err)
	}
	turns := database(t, url).Collection("turns")
	var gone bson.M
	if err := turns.FindOne(t.Context(), bson.D{{Key: "state", Value: "gone"}}).Decode(&gone); err != nil {
		t.Fatal(err)
	}
	const last = 700
	var more []bson.M
	session, _, _ := strings.Cut(gone["_id"].(string), ".")
	for seq := int64(3); seq <= last; seq++ {
		next := maps.Clone(gone)
		next["_id"], next["seq"] = fmt.Sprintf("%s.%012d", session, seq), seq
		more = append(more, next)
	}
	if _, err := turns.InsertMany(t.Context(), more); err != nil {
		t.Fatal(err)
	}
	commands.sent()
	begun, err := store.Begin(t.Context(), message("s", "next"))
	if err != nil || begun.Seq != last+1 || begun.First != 1 {
		t.Errorf("Begin after %d turns that were taken back returned %+v, %v; want turn %d of the stretch of turn 1", last-1, begun, err, last+1)
	}
	var names []string
	for _, command := range commands.sent() {
		names = append(names, name(command))
	}
	if want := []string{"find turns", "find turns", "insert turns"}; !slices.Equal(names, want) {
		t.Errorf("Begin sent %q; want %q", names, want)
	}
}
