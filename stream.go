package parley

import (
	"errors"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const eventStream = "text/event-stream"

const (
	// heartbeatEvery is how long a stream may be silent once it is open, or
	// somebody on the way may take it for dead.
	heartbeatEvery = 15 * time.Second
	// writeTimeout is how long a client may leave unread what is sent to it, and
	// up to deadlineSlack more, because setting a deadline costs as much as
	// writing a token does.
	writeTimeout  = 10 * time.Second
	deadlineSlack = 2 * time.Second
)

// An answerStream answers one request with server-sent events (HTML standard,
// section 9.2): "delta" for each piece of text, and then "reply" or "error". Its
// header goes out with the first event, so until then a failure is an ordinary
// answer with a status of its own.
//
// The id of an event says how much of which turn the client has seen, such as
// "3-mh2wk3v0-120": 120 bytes of turn 3, which began at that time, because the
// number of a turn that failed is given again. A client that comes back with it
// as Last-Event-ID goes on from there.
//
// A nil answerStream is that of a client that wants the reply only.
type answerStream struct {
	w      http.ResponseWriter
	out    *http.ResponseController
	http1  bool         // an old deadline does no harm
	until  time.Time    // what the write deadline is, with HTTP/1
	prompt bool         // the client did not send the prompt, and must be told
	seen   string       // the Last-Event-ID of the request
	beats  *time.Ticker // runs while the stream is open

	turn  string    // how ids name the turn; empty while that is not known
	began time.Time // when the turn did
	from  int       // how much of its text was sent, in bytes

	event []byte // the last one, whose memory the next one takes
}

// newAnswerStream returns a stream for a request that asks for one, or nil.
func newAnswerStream(w http.ResponseWriter, r *http.Request) *answerStream {
	if !acceptsStream(r.Header) {
		return nil
	}
	return openStream(w, r)
}

// openStream returns a stream for a request.
func openStream(w http.ResponseWriter, r *http.Request) *answerStream {
	return &answerStream{w: w, out: http.NewResponseController(w), http1: r.ProtoMajor == 1, seen: r.Header.Get("Last-Event-ID")}
}

// acceptsStream reports whether a request asks for events by name (RFC 9110,
// section 12.5.1). How much it prefers them to JSON makes no difference: who
// cannot read them does not name them.
func acceptsStream(h http.Header) bool {
	for _, line := range h["Accept"] {
		for accept := range strings.SplitSeq(line, ",") {
			mediaType, params, err := mime.ParseMediaType(accept)
			if q, qErr := strconv.ParseFloat(params["q"], 64); err == nil && mediaType == eventStream && (qErr != nil || q > 0) {
				return true
			}
		}
	}
	return false
}

// follow sends what there is of a preview, and returns what is closed when
// there is more. An error means that the client is gone.
func (s *answerStream) follow(p *preview) (grown <-chan struct{}, err error) {
	if s == nil {
		return nil, nil
	}
	for {
		turn, text, end, grown := p.since(s.from)
		switch {
		case s.turn == "" && turn.Seq > 0:
			if err := s.begin(turn); err != nil {
				return nil, err
			}
		case s.turn != "" && !turn.Began.Equal(s.began) && s.beats == nil:
			s.turn, s.from = "", 0 // nothing of the one before was sent
		case s.turn != "" && !turn.Began.Equal(s.began):
			// Another turn answers the message now: its reply is all that fits here.
			_, _, _, grown := p.since(math.MaxInt)
			return grown, nil
		case text == "":
			return grown, nil
		default:
			s.from = end
			if err := s.send("delta", deltaEvent{strings.ToValidUTF8(text, "\uFFFD")}); err != nil {
				return nil, err
			}
		}
	}
}

type deltaEvent struct {
	Text string `json:"text"`
}

type promptEvent struct {
	Seq    int       `json:"seq"`
	Prompt string    `json:"prompt"`
	Time   time.Time `json:"time"`
}

type errorEvent struct {
	Status int `json:"status"`
	errorMessage
}

// begin takes up the turn that is streamed.
func (s *answerStream) begin(turn Record) error {
	s.began = turn.Began
	s.turn = strconv.Itoa(turn.Seq) + "-" + strconv.FormatInt(turn.Began.UnixMilli(), 36)
	if seen, ok := strings.CutPrefix(s.seen, s.turn+"-"); ok {
		if from, err := strconv.ParseUint(seen, 10, 31); err == nil {
			s.from = int(from)
		}
	}
	if !s.prompt {
		return nil
	}
	return s.send("prompt", promptEvent{turn.Seq, turn.Prompt, turn.Began.UTC().Truncate(time.Millisecond)})
}

// beat is told when the stream was silent for long. It is nil while the stream
// is not open.
func (s *answerStream) beat() <-chan time.Time {
	if s == nil || s.beats == nil {
		return nil
	}
	return s.beats.C
}

// keepAlive sends a comment, which clients ignore.
func (s *answerStream) keepAlive() error { return s.write([]byte(":\n\n")) }

// end sends the last event, or an ordinary answer where none was sent before
// and there is an error.
func (s *answerStream) end(reply Reply, err error) {
	if s.beats != nil {
		defer s.beats.Stop()
	}
	defer s.out.SetWriteDeadline(time.Now().Add(writeTimeout)) // for what net/http still writes
	switch {
	case err == nil:
		s.send("reply", reply)
	case s.beats == nil:
		WriteError(s.w, err)
	default:
		status, body := errorBody(err)
		s.send("error", errorEvent{status, body})
	}
}

// send sends an event. JSON has no line ends of its own, so its data is a line.
func (s *answerStream) send(event string, v any) error {
	data, err := encodeJSON(v)
	if err != nil { // v is ours or was encoded before
		panic(err)
	}
	if s.beats == nil {
		s.beats = time.NewTicker(heartbeatEvery)
		h := s.w.Header()
		h["Content-Type"] = []string{eventStream}
		h["Cache-Control"] = noStore
		h["X-Accel-Buffering"] = []string{"no"} // nginx: pass it on as it comes
		s.w.WriteHeader(http.StatusOK)
	}
	s.beats.Reset(heartbeatEvery)
	s.event = append(append(s.event[:0], "id: "...), s.turn...)
	s.event = strconv.AppendInt(append(s.event, '-'), int64(s.from), 10)
	s.event = append(append(s.event, "\nevent: "...), event...)
	s.event = append(append(s.event, "\ndata: "...), data...)
	return s.write(append(s.event, "\n\n"...))
}

func (s *answerStream) write(data []byte) error {
	// Where there can be no deadline, the server's own holds.
	switch now := time.Now(); {
	case !s.http1:
		// It is taken back afterwards: one that passes between two events resets a
		// stream of HTTP/2.
		s.out.SetWriteDeadline(now.Add(writeTimeout))
		defer s.out.SetWriteDeadline(time.Time{})
	case s.until.Sub(now) < writeTimeout:
		s.until = now.Add(writeTimeout + deadlineSlack)
		s.out.SetWriteDeadline(s.until)
	}
	if _, err := s.w.Write(data); err != nil {
		return err
	}
	if err := s.out.Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// serveStream lets a client follow the turn that its session is being answered,
// after it lost its connection or in another window. The first event, "prompt",
// says which turn that is. While none is answered, there is no content.
func (c *Chat) serveStream(w http.ResponseWriter, r *http.Request) {
	token, err := c.requireToken(w, r)
	if err != nil {
		WriteError(w, err)
		return
	}
	session := c.sessions.key(Request{token: token})
	f, err := c.lanes.attach(session)
	if f == nil && err == nil {
		f, err = c.attachElsewhere(r.Context(), session)
	}
	switch {
	case err != nil:
		WriteError(w, err)
		return
	case f == nil:
		w.Header()["Cache-Control"] = noStore
		w.WriteHeader(http.StatusNoContent)
		return
	case r.Method == http.MethodHead:
		c.lanes.leave(f)
		w.Header()["Content-Type"] = []string{eventStream}
		w.Header()["Cache-Control"] = noStore
		return
	}
	s := openStream(w, r)
	s.prompt = true
	s.end(c.lanes.wait(r.Context(), f, s))
}
