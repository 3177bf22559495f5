package mongo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/auth"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"github.com/parley-chat/parley"
)

// The codes of errors, from
// https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml.
const (
	codeAuthenticationFailed  = 18
	codeIndexNotFound         = 27
	codeIndexOptionsConflict  = 85
	codeIndexKeySpecsConflict = 86
	codeNotImplemented        = 238
)

// passing are the codes of errors that pass by themselves.
var passing = []int{
	6, 7, 89, 9001, // the server cannot be reached, or could not reach another
	50, 262, // it took too long
	64, 100, // not enough servers took it
	91, 11600, // the server shuts down
	10107, 13435, 13436, 11602, 189, // it is no primary, or none any more
	14031, // the disk is full
}

// passes reports whether an error passes by itself.
func passes(err error) bool {
	if errors.Is(err, context.Canceled) || refused(err) {
		return false
	}
	if driver.IsNetworkError(err) || driver.IsTimeout(err) {
		return true
	}
	if selection := (topology.ServerSelectionError{}); errors.As(err, &selection) {
		return true
	}
	if lookup := (*net.DNSError)(nil); errors.As(err, &lookup) {
		return !lookup.IsNotFound
	}
	if connection := (topology.ConnectionError{}); errors.As(err, &connection) {
		return true
	}
	server := driver.ServerError(nil)
	if !errors.As(err, &server) {
		return false
	}
	return server.HasErrorLabel("RetryableWriteError") || server.HasErrorLabel("TransientTransactionError") ||
		slices.ContainsFunc(passing, server.HasErrorCode)
}

// refused reports whether the server does not take the name and password.
func refused(err error) bool {
	failed := (*auth.Error)(nil)
	return errors.As(err, &failed) || hasCode(err, codeAuthenticationFailed)
}

func hasCode(err error, codes ...int) bool {
	server := driver.ServerError(nil)
	return errors.As(err, &server) && slices.ContainsFunc(codes, server.HasErrorCode)
}

// wrap returns err, if it is not nil, with the operation.
func wrap(operation string, err error) error {
	switch {
	case err == nil:
		return nil
	case refused(err):
		operation += ": the server refuses the user name or the password of the URL, or its authSource"
	}
	err = fmt.Errorf("mongo: %s: %w", operation, err)
	if passes(err) {
		return &parley.Error{Code: parley.CodeUnavailable, Message: "The store is not available at the moment.", Err: err}
	}
	return err
}

// withoutSecret returns an error without its text where that has a part of the
// URL that nobody but the server may read.
func withoutSecret(err error, u string) error {
	if err == nil {
		return nil
	}
	_, rest, _ := strings.Cut(u, "://")
	at := strings.LastIndex(rest, "@")
	if at < 0 {
		return err
	}
	_, password, _ := strings.Cut(rest[:at], ":")
	if password == "" {
		return err
	}
	decoded, _ := url.PathUnescape(password)
	for _, secret := range []string{password, decoded} {
		if secret != "" && strings.Contains(err.Error(), secret) {
			return errors.New("the URL cannot be used; write @ : / and % in the user name and the password as %40 %3A %2F and %25")
		}
	}
	return err
}
