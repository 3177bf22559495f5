package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Secret implements [parley.Store].
func (s *Store) Secret(ctx context.Context, name string) ([]byte, error) {
	fresh := make([]byte, 32)
	rand.Read(fresh) // never fails: see crypto/rand
	secret, err := s.keepSecret(ctx, name, fresh)
	return secret, s.fail("read a secret", err)
}

// keepSecret keeps a secret, unless there is one under the name, and returns the
// one that is there then.
func (s *Store) keepSecret(ctx context.Context, name string, secret []byte) (kept []byte, err error) {
	err = s.durably(ctx, []any{&kept},
		statement{`INSERT INTO parley_secrets (name, value) VALUES ($1, $2) ON CONFLICT (sha256(name)) DO NOTHING`, []any{[]byte(name), secret}},
		statement{`SELECT value FROM parley_secrets WHERE sha256(name) = sha256($1)`, []any{[]byte(name)}})
	return kept, err
}

// Secrets implements [parley.Archive].
func (s *Store) Secrets(ctx context.Context) (map[string][]byte, error) {
	secrets := map[string][]byte{}
	_, err := all(ctx, s, func(row pgx.CollectableRow) (bool, error) {
		var name, value []byte
		err := row.Scan(&name, &value)
		secrets[string(name)] = value
		return true, err
	}, `SELECT name, value FROM parley_secrets`)
	if err != nil {
		return nil, s.fail("read the secrets", err)
	}
	return secrets, nil
}

// RestoreSecret implements [parley.Archive].
func (s *Store) RestoreSecret(ctx context.Context, name string, secret []byte) error {
	kept, err := s.keepSecret(ctx, name, secret)
	if err == nil && !bytes.Equal(kept, secret) {
		err = fmt.Errorf("there is another secret under the name %q", name)
	}
	return s.fail("restore a secret", err)
}
