// Command witness is the server that the proofs put on trial: the engine and
// the SQLite store, wired as cmd/parley wires them, with a bot that never says
// the same thing twice. So whatever the store lost, doubled or made up shows.
//
// It takes HOST, PORT and DATABASE_URL from the environment, as cmd/parley does.
// With -flaw it makes one well-known mistake, as a control of the proofs: they
// must find it.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/store/sqlite"
)

func main() {
	flaw := flag.String("flaw", "", "the mistake to make: early or forgetful")
	flag.Parse()
	if err := run(*flaw); err != nil {
		slog.Error("the witness ends", "error", err)
		os.Exit(1)
	}
}

func run(flaw string) error {
	path, ok := strings.CutPrefix(os.Getenv("DATABASE_URL"), "sqlite:")
	if !ok {
		return errors.New("DATABASE_URL must be sqlite:FILE")
	}
	db, err := sqlite.Open(path)
	if err != nil {
		return err
	}
	store, ok := map[string]parley.Store{
		"":          db,
		"early":     early{db},
		"forgetful": forgetful{db},
	}[flaw]
	if !ok {
		return fmt.Errorf("there is no flaw %q", flaw)
	}
	chat, err := parley.New(parley.Config{Bot: parley.BotFunc(testify), Store: store})
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() {
		served <- http.ListenAndServe(net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT")), chat.Handler())
	}()
	select {
	case err := <-served:
		return err
	case err := <-db.Broken():
		return err
	}
}

// testify answers with something that was never said before, after a while or
// at once.
func testify(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
	name := rand.Text()
	if name[0] < 'E' { // one in eight
		select {
		case <-ctx.Done():
			return parley.Reply{}, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return parley.Text(fmt.Sprintf("%s answers turn %d: %s", name, turn.Seq, turn.Prompt)), nil
}
