package trial

import (
	"database/sql"
	"encoding/json"
	"fmt"

	_ "modernc.org/sqlite" // the driver

	"github.com/parley-chat/parley"
)

// readSQLite reads the turns of a SQLite database, and has SQLite check that
// the file is whole. It uses plain SQL, so that no mistake of the store's
// writing can hide behind one of its reading.
func readSQLite(path string) ([]parley.Record, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	var whole string
	if err := db.QueryRow("PRAGMA quick_check").Scan(&whole); err != nil || whole != "ok" {
		return nil, fmt.Errorf("check the database: %q, %v", whole, err)
	}
	rows, err := db.Query("SELECT session, seq, key, prompt, reply FROM turns ORDER BY session, seq")
	if err != nil {
		return nil, fmt.Errorf("read the turns: %w", err)
	}
	defer rows.Close()
	var records []parley.Record
	for rows.Next() {
		var r parley.Record
		var reply []byte
		if err := rows.Scan(&r.Session, &r.Seq, &r.Key, &r.Prompt, &reply); err != nil {
			return nil, fmt.Errorf("read a turn: %w", err)
		}
		if err := json.Unmarshal(reply, &r.Reply); err != nil {
			return nil, fmt.Errorf("read the reply %q: %w", reply, err)
		}
		records = append(records, r)
	}
	return records, rows.Err()
}
