package mongo

import (
	"context"
	"fmt"
	"math"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// noteLife is how long a note is kept for nodes that have not read it.
const noteLife = time.Minute

// spare is how much longer than asked for the server keeps turns. Sweep has
// deleted them by then; no turn that runs is as old.
const spare = time.Hour

// ensureIndexes makes the indexes that are missing.
func (s *Store) ensureIndexes(ctx context.Context, retention time.Duration) error {
	for _, index := range []struct {
		in   *driver.Collection
		keys bson.D
		opts *options.IndexOptionsBuilder
	}{
		{s.turns, bson.D{{Key: "message", Value: 1}}, options.Index()},
		{s.submissions, bson.D{{Key: "id", Value: 1}}, options.Index().SetUnique(true)},
		{s.submissions, bson.D{{Key: "form", Value: 1}, {Key: "_id", Value: 1}}, options.Index()},
	} {
		if _, err := index.in.Indexes().CreateOne(ctx, driver.IndexModel{Keys: index.keys, Options: index.opts}); err != nil {
			return fmt.Errorf("make an index of %s: %w", index.in.Name(), err)
		}
	}
	for _, index := range []struct {
		in    *driver.Collection
		field string
		after *time.Duration
	}{
		{s.turns, "began", pointer(retention+spare, retention > 0)},
		{s.windows, "ends", pointer(0, true)},
		{s.notes, "at", pointer(noteLife, true)},
	} {
		if err := s.ensureTTL(ctx, index.in, index.field, index.after); err != nil {
			return fmt.Errorf("make an index of %s: %w", index.in.Name(), err)
		}
	}
	return nil
}

func pointer(d time.Duration, ok bool) *time.Duration {
	if !ok {
		return nil
	}
	return &d
}

// ensureTTL makes an index of a date, by which the server deletes documents a
// time after it, unless after is nil.
func (s *Store) ensureTTL(ctx context.Context, c *driver.Collection, field string, after *time.Duration) error {
	name := field + "_1"
	index := driver.IndexModel{Keys: bson.D{{Key: field, Value: 1}}, Options: options.Index().SetName(name)}
	if after != nil {
		index.Options.SetExpireAfterSeconds(int32(min(after.Seconds(), math.MaxInt32)))
	}
	_, err := c.Indexes().CreateOne(ctx, index)
	if hasCode(err, codeIndexOptionsConflict, codeIndexKeySpecsConflict) {
		// It has another time, or is none that deletes. The server changes the one
		// to the other in place, but not back, so it is made anew.
		if err := c.Indexes().DropOne(ctx, name); err != nil && !hasCode(err, codeIndexNotFound) {
			return err
		}
		_, err = c.Indexes().CreateOne(ctx, index)
	}
	if hasCode(err, codeNotImplemented) && after != nil {
		return s.ensureTTL(ctx, c, field, nil) // Sweep deletes them
	}
	return err
}
