package dbtest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-chat/parley/internal/dbtest"
)

func TestPostgres(t *testing.T) {
	server := dbtest.Postgres(t, dbtest.Durable)
	url := server.URL(t)
	if another := server.URL(t); another == url {
		t.Errorf("URL returned %s twice; want another database at each call", url)
	}
	exec := func(query string) error {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			return err
		}
		defer conn.Close(t.Context())
		_, err = conn.Exec(t.Context(), query)
		return err
	}
	if err := exec("CREATE TABLE kept (n int)"); err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]func(){"Stop": server.Stop, "Kill": server.Kill} {
		end()
		if err := exec("SELECT * FROM kept"); err == nil {
			t.Errorf("after %s the server answers, want it not to", name)
		}
		server.Start()
		if err := exec("SELECT * FROM kept"); err != nil {
			t.Errorf("started again after %s: %v; want what was there", name, err)
		}
	}
}
