package mongo_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/parley-chat/parley/internal/dbtest"
	"github.com/parley-chat/parley/internal/notes"
	"github.com/parley-chat/parley/store/mongo"
)

// hears listens to the topic t, and returns what is heard once anything is: a
// node may need a moment before it does.
func hears(t *testing.T, store *mongo.Store) (heard chan string, stop func()) {
	t.Helper()
	heard = make(chan string, 100)
	ready := make(chan bool, 1)
	stop = store.Listen("t", func(note []byte) {
		if string(note) != "ready?" {
			heard <- string(note)
			return
		}
		select {
		case ready <- true:
		default:
		}
	})
	await(t, 5*time.Second, func() error {
		if err := store.Notify(t.Context(), "t", []byte("ready?")); err != nil {
			return err
		}
		select {
		case <-ready:
			return nil
		case <-time.After(200 * time.Millisecond):
			return errors.New("no note is heard")
		}
	})
	return heard, stop
}

// TestNoteThatComesLate has nodes draw numbers and insert their notes in another
// order, or never: nothing that comes is missed, and nothing comes twice.
func TestNoteThatComesLate(t *testing.T) {
	url := dbtest.SharedMongo(t).URL(t)
	store := openAt(t, url)
	if err := store.Notify(t.Context(), "t", []byte("before anybody listens")); err != nil {
		t.Fatal(err)
	}
	heard, stop := hears(t, store)
	defer stop()
	db := database(t, url)
	var counter struct{ N int64 }
	if err := db.Collection("counters").FindOneAndUpdate(t.Context(), bson.D{}, bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: 3}}}}).Decode(&counter); err != nil {
		t.Fatal(err)
	}
	next := func(want string) {
		t.Helper()
		select {
		case got := <-heard:
			if got != want {
				t.Fatalf("heard %q, want %q", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("heard nothing, want %q", want)
		}
	}
	for _, number := range []int64{counter.N + 2, counter.N + 1} { // the third was drawn, too, and never comes
		note := fmt.Sprint("note ", number)
		data, err := notes.Encode("t", []byte(note))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Collection("notes").InsertOne(t.Context(), bson.D{{Key: "_id", Value: number}, {Key: "at", Value: time.Now()}, {Key: "data", Value: data}}); err != nil {
			t.Fatal(err)
		}
		next(note)
	}
	for i := range 3 {
		note := fmt.Sprint("later ", i)
		if err := store.Notify(t.Context(), "t", []byte(note)); err != nil {
			t.Fatal(err)
		}
		next(note)
	}
	if len(heard) > 0 {
		t.Errorf("heard %q, too; want each note once", <-heard)
	}
}

// TestNobodyListens has the database left alone while nobody listens.
func TestNobodyListens(t *testing.T) {
	store, commands := record(t, mongo.Config{URL: dbtest.SharedMongo(t).URL(t)})
	_, stop := hears(t, store)
	stop()
	await(t, 5*time.Second, func() error {
		commands.sent()
		<-time.After(300 * time.Millisecond)
		if sent := commands.sent(); len(sent) > 0 {
			return fmt.Errorf("%d commands within 300 ms, though nobody listens", len(sent))
		}
		return nil
	})
	// And again.
	_, stop = hears(t, store)
	stop()
}

// TestListenDoesNotWait has a listener go on while the server says nothing.
func TestListenDoesNotWait(t *testing.T) {
	server := dbtest.Mongo(t)
	store := openAt(t, server.URL(t))
	server.Kill()
	began := time.Now()
	store.Listen("t", func([]byte) {})()
	if took := time.Since(began); took > 500*time.Millisecond {
		t.Errorf("Listen took %v while the server is away; want it not to wait", took)
	}
}

// TestSweepDeletesOldNotesAndLimits is what a server without TTL indexes needs.
func TestSweepDeletesOldNotesAndLimits(t *testing.T) {
	url := dbtest.SharedMongo(t).URL(t)
	store := openAt(t, url)
	db := database(t, url)
	old := time.Now().Add(-2 * time.Minute)
	for collection, doc := range map[string]bson.D{
		"notes":   {{Key: "_id", Value: int64(1)}, {Key: "at", Value: old}, {Key: "data", Value: []byte("t ")}},
		"windows": {{Key: "_id", Value: "old"}, {Key: "count", Value: int64(1)}, {Key: "ends", Value: old}},
	} {
		if _, err := db.Collection(collection).InsertOne(t.Context(), doc); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Take(t.Context(), "young", 1, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Sweep(t.Context(), time.Now().Add(-time.Hour), 10); err != nil {
		t.Fatal(err)
	}
	for collection, want := range map[string]int64{"notes": 0, "windows": 1} {
		if n, err := db.Collection(collection).CountDocuments(t.Context(), bson.D{}); n != want || err != nil {
			t.Errorf("after the sweep there are %d documents in %s, %v; want %d", n, collection, err, want)
		}
	}
}
