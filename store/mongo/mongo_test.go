package mongo_test

import (
	"flag"
	"os"
	"testing"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/dbtest"
	"github.com/parley-chat/parley/parleytest"
	"github.com/parley-chat/parley/store/mongo"
)

func TestMain(m *testing.M) {
	if dbtest.LeftOut() {
		return
	}
	if !dbtest.RealMongo() {
		// FerretDB reads a whole collection to find a document in it, so the tests
		// that fill one are for MongoDB. TestShared has many turns in one session
		// and submissions side by side, too.
		flag.Set("test.skip", "TestStore/(long_sessions|side_by_side_in_one_session|any_text|submissions_side_by_side|values_are_kept_as_they_are|calls_that_are_called_off_on_the_way|closing_waits)$")
		flag.Set("test.short", "true")
	}
	os.Exit(dbtest.Main(m))
}

// place makes a database and returns a function that opens it.
func place(t *testing.T) func() parley.Store {
	url := dbtest.SharedMongo(t).URL(t)
	return func() parley.Store {
		store, err := mongo.Open(t.Context(), mongo.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
}

func TestStore(t *testing.T) { parleytest.DurableStore(t, place) }

func TestShared(t *testing.T) { parleytest.Shared(t, place) }

func TestArchive(t *testing.T) { parleytest.Archive(t, place) }
