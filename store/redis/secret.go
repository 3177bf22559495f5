package redis

import (
	"context"
	"crypto/rand"
	"fmt"
)

// Secret implements [parley.Store].
func (s *Store) Secret(ctx context.Context, name string) ([]byte, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	fresh := make([]byte, 32)
	rand.Read(fresh) // never fails: see crypto/rand
	secret, err := s.keepSecret(ctx, name, fresh)
	return secret, s.wrap("read a secret", err)
}

// keepSecret keeps a secret under a name that has none, and returns the one that
// it has then.
func (s *Store) keepSecret(ctx context.Context, name string, secret []byte) ([]byte, error) {
	if err := s.db.HSetNX(ctx, s.global("secrets"), name, secret).Err(); err != nil {
		return nil, err
	}
	return s.db.HGet(ctx, s.global("secrets"), name).Bytes()
}

// Secrets implements [parley.Archive].
func (s *Store) Secrets(ctx context.Context) (map[string][]byte, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	found, err := s.db.HGetAll(ctx, s.global("secrets")).Result()
	if err != nil {
		return nil, s.wrap("read the secrets", err)
	}
	secrets := map[string][]byte{}
	for name, secret := range found {
		secrets[name] = []byte(secret)
	}
	return secrets, nil
}

// RestoreSecret implements [parley.Archive].
func (s *Store) RestoreSecret(ctx context.Context, name string, secret []byte) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	kept, err := s.keepSecret(ctx, name, secret)
	if err == nil && string(kept) != string(secret) {
		err = fmt.Errorf("there is another secret under the name %q", name)
	}
	return s.wrap("restore a secret", err)
}
