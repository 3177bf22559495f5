package mongo_test

import (
	"fmt"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/parley-chat/parley/internal/dbtest"
	"github.com/parley-chat/parley/internal/notes"
	"github.com/parley-chat/parley/store/mongo"
)

// TestNoteThatComesLate has nodes draw numbers and insert their notes in another
// order, or never: nothing that comes is missed, and nothing comes twice.
func TestNoteThatComesLate(t *testing.T) {
	url := dbtest.SharedMongo(t).URL(t)
	store := openAt(t, url)
	if err := store.Notify(t.Context(), "t", []byte("before anybody listens")); err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 100)
	defer store.Listen("t", func(note []byte) { heard <- string(note) })()
	db := database(t, url)
	if _, err := db.Collection("counters").UpdateOne(t.Context(), bson.D{}, bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: 3}}}}); err != nil {
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
	for _, number := range []int64{3, 2} { // 4 was drawn, too, and never comes
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
	heard := make(chan bool, 10)
	stop := store.Listen("t", func([]byte) { heard <- true })
	if err := store.Notify(t.Context(), "t", nil); err != nil {
		t.Fatal(err)
	}
	<-heard
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
	defer store.Listen("t", func([]byte) { heard <- true })()
	if err := store.Notify(t.Context(), "t", nil); err != nil {
		t.Fatal(err)
	}
	select {
	case <-heard:
	case <-time.After(10 * time.Second):
		t.Error("who listens again hears nothing")
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
