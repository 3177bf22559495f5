package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/parley-chat/parley"
)

// passing are the codes with which Redis begins errors that pass by themselves:
// it starts, it has no primary just now, its memory or its disk is full. See
// https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors.
var passing = []string{
	"LOADING", "BUSY", "READONLY", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK",
	"OOM", "MISCONF", "ERR max number of clients reached",
}

// passes reports whether an error passes by itself.
func passes(err error) bool {
	var fromServer redis.Error
	if errors.As(err, &fromServer) {
		message := fromServer.Error()
		for _, code := range passing {
			// Old servers quote what a command of a script came to.
			if strings.HasPrefix(message, code) || strings.Contains(message, ": -"+code) {
				return true
			}
		}
		return false
	}
	return connectionFailed(err)
}

// connectionFailed reports whether an error is one of the way to the server. One
// that took too long is, whoever lost patience: connecting that takes too long is
// [context.DeadlineExceeded] as well, and a [net.Error].
func connectionFailed(err error) bool {
	var fromNet net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return false // the caller's
	case errors.As(err, &fromNet), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return true
	}
	// The library has no name for these two.
	return strings.Contains(err.Error(), "all sentinels specified in configuration are unreachable") ||
		strings.Contains(err.Error(), "cluster has no nodes")
}

// maybeDone reports whether what failed with an error may have happened: the
// command was on its way, and the answer did not come.
func maybeDone(err error) bool {
	var fromServer redis.Error
	var fromNet *net.OpError
	switch {
	case err == nil, errors.As(err, &fromServer), errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return false
	case errors.As(err, &fromNet) && fromNet.Op == "dial":
		return false
	}
	return true
}

// wrap returns err, if it is not nil, with the server and the operation.
func (s *Store) wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	pass := passes(err)
	err = fmt.Errorf("redis: %s: %s: %w", s.where, operation, err)
	if pass {
		return &parley.Error{Code: parley.CodeUnavailable, Message: "The store is not available at the moment.", Err: err}
	}
	return err
}
