package mongo_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/dbtest"
	"github.com/parley-chat/parley/store/mongo"
)

// recorder keeps the commands that the driver sends.
type recorder struct {
	mu       sync.Mutex
	commands []bson.Raw
}

func (r *recorder) options() *options.ClientOptions {
	return options.Client().SetMonitor(&event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.commands = append(r.commands, slices.Clone(e.Command))
	}})
}

// sent returns the commands that were sent since it was called last.
func (r *recorder) sent() []bson.Raw {
	r.mu.Lock()
	defer r.mu.Unlock()
	sent := r.commands
	r.commands = nil
	return sent
}

// record opens a store of which the commands are recorded.
func record(t *testing.T, cfg mongo.Config) (*mongo.Store, *recorder) {
	t.Helper()
	r := &recorder{}
	store, err := mongo.OpenWith(t.Context(), cfg, r.options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store, r
}

// name returns the name of a command and of its collection.
func name(command bson.Raw) string {
	elements, err := command.Elements()
	if err != nil || len(elements) == 0 {
		return "nothing"
	}
	collection, _ := elements[0].Value().StringValueOK()
	return elements[0].Key() + " " + collection
}

// TestWhatIsAskedOfTheServer looks at the commands: FerretDB takes any write
// concern, and has but one copy of everything. The URL says otherwise, which
// must not count.
func TestWhatIsAskedOfTheServer(t *testing.T) {
	url := dbtest.SharedMongo(t).URL(t)
	store, commands := record(t, mongo.Config{URL: withOptions(url, "w=0&readConcernLevel=available&readPreference=secondaryPreferred")})
	turn := begin(t, store, message("s", "Hello"))
	abandoned := begin(t, store, message("s", "abandoned"))
	commands.sent()
	for _, test := range []struct {
		name string
		call func() error
		want []string
	}{
		{"Begin", func() error { _, err := store.Begin(t.Context(), message("s", "next")); return err }, []string{"find turns", "insert turns"}},
		{"Finish", func() error { return store.Finish(t.Context(), turn, parley.Text("Hi"), time.Now()) }, []string{"update turns"}},
		{"Abandon", func() error { return store.Abandon(t.Context(), abandoned) }, []string{"update turns"}},
		{"Submit", func() error {
			_, err := store.Submit(t.Context(), parley.Submission{ID: "a", Form: "f", Time: time.Now()})
			return err
		}, []string{"find submissions", "insert submissions"}},
		{"Secret", func() error { _, err := store.Secret(t.Context(), "name"); return err }, []string{"find secrets", "insert secrets"}},
	} {
		if err := test.call(); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		var names []string
		for _, command := range commands.sent() {
			names = append(names, name(command))
			wantConcern(t, test.name, command)
		}
		if !slices.Equal(names, test.want) {
			t.Errorf("%s sent %q, want %q", test.name, names, test.want)
		}
	}
}

// wantConcern checks that a command is about what lasts.
func wantConcern(t *testing.T, call string, command bson.Raw) {
	t.Helper()
	if concern, ok := command.Lookup("readConcern").DocumentOK(); ok {
		if level, _ := concern.Lookup("level").StringValueOK(); level != "majority" {
			t.Errorf("%s reads with %v, want the level majority", call, concern)
		}
		return
	}
	w, _ := command.Lookup("writeConcern", "w").StringValueOK()
	j, _ := command.Lookup("writeConcern", "j").BooleanOK()
	if w != "majority" || !j {
		t.Errorf("%s sent %v; want the write concern {w: majority, j: true}", call, command)
	}
}

// ttl returns the expireAfterSeconds of each index that commands make, by its
// collection and name; -1 for none.
func ttl(t *testing.T, commands []bson.Raw) map[string]int64 {
	t.Helper()
	made := map[string]int64{}
	for _, command := range commands {
		if collection, ok := command.Lookup("createIndexes").StringValueOK(); ok {
			index := command.Lookup("indexes", "0").Document()
			seconds, ok := index.Lookup("expireAfterSeconds").AsInt64OK()
			if !ok {
				seconds = -1
			}
			made[collection+" "+index.Lookup("name").StringValue()] = seconds
		}
	}
	return made
}

// TestRetentionIsATTLIndex looks at what is asked for, and where there is a
// MongoDB at what it made of it.
func TestRetentionIsATTLIndex(t *testing.T) {
	url := dbtest.SharedMongo(t).URL(t)
	for _, retention := range []time.Duration{30 * 24 * time.Hour, time.Hour, time.Hour, 0, 2 * time.Hour} {
		store, commands := record(t, mongo.Config{URL: url, Retention: retention})
		want := int64((retention + time.Hour).Seconds()) // Sweep comes first
		if retention == 0 {
			want = -1
		}
		if dbtest.RealMongo() {
			if got := realTTL(t, url); got != want {
				t.Errorf("with the retention %v the server deletes turns after %d seconds, want %d", retention, got, want)
			}
			continue
		}
		// What FerretDB refuses is asked for once more without.
		asked := commands.sent()
		first := slices.IndexFunc(asked, func(command bson.Raw) bool {
			return name(command) == "createIndexes turns" && ttl(t, []bson.Raw{command})["turns began_1"] != 0
		})
		if first < 0 {
			t.Fatalf("Open asked for no index of the times at which turns began")
		}
		if got := ttl(t, asked[first:first+1])["turns began_1"]; got != want {
			t.Errorf("with the retention %v an index was asked for that deletes turns after %d seconds, want %d", retention, got, want)
		}
		answer(t, store, "s", "Hello")
		if n, err := store.Sweep(t.Context(), time.Now().Add(time.Hour), 10); n != 1 || err != nil {
			t.Errorf("Sweep of a server without TTL indexes returned %d, %v; want 1", n, err)
		}
	}
}

// realTTL returns after how many seconds the server deletes turns.
func realTTL(t *testing.T, url string) int64 {
	t.Helper()
	specs, err := database(t, url).Collection("turns").Indexes().ListSpecifications(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range specs {
		if spec.Name == "began_1" && spec.ExpireAfterSeconds != nil {
			return int64(*spec.ExpireAfterSeconds)
		}
	}
	return -1
}

// database opens the database of a URL that dbtest gave.
func database(t *testing.T, url string) *driver.Database {
	t.Helper()
	client, err := driver.Connect(options.Client().ApplyURI(url))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Disconnect(context.Background()) })
	return client.Database(databaseOf(url))
}
