package mongo

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parley-chat/parley"
)

// Records implements [parley.Archive]. It goes on from the ID of a turn.
func (s *Store) Records(ctx context.Context, after string, limit int) (page []parley.Record, next string, err error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, "", err
	}
	defer leave()
	if after != "" && !validTurnID.MatchString(after) {
		return nil, "", wrap("read records", fmt.Errorf("%.100q is no place that an earlier call returned", after))
	}
	turns, err := all[turn](ctx, s.turns, bson.D{
		{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}},
		{Key: "state", Value: finished},
	}, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(limit)))
	if err != nil {
		return nil, "", wrap("read records", err)
	}
	if len(turns) == limit {
		next = turns[limit-1].ID
	}
	page, err = records(turns)
	return page, next, wrap("read records", err)
}

// Restore implements [parley.Archive].
func (s *Store) Restore(ctx context.Context, records []parley.Record) error {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if len(records) == 0 {
		return nil
	}
	docs := make([]turn, len(records))
	for i, r := range records {
		if docs[i], err = restored(r); err != nil {
			return wrap("restore turns", err)
		}
	}
	_, err = s.turns.InsertMany(ctx, docs, options.InsertMany().SetOrdered(false))
	if onlyDuplicates(err) {
		return nil
	}
	return wrap("restore turns", err)
}

// restored returns the document of a finished turn.
func restored(r parley.Record) (turn, error) {
	if r.Reply == nil || r.Seq < 1 || r.Seq > mostSeq {
		return turn{}, fmt.Errorf("turn %d is not finished, or its number is none", r.Seq)
	}
	reply, err := r.Reply.MarshalJSON()
	if err != nil {
		return turn{}, fmt.Errorf("encode the reply of turn %d: %w", r.Seq, err)
	}
	return turn{
		ID:      turnID(r.Session, r.Seq),
		By:      bson.NewObjectID(),
		Session: text(r.Session),
		Seq:     int64(r.Seq),
		First:   int64(r.First),
		Key:     text(r.Key),
		Prompt:  text(r.Prompt),
		Message: messageID(r.Session, r.Key, r.Prompt),
		State:   finished,
		Reply:   string(reply),
		Began:   r.Began,
		Ended:   r.Ended,
	}, nil
}

// onlyDuplicates reports whether an insert failed for nothing but documents
// that are there already.
func onlyDuplicates(err error) bool {
	var bulk driver.BulkWriteException
	if !errors.As(err, &bulk) || bulk.WriteConcernError != nil {
		return false
	}
	for _, e := range bulk.WriteErrors {
		if !driver.IsDuplicateKeyError(e) {
			return false
		}
	}
	return true
}

// Secrets implements [parley.Archive].
func (s *Store) Secrets(ctx context.Context) (map[string][]byte, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	kept, err := all[secret](ctx, s.secrets, bson.D{}, options.Find())
	if err != nil {
		return nil, wrap("read the secrets", err)
	}
	secrets := make(map[string][]byte, len(kept))
	for _, k := range kept {
		secrets[string(k.Name)] = k.Value
	}
	return secrets, nil
}

// RestoreSecret implements [parley.Archive].
func (s *Store) RestoreSecret(ctx context.Context, name string, value []byte) error {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	_, err = s.secrets.InsertOne(ctx, secret{Name: text(name), Value: value})
	if driver.IsDuplicateKeyError(err) {
		var kept secret
		if kept, err = s.secret(ctx, name); err == nil && !bytes.Equal(kept.Value, value) {
			err = fmt.Errorf("there is another secret under the name %q, with which tokens may have been signed", name)
		}
	}
	return wrap("restore a secret", err)
}
