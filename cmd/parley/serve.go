package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/cmd/parley/internal/config"
)

func (p *program) serveCommand() command {
	return command{
		name:    "serve",
		summary: "Answer the chat; what parley does without a command",
		about:   "Every flag is a setting. It can also be an environment variable, a line of .env or a line of parley.yaml; what stands first here wins.",
		flags: func(fs *flag.FlagSet) func(context.Context, []string) error {
			flags := settingFlags{}.register(fs)
			return func(ctx context.Context, _ []string) error { return p.serve(ctx, flags) }
		},
	}
}

// The times that things may take. Reading a body, the longest ANSWER_TIMEOUT, its
// grace and a slow commit fit into writeTimeout.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 100 * time.Second
	idleTimeout       = 60 * time.Second

	drainTimeout = 25 * time.Second // for the turns that run when the server is told to stop
	closeTimeout = 3 * time.Second  // and then for sending their answers
)

const maxHeaderBytes = 16 << 10

// heapHeadroom is memory that is set aside and never touched, so it costs none.
// The collector runs when the heap has doubled; a server with next to nothing in
// its heap would run it dozens of times a second. With this much more, it runs
// when so many bytes of garbage are there.
const heapHeadroom = 12 << 20

// serve runs the server until it is told to stop.
func (p *program) serve(ctx context.Context, flags settingFlags) error {
	cfg, err := p.load(flags)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	listener, err := listen(cfg)
	if err != nil {
		return err
	}
	defer listener.Close()
	log, logs, err := newLogger(p.stdout, cfg)
	if err != nil {
		return misplaced(cfg, "log_file", err)
	}
	defer logs.Close()
	gate := &gate{}
	server := newServer(gate, log)
	served := make(chan error, 1)
	serve := func() { served <- server.Serve(listener) }
	opening := make(chan opened, 1)
	go func() { opening <- openAll(ctx, cfg, log) }()
	var o opened
	select {
	case o = <-opening:
		if o.err != nil {
			return unlessTold(ctx, o.err)
		}
		gate.open(o.handler)
		go serve()
	case <-time.After(openPatience):
		// Until the store is there, everything that needs it is refused.
		refusing, handler, err := wire(cfg, awayStore{}, log)
		if err != nil {
			return err
		}
		gate.open(handler)
		go serve()
		o = <-opening
		if o.err != nil {
			log.Info("stopping")
			return errors.Join(unlessTold(ctx, o.err), shutdown(refusing, server, drainTimeout))
		}
		gate.open(o.handler)
		refusing.Shutdown(ctx)
	}
	fmt.Fprint(p.stderr, screen(cfg, listener.Addr()))
	log.Info("started", "version", parleyVersion(), "address", listener.Addr().String())
	err = untilStopped(ctx, log, o.chat, server, served, broken(o.store))
	if closeErr := o.store.Close(); err == nil {
		err = closeErr
	}
	return err
}

// unlessTold returns why a store was not opened, unless ctx ended while it was
// waited for.
func unlessTold(ctx context.Context, err error) error {
	if ctx.Err() != nil && (isAway(err) || errors.Is(err, context.Canceled)) {
		return nil
	}
	return err
}

// A gate has requests answered by the handler that is set at the time.
type gate struct{ handler atomic.Pointer[http.Handler] }

func (g *gate) open(h http.Handler) { g.handler.Store(&h) }

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*g.handler.Load()).ServeHTTP(w, r)
}

// untilStopped waits until ctx ends or something breaks, and shuts down.
func untilStopped(ctx context.Context, log *slog.Logger, chat *parley.Chat, server *http.Server, served, broken <-chan error) error {
	headroom := make([]byte, heapHeadroom)
	defer runtime.KeepAlive(headroom)
	drain := drainTimeout
	// What ends the server is told twice: here to whoever reads the log, and by
	// main to the person at the terminal.
	var err error
	select {
	case <-ctx.Done():
		log.Info("stopping")
	case err = <-served:
		log.Error("the server failed", "error", err)
	case err = <-broken:
		err = fmt.Errorf("the database can no longer be relied on: %w", err)
		log.Error("the store is broken", "error", err)
		drain = 0 // what is answered now cannot be kept
	}
	err = errors.Join(err, shutdown(chat, server, drain))
	log.Info("stopped")
	return err
}

// listen takes the port.
func listen(cfg *config.Config) (net.Listener, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %d is already in use: stop the other program or set PORT=%d", cfg.Port, cfg.Port%65535+1)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("port %d is not open to this user: set PORT=3001, and let a proxy pass port %d on", cfg.Port, cfg.Port)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s is not an address of this computer: set HOST to one that is, or leave it empty", cfg.Host)
	case err != nil:
		return nil, fmt.Errorf("cannot listen where HOST=%s and PORT=%d say: %w", cfg.Host, cfg.Port, err)
	}
	return listener, nil
}

// misplaced returns err as a problem with a setting where the setting names a
// file that can be nowhere.
func misplaced(cfg *config.Config, setting string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, syscall.EISDIR) {
		return err
	}
	return config.Problems{{Where: cfg.Origin(setting), Reason: err.Error() + "; name a file in a folder that exists"}}
}

func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	fresh := &freshConns{conns: map[net.Conn]bool{}}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         fresh.track,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		// OPTIONS * is no exception: the handler answers it, and logs it.
		DisableGeneralOptionsHandler: true,
	}
	server.RegisterOnShutdown(fresh.close)
	return server
}

// untilSignal returns a context that ends when the process is told to stop. A
// second signal ends the process at once.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(exitFailure)
	}()
	return ctx, cancel
}

// broken returns where a store says that it can no longer keep its promises.
func broken(store parley.Store) <-chan error {
	if s, ok := store.(interface{ Broken() <-chan error }); ok {
		return s.Broken()
	}
	return nil
}

// shutdown refuses new messages, waits for the turns that run, at most as long
// as drain, and then for their answers to be sent. From the beginning every
// answer ends its connection, so that clients and proxies go elsewhere.
func shutdown(chat *parley.Chat, server *http.Server, drain time.Duration) error {
	server.SetKeepAlivesEnabled(false)
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	err := chat.Shutdown(ctx)
	if err != nil && drain > 0 {
		err = errors.New("some answers took too long and were cut off")
	}
	ctx, cancel = context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		server.Close() // what is left are clients that do not read
	}
	return err
}
