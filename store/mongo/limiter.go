package mongo

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parley-chat/parley"
)

// A window is the document of what is counted of one key.
type window struct {
	Count int64     `bson:"count"`
	Ends  time.Time `bson:"ends"`
}

// Take implements [parley.Limiter], by the server's clock.
func (s *Store) Take(ctx context.Context, key string, limit int, length time.Duration) (parley.Hit, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return parley.Hit{}, err
	}
	defer leave()
	var hit parley.Hit
	err = again(ctx, func() (err error) {
		hit, err = s.take(ctx, key, length)
		return err
	})
	return hit, wrap("count a hit", err)
}

func (s *Store) take(ctx context.Context, key string, length time.Duration) (parley.Hit, error) {
	now, err := s.clock.now(ctx, s.client)
	if err != nil {
		return parley.Hit{}, err
	}
	now = milliseconds(now)
	var w window
	err = s.windows.FindOneAndUpdate(ctx,
		bson.D{{Key: "_id", Value: text(key)}, {Key: "ends", Value: bson.D{{Key: "$gt", Value: now}}}},
		bson.D{{Key: "$inc", Value: bson.D{{Key: "count", Value: int64(1)}}}},
		options.FindOneAndUpdate().SetReturnDocument(options.After)).Decode(&w)
	if errors.Is(err, driver.ErrNoDocuments) {
		w = window{Count: 1, Ends: milliseconds(now.Add(length))}
		err = s.openWindow(ctx, key, now, w)
	}
	if err != nil {
		return parley.Hit{}, err
	}
	return parley.Hit{Count: int(w.Count), Reset: min(w.Ends.Sub(now), length)}, nil // nodes' clocks differ a little
}

// openWindow begins the window of a key whose window is over, or that has none.
// Where somebody else did so, there is one that is not over, so that the update
// finds none and inserts a second, which cannot be.
func (s *Store) openWindow(ctx context.Context, key string, now time.Time, w window) error {
	_, err := s.windows.UpdateOne(ctx,
		bson.D{{Key: "_id", Value: text(key)}, {Key: "ends", Value: bson.D{{Key: "$lte", Value: now}}}},
		bson.D{{Key: "$set", Value: w}},
		options.UpdateOne().SetUpsert(true))
	if driver.IsDuplicateKeyError(err) {
		return errAgain
	}
	return err
}
