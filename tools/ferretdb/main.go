// Command ferretdb is a server that speaks MongoDB's wire protocol, for tests
// where no MongoDB can be had. It keeps its data in SQLite files, prints the
// URL at which it answers, and runs until its standard input ends.
//
//	ferretdb -dir DIR -listen 127.0.0.1:0
//
// MongoDB changes one document in one step. FerretDB's SQLite handler reads it,
// and then writes it. So the commands of all connections are let through one
// after the other, which is all the atomicity that is added: what two clients
// do command by command still comes in any order.
package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	dir := flag.String("dir", ".", "where the data is kept")
	listen := flag.String("listen", "127.0.0.1:0", "the address to answer at")
	flag.Parse()
	// What was written survives the end of the process, which is what tests end;
	// nobody cuts the power.
	server, err := ferretdb.New(&ferretdb.Config{
		Handler:   "sqlite",
		SQLiteURL: "file:" + *dir + "/?_pragma=synchronous(off)",
		Listener:  ferretdb.ListenerConfig{TCP: "127.0.0.1:0"},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(server.Run(context.Background())) }()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0) // whoever started it is gone
	}()
	backend := strings.Trim(strings.TrimPrefix(server.MongoDBURI(), "mongodb://"), "/")

	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("mongodb://%s/\n", listener.Addr())
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(client, backend)
	}
}

// oneByOne is held by the command that is under way.
var oneByOne sync.Mutex

// serve passes the commands of one client on, each with its answer.
func serve(client net.Conn, address string) {
	defer client.Close()
	backend, err := net.Dial("tcp", address)
	if err != nil {
		log.Print(err)
		return
	}
	defer backend.Close()
	for {
		command, err := readMessage(client)
		if err != nil {
			return
		}
		answer, err := ask(backend, command)
		if err != nil {
			return
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
	}
}

func ask(backend net.Conn, command []byte) (answer []byte, err error) {
	oneByOne.Lock()
	defer oneByOne.Unlock()
	if _, err := backend.Write(command); err != nil {
		return nil, err
	}
	return readMessage(backend)
}

// readMessage reads one message, which begins with its length.
func readMessage(conn net.Conn) ([]byte, error) {
	const mostBytes = 48_000_000 // see MongoDB's maxMessageSizeBytes
	message := make([]byte, 16)
	if _, err := io.ReadFull(conn, message); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint32(message)
	if length < 16 || length > mostBytes {
		return nil, fmt.Errorf("a message of %d bytes", length)
	}
	message = append(message, make([]byte, length-16)...)
	_, err := io.ReadFull(conn, message[16:])
	return message, err
}
