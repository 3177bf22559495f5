package mongo

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parley-chat/parley"
)

// A turn is the document of one turn. A turn that is taken back stays as a
// document with nothing but its ID, beginning and state, so that no number is
// given twice.
//
// That is what makes Begin one step, although it reads and then writes: numbers
// are given one after the other and never become free, and the number is in the
// unique ID. So whoever inserts the number after the newest that they read
// inserts behind exactly the turns that they read: had anybody begun a turn
// since, the number would be taken, and they read again.
//
// Only what is swept frees numbers, of sessions that have been silent for as
// long as turns are kept.
type turn struct {
	ID      string        `bson:"_id"` // session and number: see turnID
	By      bson.ObjectID `bson:"by"`  // names the call that began it
	Session text          `bson:"session"`
	Seq     int64         `bson:"seq"`
	First   int64         `bson:"first"`
	Key     text          `bson:"key"`
	Prompt  text          `bson:"prompt,omitempty"`
	Message string        `bson:"message"` // what is the same in the same message: see messageID
	State   string        `bson:"state"`
	Reply   string        `bson:"reply,omitempty"` // JSON
	Began   time.Time     `bson:"began"`           // BSON keeps milliseconds
	Ended   time.Time     `bson:"ended,omitempty"`
}

// The states of a turn.
const (
	running  = "running"
	finished = "finished"
	gone     = "gone" // taken back
)

// mostSeq is the highest number that a turnID has room for.
const mostSeq = 999_999_999_999

// turnID returns the ID of a turn: in order, all turns of one session follow
// each other by their numbers.
func turnID(session string, seq int) string {
	hash := sha256.Sum256([]byte(session))
	return fmt.Sprintf("%s.%012d", base64.RawURLEncoding.EncodeToString(hash[:]), min(max(seq, 0), mostSeq))
}

var validTurnID = regexp.MustCompile(`^[A-Za-z0-9_-]{43}\.[0-9]{12}$`)

// messageID returns what two turns share that the same message would begin, but
// for their age: the session and the key, or without one the prompt.
func messageID(session, key, prompt string) string {
	hash := sha256.New()
	fmt.Fprintf(hash, "%d %s", len(session), session)
	if key != "" {
		fmt.Fprint(hash, "key ", key)
	} else {
		fmt.Fprint(hash, "prompt ", prompt)
	}
	return base64.RawURLEncoding.EncodeToString(hash.Sum(nil))
}

// record returns what is kept of a turn.
func (t *turn) record() (parley.Record, error) {
	r := parley.Record{
		Session: string(t.Session),
		Seq:     int(t.Seq),
		First:   int(t.First),
		Key:     string(t.Key),
		Prompt:  string(t.Prompt),
		Began:   t.Began.UTC(),
	}
	if t.State != finished {
		return r, nil
	}
	r.Ended, r.Reply = t.Ended.UTC(), new(parley.Reply)
	if err := r.Reply.UnmarshalJSON([]byte(t.Reply)); err != nil {
		return r, fmt.Errorf("turn %d has a reply that cannot be read: %w", r.Seq, err)
	}
	return r, nil
}

func records(turns []turn) ([]parley.Record, error) {
	var all []parley.Record
	for i := range turns {
		r, err := turns[i].record()
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// lastMessage returns the time of the turn's newest message.
func (t *turn) lastMessage() time.Time {
	if t.State == finished {
		return t.Ended
	}
	return t.Began
}

// Begin implements [parley.TurnStore].
func (s *Store) Begin(ctx context.Context, t parley.NewTurn) (parley.Begun, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return parley.Begun{}, err
	}
	defer leave()
	var begun parley.Begun
	err = s.sessions.of(t.Session).again(ctx, func() (err error) {
		begun, err = s.begin(ctx, &t)
		return err
	})
	if errors.Is(err, parley.ErrKeyReused) {
		return parley.Begun{}, parley.ErrKeyReused
	}
	return begun, wrap("begin a turn", err)
}

func (s *Store) begin(ctx context.Context, t *parley.NewTurn) (parley.Begun, error) {
	recent, whole, err := s.recent(ctx, t)
	if err != nil {
		return parley.Begun{}, err
	}
	same := find(recent, t)
	if same == nil && t.Key != "" && !whole {
		same, err = s.findKey(ctx, t)
	}
	if err != nil {
		return parley.Begun{}, err
	}
	if same != nil {
		return s.begunBefore(ctx, same, t)
	}
	next := follow(recent, t)
	_, err = s.turns.InsertOne(ctx, next)
	switch {
	case driver.IsDuplicateKeyError(err):
		return parley.Begun{}, errAgain
	case err != nil:
		s.undo(ctx, next)
		return parley.Begun{}, err
	}
	record, err := next.record()
	return parley.Begun{Record: record, Fresh: true, Behind: behind(recent, t)}, err
}

// recent returns turns of a session from the newest back, prompts and replies not
// included: all behind which something may be that matters to a new one, but for
// its key. That is where a finished one began before DeadBefore, so there are few
// of them. It reports whether they are the whole session.
//
// Of turns that were taken back nothing matters but the newest number, so only
// the first page has them: there may be any number.
func (s *Store) recent(ctx context.Context, t *parley.NewTurn) (recent []turn, whole bool, err error) {
	before, limit, matters := turnID(t.Session, mostSeq), int64(32), bson.D{}
	for {
		page, err := all[turn](ctx, s.turns, append(bson.D{{Key: "_id", Value: bson.D{
			{Key: "$gte", Value: turnID(t.Session, 0)},
			{Key: "$lt", Value: before},
		}}}, matters...), options.Find().SetSort(bson.D{{Key: "_id", Value: -1}}).SetLimit(limit).
			SetProjection(bson.D{{Key: "prompt", Value: 0}, {Key: "reply", Value: 0}}))
		if err != nil {
			return nil, false, err
		}
		old := slices.IndexFunc(page, func(r turn) bool { return r.State == finished && r.Began.Before(t.DeadBefore) })
		if old >= 0 {
			return append(recent, page[:old+1]...), false, nil
		}
		recent = append(recent, page...)
		if int64(len(page)) < limit {
			return recent, true, nil
		}
		before, limit, matters = page[len(page)-1].ID, 256, bson.D{{Key: "state", Value: bson.D{{Key: "$ne", Value: gone}}}}
	}
}

// find returns the one of the recent turns that the same message began, or nil.
func find(recent []turn, t *parley.NewTurn) *turn {
	message := messageID(t.Session, t.Key, t.Prompt)
	for i := range recent {
		if r := &recent[i]; r.Message == message && isSame(r, t) {
			return r
		}
	}
	return nil
}

// findKey returns the turn that has the key of t, or nil. The recent turns must
// have been read before: see [turn].
func (s *Store) findKey(ctx context.Context, t *parley.NewTurn) (*turn, error) {
	var same turn
	err := s.turns.FindOne(ctx, bson.D{
		{Key: "message", Value: messageID(t.Session, t.Key, t.Prompt)},
		{Key: "began", Value: bson.D{{Key: "$gte", Value: t.KeysSince}}},
	}, options.FindOne().SetSort(bson.D{{Key: "_id", Value: -1}})).Decode(&same)
	switch {
	case errors.Is(err, driver.ErrNoDocuments):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &same, nil
}

// isSame reports whether a turn with the message of t is young enough to be
// the same.
func isSame(r *turn, t *parley.NewTurn) bool {
	if t.Key != "" {
		return !r.Began.Before(t.KeysSince)
	}
	return r.State == running || !r.Ended.Before(t.TwinsSince)
}

// begunBefore returns the turn that the same message began before, or takes it
// back where it died.
func (s *Store) begunBefore(ctx context.Context, same *turn, t *parley.NewTurn) (parley.Begun, error) {
	if same.State == running && same.Began.Before(t.DeadBefore) {
		if err := s.takeBack(ctx, bson.D{{Key: "_id", Value: same.ID}, {Key: "by", Value: same.By}}); err != nil {
			return parley.Begun{}, err
		}
		return parley.Begun{}, errAgain
	}
	var whole turn
	err := s.turns.FindOne(ctx, bson.D{{Key: "_id", Value: same.ID}}).Decode(&whole)
	switch {
	case errors.Is(err, driver.ErrNoDocuments) || err == nil && (whole.By != same.By || whole.State == gone): // meanwhile
		return parley.Begun{}, errAgain
	case err != nil:
		return parley.Begun{}, err
	case string(whole.Prompt) != t.Prompt:
		return parley.Begun{}, parley.ErrKeyReused
	}
	record, err := whole.record()
	return parley.Begun{Record: record}, err
}

// follow returns the turn that comes after the recent ones.
func follow(recent []turn, t *parley.NewTurn) *turn {
	next := &turn{
		By:      bson.NewObjectID(),
		Session: text(t.Session),
		Seq:     1,
		Key:     text(t.Key),
		Prompt:  text(t.Prompt),
		Message: messageID(t.Session, t.Key, t.Prompt),
		State:   running,
		Began:   milliseconds(t.Time),
	}
	if len(recent) > 0 {
		next.Seq = recent[0].Seq + 1
	}
	next.ID, next.First = turnID(t.Session, int(next.Seq)), next.Seq
	newest := slices.IndexFunc(recent, func(r turn) bool { return r.State != gone })
	if newest >= 0 && !recent[newest].lastMessage().Before(t.RestSince) {
		next.First = recent[newest].First
	}
	return next
}

// milliseconds returns a time as BSON keeps it.
func milliseconds(t time.Time) time.Time { return bson.NewDateTimeFromTime(t).Time().UTC() }

// behind returns the number of the newest turn that runs, or 0.
func behind(recent []turn, t *parley.NewTurn) int {
	for _, r := range recent {
		if r.State == running && !r.Began.Before(t.DeadBefore) {
			return int(r.Seq)
		}
	}
	return 0
}

// undo takes back a turn of which it is not known whether it was inserted, so
// that nobody waits for it. Where that fails, too, it dies in time.
func (s *Store) undo(ctx context.Context, t *turn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := s.takeBack(ctx, bson.D{{Key: "_id", Value: t.ID}, {Key: "by", Value: t.By}}); err != nil {
		s.log.Warn("a turn may have begun that nobody answers", "error", err)
	}
}

// takeBack takes a turn back, if it runs, and changes nothing otherwise.
func (s *Store) takeBack(ctx context.Context, which bson.D) error {
	_, err := s.turns.UpdateOne(ctx, append(which, bson.E{Key: "state", Value: running}), bson.D{
		{Key: "$set", Value: bson.D{{Key: "state", Value: gone}}},
		{Key: "$unset", Value: bson.D{
			{Key: "session", Value: ""}, {Key: "key", Value: ""}, {Key: "prompt", Value: ""}, {Key: "message", Value: ""},
		}},
	})
	return err
}

// begunAs is the filter of a turn that Begin returned.
func begunAs(r parley.Record) bson.D {
	return bson.D{{Key: "_id", Value: turnID(r.Session, r.Seq)}, {Key: "began", Value: milliseconds(r.Began)}}
}

// Finish implements [parley.TurnStore].
func (s *Store) Finish(ctx context.Context, r parley.Record, reply parley.Reply, at time.Time) error {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	data, err := reply.MarshalJSON()
	if err != nil {
		return wrap("encode a reply", err)
	}
	result, err := s.turns.UpdateOne(ctx, append(begunAs(r), bson.E{Key: "state", Value: running}), bson.D{{Key: "$set", Value: bson.D{
		{Key: "state", Value: finished},
		{Key: "reply", Value: string(data)},
		{Key: "ended", Value: at},
	}}})
	if err != nil || result.MatchedCount == 1 {
		return wrap("finish a turn", err)
	}
	// Somebody finished it before, or took it back.
	var kept turn
	err = s.turns.FindOne(ctx, bson.D{{Key: "_id", Value: turnID(r.Session, r.Seq)}}).Decode(&kept)
	if errors.Is(err, driver.ErrNoDocuments) || err == nil && (kept.State != finished || !kept.Began.Equal(milliseconds(r.Began))) {
		err = fmt.Errorf("turn %d: %w", r.Seq, parley.ErrTakenBack)
	}
	return wrap("finish a turn", err)
}

// Abandon implements [parley.TurnStore].
func (s *Store) Abandon(ctx context.Context, r parley.Record) error {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return wrap("abandon a turn", s.takeBack(ctx, begunAs(r)))
}

// Transcript implements [parley.TurnStore].
func (s *Store) Transcript(ctx context.Context, page parley.Page) ([]parley.Record, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	before := page.Before
	if before == 0 {
		before = mostSeq
	}
	turns, err := all[turn](ctx, s.turns, bson.D{
		{Key: "_id", Value: bson.D{
			{Key: "$gte", Value: turnID(page.Session, page.From)},
			{Key: "$lt", Value: turnID(page.Session, before)},
		}},
		{Key: "state", Value: bson.D{{Key: "$ne", Value: gone}}},
	}, options.Find().SetSort(bson.D{{Key: "_id", Value: -1}}).SetLimit(int64(page.Limit)))
	if err != nil {
		return nil, wrap("read a transcript", err)
	}
	slices.Reverse(turns)
	read, err := records(turns)
	return read, wrap("read a transcript", err)
}
