package postgres

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parley-chat/parley"
)

// sqlState returns the server's error code, or "" for an error that is not the
// server's. See https://www.postgresql.org/docs/current/errcodes-appendix.html.
func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// isReadOnly reports whether the server is a standby, or read-only for another
// reason.
func isReadOnly(err error) bool { return sqlState(err) == "25006" }

// passes reports whether an error passes by itself: the server is away, starts,
// stops, is full, or has too much to do.
func passes(err error) bool {
	state := sqlState(err)
	if state == "" {
		return isAway(err)
	}
	switch state {
	case "25006", // read-only: a failover is under way
		"40001", "40P01", "55P03", // transactions in each other's way
		"57014", "57P01", "57P02", "57P03", "57P05": // called off, stopping, crashed, starting, idle for too long
		return true
	}
	// connection exceptions; out of disk, memory or connections
	return strings.HasPrefix(state, "08") || strings.HasPrefix(state, "53")
}

// isAway reports whether an error says that the server did not answer.
func isAway(err error) bool {
	var certificate x509.CertificateInvalidError
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	if errors.As(err, &certificate) || errors.As(err, &host) || errors.As(err, &authority) {
		return false
	}
	var network net.Error
	return errors.As(err, &network) ||
		errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, pgconn.ErrConnClosed)
}

const throughPooler = "where PgBouncer pools transactions, add default_query_exec_mode=exec to the URL"

// hints say what to change where the server's own message does not.
var hints = map[string]string{
	"28P01": "check the user and the password in the URL",
	"28000": "check the user in the URL, and pg_hba.conf on the server",
	"3D000": "create the database, or name another in the URL",
	"3F000": "create the schema that search_path names, or name another in the URL",
	"26000": throughPooler,
	"42P05": throughPooler,
	"42501": "grant the role what it needs, or have another role migrate the database",
}

// wrap returns err, if it is not nil, with the operation.
func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("postgres: %s: %w", operation, err)
	if hint := hints[sqlState(err)]; hint != "" {
		err = fmt.Errorf("%w; %s", err, hint)
	}
	if passes(err) {
		return unavailable(err)
	}
	return err
}

func unavailable(err error) error {
	return &parley.Error{Code: parley.CodeUnavailable, Message: "The store is not available at the moment.", Err: err}
}
