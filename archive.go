package parley

import "context"

// An Archive is a [Store] whose contents can be moved to another. What runs,
// what is counted and what is noted stays behind; submissions are read with
// Submissions and kept with Submit.
type Archive interface {
	Store

	// Records returns finished turns of all sessions, and where to go on: "" at
	// the beginning, next after that, until next is "". A call returns about
	// limit of them, or none and yet a next. The turns of a session come in
	// order. What is there from the first call to the last comes at least once;
	// what is finished or swept meanwhile may come or not.
	Records(ctx context.Context, after string, limit int) (records []Record, next string, err error)

	// Restore keeps finished turns as they are, numbers, stretches and times
	// included. What is there already under a session and number is left as it
	// is. Either all of them are durable when it returns nil, or some of them may
	// be, and asking again is safe.
	Restore(ctx context.Context, records []Record) error

	// Secrets returns every secret by its name.
	Secrets(ctx context.Context) (map[string][]byte, error)

	// RestoreSecret keeps a secret under a name that has none. Where the name has
	// the same secret it changes nothing; where it has another, it is an error:
	// what was signed with that one is out there.
	RestoreSecret(ctx context.Context, name string, secret []byte) error
}
