package parley

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
)

// Config says what a [Chat] is made of. Only Bot is required; the zero value of
// every other field is a sane default.
type Config struct {
	// Bot answers the prompts.
	Bot Bot
	// Store keeps the turns. Nil means a [Memory]. Whoever opened a store closes
	// it, after Shutdown.
	Store Store
	// Forms are endpoints that take what visitors fill in: the form with the id
	// "feedback" is posted to /forms/feedback. The form "contact" is always
	// there, at /contact-form. SubmitURL is ignored.
	Forms map[string]Form
	// AllowedOrigins are the origins of the pages that may use the chat, such as
	// "https://example.com", "https://*.example.com", or "*" for any. The
	// server's own origin always may. None means loopback origins on any port.
	AllowedOrigins []string
	// Middleware stands around /chat and the forms, the first outermost, within
	// CORS: its refusals can be read by the page, and preflights do not reach it.
	Middleware []func(http.Handler) http.Handler
	// BaseURL is where visitors reach this server; see [Turn.BaseURL]. Empty
	// means what each request says.
	BaseURL string
	// MaxPrompt is the length of the longest prompt, in UTF-16 code units as
	// JavaScript counts them. 0 means 1000.
	MaxPrompt int
	// RequireSession refuses messages without a session, which are answered as
	// conversations of one turn otherwise.
	RequireSession bool
	// OpenSessions lets a guessable session id continue a conversation that
	// another client began. Whoever guesses the id talks to a bot that remembers
	// what somebody else said: a relaxation, for compatibility only.
	OpenSessions bool
	// SessionTTL is how long after its last message a conversation is
	// remembered. 0 means one hour.
	SessionTTL time.Duration
	// Retention is how long records are kept. 0 means 30 days, or a day (or
	// SessionTTL, if that is longer) where Store is nil. What is not kept is not
	// remembered either, and an idempotency key ends with its turn.
	Retention time.Duration
	// AnswerTimeout is the most time that a turn may take, waiting for earlier
	// turns of its session included. 0 means 60 seconds.
	AnswerTimeout time.Duration
	// MaxTurns is how many turns may run or wait at once; more are refused with
	// 503. 0 means 4096.
	MaxTurns int
	// Logger gets what an operator must know. Nil means [slog.Default].
	Logger *slog.Logger
}

const (
	// leaveGrace is how long an answer that nobody waits for any more goes on, so
	// that a client that tries again finds it.
	leaveGrace = time.Second
	// twinWindow is how long after the end of a turn the same prompt without an
	// idempotency key is the same message, sent again by a client that did not
	// get the answer.
	twinWindow = 2 * time.Second
	// keyLife is how long an idempotency key names its turn.
	keyLife = 24 * time.Hour
	// storeTimeout bounds each store call that goes on after the client left.
	storeTimeout = 10 * time.Second
)

// Chat is the engine: it takes prompts, has the bot answer them, and keeps the
// turns. Make it with [New]. Its methods are safe for concurrent use.
type Chat struct {
	cfg      Config
	bot      Bot
	store    Store
	notifier Notifier // nil where the store has none
	log      *slog.Logger
	sessions sessions
	tokens   tokens
	origins  origins
	forms    map[string]*formEndpoint
	lanes    lanes
	sweeper  sweeper
	refused  atomic.Int64 // when a refusal was last logged, in seconds
}

// New returns a running Chat, or every [Problem] of cfg at once. It reads the
// store's secret, so it needs the store to be there.
func New(cfg Config) (*Chat, error) {
	var ps Problems
	if cfg.Bot == nil {
		ps.Add("Bot", "is missing: without a bot nobody answers")
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"SessionTTL", cfg.SessionTTL}, {"Retention", cfg.Retention}, {"AnswerTimeout", cfg.AnswerTimeout}} {
		if d.value < 0 {
			ps.Add(d.name, "%v is negative", d.value)
		}
	}
	if cfg.MaxPrompt < 0 {
		ps.Add("MaxPrompt", "%d is negative", cfg.MaxPrompt)
	}
	if cfg.MaxTurns < 0 {
		ps.Add("MaxTurns", "%d is negative", cfg.MaxTurns)
	}
	origins, err := parseOrigins(cfg.AllowedOrigins)
	ps.AddAll("AllowedOrigins", err)
	forms, err := newFormEndpoints(cfg.Forms)
	ps.AddAll("Forms", err)
	if cfg.BaseURL != "" {
		ps.AddAll("BaseURL", checkBaseURL(cfg.BaseURL))
	}
	if err := ps.Err(); err != nil {
		return nil, err
	}

	cfg.MaxPrompt = cmp.Or(cfg.MaxPrompt, 1000)
	cfg.SessionTTL = cmp.Or(cfg.SessionTTL, time.Hour)
	cfg.AnswerTimeout = cmp.Or(cfg.AnswerTimeout, time.Minute)
	cfg.MaxTurns = cmp.Or(cfg.MaxTurns, 4096)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	if cfg.Store == nil {
		cfg.Store = NewMemory()
		cfg.Retention = cmp.Or(cfg.Retention, max(cfg.SessionTTL, keyLife))
	}
	cfg.Retention = cmp.Or(cfg.Retention, 30*24*time.Hour)

	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	secret, err := cfg.Store.Secret(ctx, "sessions")
	if err != nil {
		return nil, fmt.Errorf("read the session secret: %w", err)
	}
	c := &Chat{
		cfg:     cfg,
		bot:     cfg.Bot,
		store:   cfg.Store,
		log:     cfg.Logger,
		tokens:  tokens{secret: secret, ttl: cfg.SessionTTL},
		origins: origins,
		forms:   forms,
	}
	c.notifier, _ = cfg.Store.(Notifier)
	c.sessions.init(secret, cfg.OpenSessions)
	c.lanes.init(cfg.MaxTurns, cfg.AnswerTimeout, c.takeTurn)
	c.sweeper.start(c.sweep, min(max(cfg.Retention/20, time.Second), 10*time.Minute))
	return c, nil
}

// Shutdown stops taking prompts, waits for the turns that run until ctx ends,
// and stops what Chat does in the background. Turns that still run then are
// cancelled, and waited for a second more; Shutdown returns ctx's error. The
// store may be closed after it returned.
func (c *Chat) Shutdown(ctx context.Context) error {
	err := c.lanes.drain(ctx)
	c.sweeper.stop()
	return err
}

// A Request is one message from a visitor.
type Request struct {
	Session string // the client's session id; empty for none
	Prompt  string
	Key     string // idempotency key; empty for none
	Client  string // who sends it: the same for every message of one client, hard to take for another
	BaseURL string // see Turn.BaseURL

	token *sessionToken // verified; names the session in place of Session
}

// hasSession reports whether the message belongs to a conversation that is
// remembered.
func (q Request) hasSession() bool { return q.Session != "" || q.token != nil }

// Answer takes a message and returns the reply once its turn is committed. A
// message that is sent twice, with the same key, or without one while the first
// is being answered or within two seconds of its answer, is one turn with one
// reply. The turn goes on for a second after ctx ended, for a client that
// tries again.
//
// Its errors are of type [*Error].
func (c *Chat) Answer(ctx context.Context, q Request) (Reply, error) {
	return c.answer(ctx, q, nil)
}

// answer is Answer, with a stream that gets what the bot emits meanwhile, or
// nil.
func (c *Chat) answer(ctx context.Context, q Request, s *answerStream) (Reply, error) {
	if err := c.check(q); err != nil {
		return Reply{}, err
	}
	trace := traceOf(ctx)
	job := job{Request: q, session: c.sessions.key(q), arrived: time.Now()}
	trace.Prompt, trace.Session = q.Prompt, job.session
	flight, err := c.lanes.join(job)
	if err != nil {
		c.logRefusal(err)
		return Reply{}, err
	}
	return c.lanes.wait(ctx, flight, s)
}

// logRefusal logs why a message was not taken, once a second at most: there may
// be thousands.
func (c *Chat) logRefusal(err error) {
	now, last := time.Now().Unix(), c.refused.Load()
	if cause := errors.Unwrap(err); cause != nil && now != last && c.refused.CompareAndSwap(last, now) {
		c.log.Warn("messages are refused", "error", cause)
	}
}

// maxKey is the longest idempotency key, in bytes.
const maxKey = 255

// checkKey reports whether a client may send key: visible ASCII, or none.
func checkKey(key string) bool {
	return len(key) <= maxKey && strings.IndexFunc(key, func(r rune) bool { return r < '!' || r > '~' }) < 0
}

// check holds a message against the contract's rules, in their order.
func (c *Chat) check(q Request) error {
	invalid := func(message string) error { return &Error{Code: CodeInvalid, Message: message} }
	switch {
	case isBlank(q.Prompt):
		return invalid("Invalid prompt")
	case !q.hasSession() && c.cfg.RequireSession, q.Session != "" && !checkSessionID(q.Session):
		return invalid("Invalid session_id")
	case utf16Len(q.Prompt) > c.cfg.MaxPrompt:
		return invalid("Prompt too long")
	case !checkKey(q.Key):
		return invalid("Invalid Idempotency-Key")
	}
	return nil
}

// isBlank reports whether nothing is left of s after trimming, by the white
// space of JavaScript, which counts U+FEFF, and of Unicode.
func isBlank(s string) bool {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r == '\uFEFF' }) == ""
}

// utf16Len returns the length of s in UTF-16 code units.
func utf16Len(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r > 0xFFFF {
			n++
		}
	}
	return n
}

// takeTurn takes a message from its beginning to its commit. It runs in a
// goroutine of its own, so a panic, which only a store can still cause here,
// would end the process.
func (c *Chat) takeTurn(f *flight) (reply Reply, err error) {
	ctx, j := f.ctx, f.job
	defer func() {
		if p := recover(); p != nil {
			reply, err = Reply{}, c.storeFailed("take a turn", j.session, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	if j.elsewhere != nil {
		f.preview.begin(*j.elsewhere)
		reply, err = c.answerElsewhere(ctx, *j.elsewhere, &f.preview, true)
		if errors.Is(err, errTakenOver) {
			err = unavailable(err) // who sent the message may send it again
		}
		return reply, err
	}
	for lost := false; ; {
		begun, err := c.begin(f)
		switch {
		case err != nil:
			return Reply{}, err
		case begun.Reply != nil:
			return *begun.Reply, nil
		case begun.Fresh:
			reply, err = c.answerHere(f, begun)
			lost = true
		default:
			// One that lost its turn takes none from another: two nodes that do not
			// hear each other would do so for ever.
			reply, err = c.answerElsewhere(ctx, begun.Record, &f.preview, !lost)
		}
		if !errors.Is(err, errTakenOver) {
			return reply, err
		}
	}
}

// answerHere has the bot answer a turn that was begun, and commits its reply.
// With errTakenOver another node took this one for dead meanwhile.
func (c *Chat) answerHere(f *flight, begun Begun) (reply Reply, err error) {
	defer c.share(f, begun.Record)()
	if err = c.awaitBehind(f.ctx, begun); err == nil {
		reply, err = c.ask(f, begun.Record)
	}
	// What follows must happen whether or not somebody still waits.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.ctx), storeTimeout)
	defer cancel()
	if err == nil {
		err = c.store.Finish(ctx, begun.Record, reply, time.Now())
		switch {
		case err == nil:
			return reply, nil
		case errors.Is(err, ErrTakenBack):
			c.log.Warn("another node took over a turn that was answered here", "session", shortSession(begun.Session), "seq", begun.Seq)
			return Reply{}, errTakenOver
		}
		err = c.storeFailed("finish a turn", begun.Session, err)
	}
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), storeTimeout) // Finish may have used up the other
	defer cancel()
	if abandonErr := c.store.Abandon(ctx, begun.Record); abandonErr != nil {
		c.storeFailed("abandon a turn", begun.Session, abandonErr)
	}
	return Reply{}, err
}

// begin begins the turn of a message, or finds the one that it began before.
func (c *Chat) begin(f *flight) (Begun, error) {
	j, now := f.job, time.Now()
	restSince := now.Add(-c.cfg.SessionTTL)
	if !j.hasSession() {
		restSince = now // nothing is remembered
	}
	begun, err := c.store.Begin(f.ctx, NewTurn{
		Session: j.session, Key: j.Key, Prompt: j.Prompt, Time: now,
		RestSince:  restSince,
		KeysSince:  j.arrived.Add(-keyLife),
		TwinsSince: j.arrived.Add(-twinWindow),
		DeadBefore: c.deadBefore(now),
	})
	switch {
	case errors.Is(err, ErrKeyReused):
		return Begun{}, errKeyReused
	case err != nil:
		return Begun{}, c.storeFailed("begin a turn", j.session, err)
	}
	f.preview.begin(begun.Record)
	return begun, nil
}

// ask has the bot answer and checks what it says. Its errors are logged.
func (c *Chat) ask(f *flight, record Record) (Reply, error) {
	ctx, j := f.ctx, f.job
	turn := &Turn{ID: turnID(record), Session: j.session, Seq: record.Seq, Prompt: j.Prompt, Time: record.Began, BaseURL: j.BaseURL}
	if !j.hasSession() {
		turn.Session, turn.Seq = "", 1
	} else {
		turn.history = func(ctx context.Context, turns int) ([]Message, error) {
			return c.history(ctx, record, turns)
		}
	}
	reply, err := c.callBot(ctx, turn, f.preview.add)
	if err == nil {
		return reply, nil
	}
	log := c.log.With("session", shortSession(j.session), "seq", record.Seq)
	switch {
	case errors.Is(err, ErrPass):
		log.Warn("no bot had an answer", "error", err)
		return Text(apologyNoAnswer), nil
	case errors.Is(ctx.Err(), context.Canceled):
		log.Info("the answer was given up, because nobody waits for it", "error", err)
		return Reply{}, unavailable(err)
	case ctx.Err() != nil:
		log.Warn("the answer was given up", "error", err)
		return Reply{}, unavailable(err)
	default:
		log.Error("the bot failed", "error", err)
		return Reply{}, asError(err)
	}
}

// callBot calls the bot, checks its reply, and turns a panic of either into an
// error: a bot may bring content of its own making.
func (c *Chat) callBot(ctx context.Context, turn *Turn, emit func(string)) (reply Reply, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	reply, err = c.bot.Reply(ctx, turn, emit)
	reply.Text = strings.ToValidUTF8(reply.Text, "\uFFFD") // as JSON would, so that a replay is the same
	if err == nil {
		if err = reply.Validate(); err != nil {
			err = fmt.Errorf("invalid reply: %w", err)
		}
	}
	return reply, err
}

// turnID names a turn; see [Turn.ID]. One that failed may have the same session
// and number as the next, but not the same beginning.
func turnID(r Record) string {
	return fmt.Sprintf("%s-%d-%s", r.Session, r.Seq, strconv.FormatInt(r.Began.UnixMicro(), 36))
}

// history reads the answered turns of a record's stretch that came before it.
func (c *Chat) history(ctx context.Context, record Record, turns int) ([]Message, error) {
	records, err := c.store.Transcript(ctx, Page{Session: record.Session, From: record.First, Before: record.Seq, Limit: turns})
	if err != nil {
		return nil, c.storeFailed("read a history", record.Session, err)
	}
	messages := make([]Message, 0, 2*len(records))
	for _, r := range records {
		// What nobody had an answer to is not said again by a bot that reads it.
		if r.Reply != nil && r.Reply.Text != apologyNoAnswer {
			messages = append(messages,
				Message{RoleUser, r.Prompt, r.Began},
				Message{RoleAssistant, r.Reply.PlainText(), r.Ended})
		}
	}
	return messages, nil
}

// storeFailed logs that the store could not do something, and returns what to
// tell the visitor.
func (c *Chat) storeFailed(what, session string, err error) error {
	c.log.Error("the store failed", "to", what, "session", shortSession(session), "error", err)
	if isUnavailable(err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return unavailable(err)
	}
	return &Error{Code: CodeInternal, Message: apologyInternal, Err: err}
}

// isUnavailable reports whether an error of a store passes by itself.
func isUnavailable(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == CodeUnavailable
}

// shortSession is how a session is named in logs.
func shortSession(key string) string { return key[:min(8, len(key))] }
