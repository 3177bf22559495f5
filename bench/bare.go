package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"

	_ "modernc.org/sqlite"
)

type bareRequest struct {
	Prompt  string `json:"prompt"`
	Session string `json:"session_id"`
}

type bareReply struct {
	Output string `json:"output"`
}

// serveBare serves a fixed reply with net/http and encoding/json, and nothing
// else ("http"), or after one durable insert that is grouped with those of
// other requests ("sqlite").
func serveBare(name string) error {
	keep := func(bareRequest) error { return nil }
	if name == "sqlite" {
		w, err := openBareWriter(filepath.Join(os.Getenv("BENCH_DIR"), "bare.db"))
		if err != nil {
			return err
		}
		keep = w.insert
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) {})
	mux.HandleFunc("POST /chat", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var q bareRequest
		if err == nil {
			err = json.Unmarshal(body, &q)
		}
		if err == nil {
			err = keep(q)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(bareReply{"Thank you for your message! How can I help you today?"})
	})
	return serve(mux)
}

// serve serves on PORT.
func serve(h http.Handler) error {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		return err
	}
	return http.Serve(listener, h)
}

// bareWriter inserts rows in groups: one transaction, and so one sync, for all
// that wait when the last one ended.
type bareWriter struct {
	queue  chan bareInsert
	db     *sql.DB
	insert func(bareRequest) error
}

type bareInsert struct {
	row  bareRequest
	done chan error
}

func openBareWriter(path string) (*bareWriter, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`create table turns (id integer primary key, session text, prompt text, reply text)`); err != nil {
		return nil, fmt.Errorf("create the table: %w", err)
	}
	stmt, err := db.Prepare(`insert into turns (session, prompt, reply) values (?, ?, ?)`)
	if err != nil {
		return nil, err
	}
	w := &bareWriter{queue: make(chan bareInsert, 1024), db: db}
	w.insert = func(row bareRequest) error {
		done := make(chan error, 1)
		w.queue <- bareInsert{row, done}
		return <-done
	}
	go w.run(stmt)
	return w, nil
}

func (w *bareWriter) run(stmt *sql.Stmt) {
	for first := range w.queue {
		runtime.Gosched() // as Parley does, for larger groups
		group := []bareInsert{first}
		for more := true; more && len(group) < 256; {
			select {
			case next := <-w.queue:
				group = append(group, next)
			default:
				more = false
			}
		}
		err := w.commit(stmt, group)
		for _, i := range group {
			i.done <- err
		}
	}
}

func (w *bareWriter) commit(stmt *sql.Stmt, group []bareInsert) error {
	tx, err := w.db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	in := tx.Stmt(stmt)
	for _, i := range group {
		if _, err := in.Exec(i.row.Session, i.row.Prompt, `{"output":"Thank you for your message! How can I help you today?"}`); err != nil {
			return err
		}
	}
	return tx.Commit()
}
