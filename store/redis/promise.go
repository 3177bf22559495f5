package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// A weakness is where a server promises less than that what it acknowledged is
// durable.
type weakness struct {
	what string // it is, in plain words
	set  string // what ends it; empty where nothing does
}

// checkPromises asks every server that is in charge what it promises, for
// [Store.Warnings]. With strict, it refuses what can be set better.
func (s *Store) checkPromises(ctx context.Context, strict bool) error {
	var mu sync.Mutex
	var refused []string
	note := func(ctx context.Context, db *redis.Client, where string) error {
		found, err := weaknesses(ctx, db)
		mu.Lock()
		defer mu.Unlock()
		for _, w := range found {
			warning := fmt.Sprintf("Redis at %s: %s", where, w.what)
			if w.set != "" {
				warning += "; " + w.set
				refused = append(refused, warning)
			}
			s.warnings = append(s.warnings, warning)
		}
		return err
	}
	var err error
	switch db := s.db.(type) {
	case *redis.ClusterClient:
		err = db.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
			return note(ctx, node, node.Options().Addr)
		})
	case *redis.Client:
		if err = alone(ctx, db); err == nil {
			err = note(ctx, db, s.where)
		}
	}
	if err == nil && strict && len(refused) > 0 {
		err = errors.New("what is acknowledged would not be durable: " + strings.Join(refused, ". "))
	}
	return err
}

// alone says why a server cannot be used by itself, if it cannot.
func alone(ctx context.Context, db *redis.Client) error {
	enabled, err := info(ctx, db, "cluster", "cluster_enabled")
	if err == nil && enabled == "1" {
		return errors.New("this is a node of a cluster; begin the URL with redis+cluster://, or rediss+cluster:// for TLS")
	}
	return err
}

// weaknesses returns what one server says of itself. Managed servers forbid
// CONFIG, and INFO knows less.
func weaknesses(ctx context.Context, db *redis.Client) ([]weakness, error) {
	settings := map[string]string{}
	for _, name := range []string{"appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy"} {
		found, err := db.ConfigGet(ctx, name).Result()
		if err != nil && !isRefusal(err) {
			return nil, err
		}
		settings[name] = found[name]
	}
	if settings["appendonly"] == "" {
		enabled, err := info(ctx, db, "persistence", "aof_enabled")
		if err != nil {
			return nil, err
		}
		settings["appendonly"] = map[string]string{"0": "no", "1": "yes"}[enabled]
	}
	if settings["maxmemory-policy"] == "" {
		policy, err := info(ctx, db, "memory", "maxmemory_policy")
		if err != nil {
			return nil, err
		}
		settings["maxmemory-policy"] = policy
	}
	replicas, err := info(ctx, db, "replication", "connected_slaves")
	if err != nil {
		return nil, err
	}
	return judge(settings, replicas), nil
}

// info returns a field of INFO, or nothing where the server does not say.
func info(ctx context.Context, db *redis.Client, section, field string) (string, error) {
	text, err := db.Info(ctx, section).Result()
	if err != nil && !isRefusal(err) {
		return "", err
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), field+":"); ok {
			return value, nil
		}
	}
	return "", nil
}

// isRefusal reports whether a server understood a command and does not do it:
// it does not know it, or not for this user.
func isRefusal(err error) bool {
	return redis.HasErrorPrefix(err, "ERR") && !passes(err) || redis.HasErrorPrefix(err, "NOPERM")
}

// judge says what is weak in what a server says.
func judge(settings map[string]string, replicas string) (found []weakness) {
	add := func(what, set string) { found = append(found, weakness{what, set}) }
	switch {
	case settings["appendonly"] == "no":
		add("what is acknowledged is lost in a crash, because the append-only file is off", "set appendonly yes and appendfsync always")
	case settings["appendonly"] == "":
		add("it does not say whether what is acknowledged survives a crash", "let the user run CONFIG GET, or make sure that appendonly is yes and appendfsync always")
	case settings["appendfsync"] == "":
		add("it does not say when what is acknowledged is on disk, so a power cut may take the last of it", "let the user run CONFIG GET, or make sure that appendfsync is always")
	case settings["appendfsync"] != "always":
		add("a power cut takes what was acknowledged in the moments before, because appendfsync is "+settings["appendfsync"], "set appendfsync always")
	}
	if settings["no-appendfsync-on-rewrite"] == "yes" {
		add("a power cut takes what was acknowledged while the append-only file was being rewritten", "set no-appendfsync-on-rewrite no")
	}
	// The policies that begin with volatile delete keys that expire, which are
	// those of limits.
	switch policy := settings["maxmemory-policy"]; {
	case policy == "":
		add("it does not say whether it deletes conversations when its memory is full", "let the user run CONFIG GET or INFO, or make sure that maxmemory-policy is noeviction")
	case strings.HasPrefix(policy, "allkeys"):
		add("it deletes conversations when its memory is full, because maxmemory-policy is "+policy, "set maxmemory-policy noeviction")
	}
	if replicas != "" && replicas != "0" {
		add("it has replicas, and one that takes over may lack what was acknowledged in the moments before", "")
	}
	return found
}
