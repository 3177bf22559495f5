package mongo

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parley-chat/parley"
)

// A submission is the document of one submission.
type submission struct {
	Seq    int64     `bson:"_id"`
	ID     text      `bson:"id"`
	Form   text      `bson:"form"`
	Values string    `bson:"values"` // JSON
	Time   time.Time `bson:"time"`
}

func (s *submission) decode() (parley.Submission, error) {
	decoded := parley.Submission{Seq: s.Seq, ID: string(s.ID), Form: string(s.Form), Time: s.Time.UTC()}
	if err := json.Unmarshal([]byte(s.Values), &decoded.Values); err != nil {
		return decoded, fmt.Errorf("submission %d has values that cannot be read: %w", s.Seq, err)
	}
	return decoded, nil
}

// Submit implements [parley.SubmissionStore]. The number is the one after the
// newest, taken by whoever inserts it first. So it cannot be seen before the
// one below it, as a number could that is drawn and then inserted.
func (s *Store) Submit(ctx context.Context, sub parley.Submission) (parley.Submission, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return parley.Submission{}, err
	}
	defer leave()
	values, err := json.Marshal(sub.Values)
	if err != nil {
		return parley.Submission{}, wrap("encode a submission", err)
	}
	doc := submission{ID: text(sub.ID), Form: text(sub.Form), Values: string(values), Time: sub.Time}
	var kept submission
	err = s.submitting.again(ctx, func() (err error) {
		kept, err = s.submit(ctx, doc)
		return err
	})
	if err != nil {
		return parley.Submission{}, wrap("keep a submission", err)
	}
	decoded, err := kept.decode()
	return decoded, wrap("keep a submission", err)
}

func (s *Store) submit(ctx context.Context, doc submission) (submission, error) {
	var newest submission
	err := s.submissions.FindOne(ctx, bson.D{}, options.FindOne().SetSort(bson.D{{Key: "_id", Value: -1}})).Decode(&newest)
	if err != nil && !errors.Is(err, driver.ErrNoDocuments) {
		return submission{}, err
	}
	doc.Seq = newest.Seq + 1
	_, err = s.submissions.InsertOne(ctx, doc)
	if !driver.IsDuplicateKeyError(err) {
		doc.Time = milliseconds(doc.Time)
		return doc, err
	}
	// The number is taken, or the ID is there.
	var kept submission
	err = s.submissions.FindOne(ctx, bson.D{{Key: "id", Value: doc.ID}}).Decode(&kept)
	if errors.Is(err, driver.ErrNoDocuments) {
		err = errAgain
	}
	return kept, err
}

// Submissions implements [parley.SubmissionStore].
func (s *Store) Submissions(ctx context.Context, form string, after int64, limit int) ([]parley.Submission, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	filter := bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}}}
	if form != "" {
		filter = append(filter, bson.E{Key: "form", Value: text(form)})
	}
	docs, err := all[submission](ctx, s.submissions, filter, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(limit)))
	if err != nil {
		return nil, wrap("read submissions", err)
	}
	var found []parley.Submission
	for i := range docs {
		decoded, err := docs[i].decode()
		if err != nil {
			return nil, wrap("read submissions", err)
		}
		found = append(found, decoded)
	}
	return found, nil
}

// A secret is the document of one secret.
type secret struct {
	Name  text   `bson:"_id"`
	Value []byte `bson:"value"`
}

// Secret implements [parley.Store].
func (s *Store) Secret(ctx context.Context, name string) ([]byte, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	kept, err := s.secret(ctx, name)
	if errors.Is(err, driver.ErrNoDocuments) {
		fresh := secret{Name: text(name), Value: make([]byte, 32)}
		rand.Read(fresh.Value) // never fails: see crypto/rand
		if _, err = s.secrets.InsertOne(ctx, fresh); err == nil {
			return fresh.Value, nil
		}
		if driver.IsDuplicateKeyError(err) { // another node was faster
			kept, err = s.secret(ctx, name)
		}
	}
	if err != nil {
		return nil, wrap("read a secret", err)
	}
	return kept.Value, nil
}

// secret reads a secret, or returns [driver.ErrNoDocuments].
func (s *Store) secret(ctx context.Context, name string) (kept secret, err error) {
	err = s.secrets.FindOne(ctx, bson.D{{Key: "_id", Value: text(name)}}).Decode(&kept)
	return kept, err
}
