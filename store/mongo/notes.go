package mongo

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parley-chat/parley/internal/notes"
)

// Notes are documents with ascending numbers, which every node that listens
// reads several times a second. Change streams would bring them sooner, but not
// every server has them.

const (
	// noteInterval is how often notes are read.
	noteInterval = 50 * time.Millisecond
	// mostNotes is how many notes are read at once. Of more the oldest are lost.
	mostNotes = 5000
	// latestNote is how late a note may come behind one with a higher number.
	latestNote = 5 * time.Second
)

// A note is the document of one note.
type note struct {
	Number int64     `bson:"_id"`
	At     time.Time `bson:"at"`
	Data   []byte    `bson:"data"`
}

// noteCounter is the ID of the counter that numbers notes.
const noteCounter = "notes"

// Notify implements [parley.Notifier].
func (s *Store) Notify(ctx context.Context, topic string, data []byte) error {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	encoded, err := notes.Encode(topic, data)
	if err != nil {
		return wrap("send a note", err)
	}
	return wrap("send a note", again(ctx, func() error { return s.notify(ctx, encoded) }))
}

func (s *Store) notify(ctx context.Context, data []byte) error {
	now, err := s.clock.now(ctx, s.client)
	if err != nil {
		return err
	}
	var counter struct {
		N int64 `bson:"n"`
	}
	err = s.counters.FindOneAndUpdate(ctx,
		bson.D{{Key: "_id", Value: noteCounter}},
		bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: int64(1)}}}},
		options.FindOneAndUpdate().SetUpsert(true).SetReturnDocument(options.After)).Decode(&counter)
	if err == nil {
		_, err = s.notes.InsertOne(ctx, note{Number: counter.N, At: now, Data: data})
	}
	if driver.IsDuplicateKeyError(err) { // two made the counter, or a new primary has an older one
		return errAgain
	}
	return err
}

// listening is the state of the goroutine that reads notes. There is one only
// while somebody listens.
type listening struct {
	mu      sync.Mutex
	on      bool
	ctx     context.Context // of the store
	cancel  context.CancelFunc
	running sync.WaitGroup
}

func (l *listening) init() { l.ctx, l.cancel = context.WithCancel(context.Background()) }

// end stops the goroutine, and lets no other start.
func (l *listening) end() {
	l.mu.Lock()
	l.cancel()
	l.mu.Unlock()
	l.running.Wait()
}

// Listen implements [parley.Notifier]. The first who listens hears what is sent
// once the server has said which note is the newest, a moment later.
func (s *Store) Listen(topic string, hear func(note []byte)) (stop func()) {
	stop = s.hub.Listen(topic, hear)
	l := &s.listening
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.on || l.ctx.Err() != nil {
		return stop
	}
	l.on = true
	l.running.Go(func() { (&reader{Store: s}).run(l.ctx) })
	return stop
}

// A reader brings notes to the hub.
type reader struct {
	*Store
	next    int64          // the lowest number that has not come; 0 while that is not known
	waiting time.Time      // since when next is waited for; zero where it is the newest
	heard   map[int64]bool // what came with higher numbers
}

// start goes on from the newest note.
func (r *reader) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, selectionTimeout)
	defer cancel()
	var counter struct {
		N int64 `bson:"n"`
	}
	err := r.counters.FindOne(ctx, bson.D{{Key: "_id", Value: noteCounter}}).Decode(&counter)
	if err != nil && err != driver.ErrNoDocuments {
		return err
	}
	r.next, r.heard = counter.N+1, map[int64]bool{}
	return nil
}

// run reads notes until nobody listens.
func (r *reader) run(ctx context.Context) {
	tick := time.NewTicker(noteInterval)
	defer tick.Stop()
	deaf := false
	for !r.idle(ctx) {
		err := r.read(ctx)
		if err != nil && !deaf && ctx.Err() == nil {
			r.log.Warn("notes cannot be read; trying again", "error", err)
		}
		deaf = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// idle reports whether the reader is to end, and takes note of it.
func (r *reader) idle(ctx context.Context) bool {
	r.listening.mu.Lock()
	defer r.listening.mu.Unlock()
	r.listening.on = r.hub.Listening() && ctx.Err() == nil
	return !r.listening.on
}

// read hands on the notes that have come.
func (r *reader) read(ctx context.Context) error {
	if r.next == 0 {
		return r.start(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	// The newest come first. So when one of a sender is seen, the one that they
	// sent before it is there when it is looked for.
	found, err := all[note](ctx, r.notes, bson.D{{Key: "_id", Value: bson.D{
		{Key: "$gte", Value: r.next},
		{Key: "$nin", Value: slices.AppendSeq([]int64{}, maps.Keys(r.heard))},
	}}}, options.Find().SetSort(bson.D{{Key: "_id", Value: -1}}).SetLimit(mostNotes))
	if err != nil {
		return err
	}
	for _, n := range slices.Backward(found) {
		r.heard[n.Number] = true
		if err := r.hub.Deliver(n.Data); err != nil {
			r.log.Warn("a note cannot be read", "number", n.Number, "error", err)
		}
	}
	r.advance()
	return nil
}

// advance moves on to the lowest number that has not come. One that is late for
// too long is given up: whoever drew it could not insert it.
func (r *reader) advance() {
	if len(r.heard) > 0 && !r.heard[r.next] {
		switch {
		case r.waiting.IsZero():
			r.waiting = time.Now()
		case time.Since(r.waiting) > latestNote:
			for !r.heard[r.next] {
				r.next++
			}
		}
	}
	for r.heard[r.next] {
		delete(r.heard, r.next)
		r.next++
		r.waiting = time.Time{}
	}
}
