package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Sweep implements [parley.Store]. It deletes old limits and notes, too, for
// servers without TTL indexes.
func (s *Store) Sweep(ctx context.Context, before time.Time, limit int) (int, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	swept, err := s.sweep(ctx, before, limit)
	if err == nil && swept < limit {
		err = s.sweepRest(ctx, before)
	}
	return swept, wrap("sweep", err)
}

func (s *Store) sweep(ctx context.Context, before time.Time, limit int) (int, error) {
	old, err := all[struct {
		ID string `bson:"_id"`
	}](ctx, s.turns, bson.D{
		{Key: "began", Value: bson.D{{Key: "$lt", Value: before}}},
		{Key: "state", Value: bson.D{{Key: "$ne", Value: gone}}},
	}, options.Find().SetSort(bson.D{{Key: "began", Value: 1}}).SetLimit(int64(limit)).SetProjection(bson.D{{Key: "_id", Value: 1}}))
	if err != nil || len(old) == 0 {
		return 0, err
	}
	ids := make([]string, len(old))
	for i, t := range old {
		ids[i] = t.ID
	}
	result, err := s.turns.DeleteMany(ctx, bson.D{
		{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}},
		{Key: "began", Value: bson.D{{Key: "$lt", Value: before}}},
		{Key: "state", Value: bson.D{{Key: "$ne", Value: gone}}},
	})
	if err != nil {
		return 0, err
	}
	return int(result.DeletedCount), nil
}

// sweepRest deletes what nobody sees.
func (s *Store) sweepRest(ctx context.Context, before time.Time) error {
	_, err := s.turns.DeleteMany(ctx, bson.D{
		{Key: "began", Value: bson.D{{Key: "$lt", Value: before}}},
		{Key: "state", Value: gone},
	})
	if err != nil {
		return err
	}
	now, err := s.clock.now(ctx, s.client)
	if err != nil {
		return err
	}
	if _, err := s.windows.DeleteMany(ctx, bson.D{{Key: "ends", Value: bson.D{{Key: "$lte", Value: now}}}}); err != nil {
		return err
	}
	_, err = s.notes.DeleteMany(ctx, bson.D{{Key: "at", Value: bson.D{{Key: "$lt", Value: now.Add(-noteLife)}}}})
	return err
}
