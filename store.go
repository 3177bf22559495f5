package parley

import (
	"context"
	"errors"
	"time"
)

// ErrKeyReused is what [TurnStore.Begin] returns for an idempotency key that
// came before with another prompt.
var ErrKeyReused = errors.New("parley: the idempotency key was used with another prompt")

// ErrTakenBack is what [TurnStore.Finish] returns, wrapped or not, for a turn that
// is not there any more: it was abandoned, or taken for dead, or swept.
var ErrTakenBack = errors.New("parley: the turn was taken back")

// A Store keeps what must outlive a request. It holds data and order, no
// policy: times and limits are passed in by the engine.
//
// All methods are safe for concurrent use, honour their context, and keep
// every string as it is, byte for byte, U+0000 included. An unknown session is empty, not an
// error. When a method that changes something returns nil, the change survives
// the end of the process; when it returns an error, the change may or may not
// have happened, and asking again is safe.
//
// An error that passes by itself, such as a full disk or a server that is
// away, is an [Error] with [CodeUnavailable].
//
// The suite parleytest.Store checks these promises.
type Store interface {
	TurnStore
	SubmissionStore

	// Secret returns the 32 random bytes that the store keeps under a name. The
	// first call makes them; every later call, from any node, gets the same.
	Secret(ctx context.Context, name string) ([]byte, error)

	// Sweep deletes records whose turn began before the given time, no more than
	// limit, and returns how many it deleted: of finished turns the oldest first,
	// and every one that is not finished, because none runs for that long.
	// Submissions are not swept.
	Sweep(ctx context.Context, before time.Time, limit int) (int, error)

	// Close releases the store. It waits for the calls that run; every later call
	// returns an error, but for Close itself.
	Close() error
}

// A TurnStore keeps the turns of each session in strict order. A turn is begun
// once and then finished or abandoned, each atomically.
type TurnStore interface {
	// Begin starts the next turn of a session, or finds the turn that the same
	// message began before. See [NewTurn] for what counts as the same.
	// A begun turn need not be durable before it is finished.
	Begin(ctx context.Context, turn NewTurn) (Begun, error)

	// Finish commits the reply of a turn that Begin returned, known by its
	// Session, Seq and Began: a number that was taken back may be another turn's
	// by now. It is durable before it returns. Finishing a turn that is finished
	// changes nothing and returns nil. Finishing an unknown one returns
	// ErrTakenBack: its reply is not kept.
	Finish(ctx context.Context, turn Record, reply Reply, at time.Time) error

	// Abandon takes back a turn that Begin returned and that is not finished, as
	// though it had never been; its number may be given again. Abandoning a turn
	// that is finished or unknown changes nothing.
	Abandon(ctx context.Context, turn Record) error

	// Transcript returns records of a session in ascending order, those of
	// turns that run included.
	Transcript(ctx context.Context, page Page) ([]Record, error)
}

// NewTurn asks a store to begin a turn.
//
// The same message sent twice is one turn. With a Key: a turn of the session
// with that key that began at or after KeysSince. Without: the newest turn of
// the session that has no key either, has the same prompt, and runs or ended at
// or after TwinsSince. If that turn is not finished and began before
// DeadBefore, it died with its process: it is taken back, and a new one begins.
//
// No turn runs for as long as from DeadBefore to Time. So a store that looks
// for a turn without a Key need not look behind a finished one that began
// before DeadBefore.
type NewTurn struct {
	Session string    // not empty
	Key     string    // idempotency key; empty for none
	Prompt  string    // kept as it is
	Time    time.Time // when the turn begins; stores keep milliseconds or better

	RestSince  time.Time // a session whose newest turn ended (or began, if it runs) before begins a new stretch: see [Record.First]
	KeysSince  time.Time
	TwinsSince time.Time
	DeadBefore time.Time
}

// Begun is what a store says of a turn that it was asked to begin.
type Begun struct {
	Record      // the turn; its Reply is set when it was finished before
	Fresh  bool // the turn was begun by this call, and the caller must finish or abandon it
	Behind int  // the number of the newest turn before a fresh one that is not finished and began at or after DeadBefore; 0 for none
}

// A Record is what a store keeps of one turn.
type Record struct {
	Session string
	Seq     int // 1, 2, 3 … within the session; a turn that was abandoned may leave a gap
	First   int // the number of the turn with which the stretch that this turn belongs to began
	Key     string
	Prompt  string
	Reply   *Reply    // nil while the turn runs
	Began   time.Time // to the store's precision, the same from Begin on
	Ended   time.Time // zero while the turn runs
}

// A Page asks for a part of a session's transcript: the records with
// From <= Seq, and Seq < Before unless Before is 0. Where there are more than
// Limit of them, the newest ones.
type Page struct {
	Session string
	From    int
	Before  int
	Limit   int // at least 1
}

// A SubmissionStore keeps what visitors filled into forms.
type SubmissionStore interface {
	// Submit keeps a submission and returns it with its Seq. It is durable
	// before it returns. An ID that is stored already changes nothing and
	// returns the submission that has it.
	Submit(ctx context.Context, s Submission) (Submission, error)

	// Submissions returns up to limit (at least 1) submissions with Seq > after
	// in ascending order, of one form, or of all where form is empty.
	Submissions(ctx context.Context, form string, after int64, limit int) ([]Submission, error)
}

// A Submission is one filled-in form.
type Submission struct {
	Seq    int64     `json:"seq"` // ascending in the order of arrival; given by the store
	ID     string    `json:"id"`  // unique
	Form   string    `json:"form"`
	Values Values    `json:"values"`
	Time   time.Time `json:"time"`
}
