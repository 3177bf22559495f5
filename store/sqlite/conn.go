package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	driversqlite "modernc.org/sqlite"
)

// conn is one connection to the database, for one goroutine at a time.
//
// It is the driver's own, without database/sql around it: the writer has
// exactly one, so there is nothing to pool and nothing to convert.
type conn struct {
	driver     driver.Conn
	statements map[string]driver.Stmt // prepared, by their text
	args       []driver.NamedValue
	row        []driver.Value
}

// openConn opens a connection to an existing file. The mode is "rw" or "ro".
// It waits for locks of others for a time.
func openConn(path, mode string, wait time.Duration) (*conn, error) {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") { // C:/...
		path = "/" + path
	}
	uri := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{
		"mode":          {mode},
		"_dqs":          {"0"}, // "x" is a name, never a text
		"_busy_timeout": {fmt.Sprint(wait.Milliseconds())},
		"_pragma":       {"trusted_schema(0)"},
	}.Encode()}
	c, err := new(driversqlite.Driver).Open(uri.String())
	if err != nil {
		return nil, err
	}
	return &conn{driver: c, statements: map[string]driver.Stmt{}}, nil
}

// exec runs a statement and returns how many rows it changed. Statements are
// prepared once: only constant texts may come here.
func (c *conn) exec(query string, args ...driver.Value) (int64, error) {
	stmt, err := c.prepare(query)
	if err != nil {
		return 0, err
	}
	result, err := stmt.(driver.StmtExecContext).ExecContext(context.Background(), c.bind(args))
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// query runs a statement and calls each with every row, which is valid until
// each returns. An error of each ends it; errStop does so without an error.
func (c *conn) query(query string, each func(row []driver.Value) error, args ...driver.Value) error {
	stmt, err := c.prepare(query)
	if err != nil {
		return err
	}
	// A context that can end would start a goroutine a statement.
	rows, err := stmt.(driver.StmtQueryContext).QueryContext(context.Background(), c.bind(args))
	if err != nil {
		return err
	}
	c.row = append(c.row[:0], make([]driver.Value, len(rows.Columns()))...)
	for err == nil {
		if err = rows.Next(c.row); err == nil {
			err = each(c.row)
		}
	}
	closeErr := rows.Close()
	if err == io.EOF || err == errStop {
		return closeErr
	}
	return err
}

var errStop = errors.New("enough rows")

// number returns the first value of the first row.
func (c *conn) number(query string, args ...driver.Value) (n int64, err error) {
	err = c.query(query, func(row []driver.Value) error {
		n = row[0].(int64)
		return errStop
	}, args...)
	return n, err
}

func (c *conn) prepare(query string) (driver.Stmt, error) {
	if stmt, ok := c.statements[query]; ok {
		return stmt, nil
	}
	stmt, err := c.driver.Prepare(query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	c.statements[query] = stmt
	return stmt, nil
}

func (c *conn) bind(args []driver.Value) []driver.NamedValue {
	c.args = c.args[:0]
	for i, arg := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	return c.args
}

// run runs a script once.
func (c *conn) run(script string) error {
	_, err := c.driver.(driver.ExecerContext).ExecContext(context.Background(), script, nil)
	return err
}

// waitForLocks sets how long to wait for locks of others.
func (c *conn) waitForLocks(d time.Duration) {
	c.run(fmt.Sprintf("PRAGMA busy_timeout(%d)", d.Milliseconds())) // fails for a closed connection only
}

func (c *conn) close() error {
	var errs []error
	for _, stmt := range c.statements {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, c.driver.Close())...)
}

// micros is how times are stored.
func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }
