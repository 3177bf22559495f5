package parley_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-chat/parley"
)

// A speaker emits its pieces, one each second, and then returns what it is told
// to, by default the pieces as one reply.
type speaker struct {
	pieces    []string
	reply     string
	err       error
	cancelled time.Time
}

func (s *speaker) Reply(ctx context.Context, turn *parley.Turn, emit func(string)) (parley.Reply, error) {
	for _, piece := range s.pieces {
		select {
		case <-ctx.Done():
			s.cancelled = time.Now()
			return parley.Reply{}, ctx.Err()
		case <-time.After(time.Second):
		}
		emit(piece)
	}
	if s.reply == "" {
		return parley.Text(strings.Join(s.pieces, "")), s.err
	}
	return parley.Text(s.reply), s.err
}

// A watched is a request under way, whose answer is read while it comes.
type watched struct {
	*httptest.ResponseRecorder
	mu    sync.Mutex
	done  chan struct{}
	leave context.CancelFunc
}

func (w *watched) Write(data []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ResponseRecorder.Write(data)
}

// watch sends a request that asks for events. Headers are names and values in turn.
func watch(h http.Handler, method, path, body string, headers ...string) *watched {
	ctx, leave := context.WithCancel(context.Background())
	r := httptest.NewRequest(method, path, strings.NewReader(body)).WithContext(ctx)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "text/event-stream, application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := &watched{ResponseRecorder: httptest.NewRecorder(), done: make(chan struct{}), leave: leave}
	go func() {
		defer close(w.done)
		h.ServeHTTP(w, r)
	}()
	return w
}

func (w *watched) want(t *testing.T, when, events string) {
	t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := w.Body.String(); got != events {
		t.Errorf("%s, the client has\n%s\nwant\n%s", when, got, events)
	}
}

// id names so many bytes of the first turn of a session that began with its
// bubble, whose clock always starts at the same time.
func id(bytes int) string { return fmt.Sprint("1-c2wfoqo0-", bytes) }

func delta(bytes int, text string) string {
	return event(bytes, "delta", fmt.Sprintf(`{"text":%q}`, text))
}

func event(bytes int, name, data string) string {
	return fmt.Sprintf("id: %s\nevent: %s\ndata: %s\n\n", id(bytes), name, data)
}

func TestStreamComesAsItIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newChat(t, parley.Config{Bot: &speaker{pieces: []string{"Hel", "lo"}, reply: "Hello!"}}).Handler()
		w := watch(h, "POST", "/chat", hello, "Idempotency-Key", "k")
		time.Sleep(time.Second)
		w.want(t, "after a second", delta(3, "Hel"))
		<-w.done
		w.want(t, "at the end", delta(3, "Hel")+delta(5, "lo")+event(5, "reply", `{"output":"Hello!"}`))
		for name, value := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"} {
			if got := w.Header().Get(name); got != value {
				t.Errorf("%s is %q; want %q", name, got, value)
			}
		}
		wantAnswer(t, "the same message without a stream", post(h, "/chat", hello, "Idempotency-Key", "k"), 200, `{"output":"Hello!"}`)
		again := watch(h, "POST", "/chat", hello, "Idempotency-Key", "k")
		<-again.done
		again.want(t, "once more", event(0, "reply", `{"output":"Hello!"}`))
	})
}

func TestStreamOfABotThatAnswersInOnePiece(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(newChat(t, parley.Config{Bot: parley.BotFunc(sayBack)}).Handler(), "POST", "/chat", hello)
		<-w.done
		w.want(t, "at the end", event(0, "reply", `{"output":"You said: Hello"}`))
	})
}

func TestErrorBeforeTheFirstPieceIsAnOrdinaryAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newChat(t, parley.Config{Bot: &speaker{reply: "-", err: errors.New("broken")}}).Handler()
		w := watch(h, "POST", "/chat", hello)
		<-w.done
		wantAnswer(t, "a bot that fails at once", w.ResponseRecorder, 500, `{"output":"I'm sorry, I'm experiencing technical difficulties. Please try again."}`)
		w = watch(h, "POST", "/chat", `{}`)
		<-w.done
		wantAnswer(t, "a bad message", w.ResponseRecorder, 400, `{"error":"Invalid prompt"}`)
	})
}

func TestErrorAfterTheFirstPieceIsAnEvent(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		last string
	}{
		{"a bot that breaks", errors.New("broken"), event(2, "error", `{"status":500,"output":"I'm sorry, I'm experiencing technical difficulties. Please try again."}`)},
		{"a provider that fails", &parley.Failure{Err: errors.New("cut")}, event(2, "reply", `{"output":"I'm having trouble processing your request. Please try again."}`)},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := watch(newChat(t, parley.Config{Bot: &speaker{pieces: []string{"He"}, err: test.err}}).Handler(), "POST", "/chat", hello)
				<-w.done
				w.want(t, "at the end", delta(2, "He")+test.last)
			})
		})
	}
}

func TestStreamSendsWholeCharacters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(newChat(t, parley.Config{Bot: &speaker{pieces: []string{"a\xe2", "\x82", "\xac\xf0", "b"}, reply: "a€b"}}).Handler(), "POST", "/chat", hello)
		<-w.done
		w.want(t, "at the end", delta(1, "a")+delta(4, "€")+delta(6, "\uFFFDb")+event(6, "reply", `{"output":"a€b"}`))
	})
}

func TestAClientThatComesBackGoesOnWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bot := &speaker{pieces: []string{"one ", "two ", "three"}}
		h := newChat(t, parley.Config{Bot: bot}).Handler()
		first := watch(h, "POST", "/chat", hello, "Idempotency-Key", "k")
		time.Sleep(time.Second)
		first.leave()
		<-first.done
		time.Sleep(900 * time.Millisecond)
		second := watch(h, "POST", "/chat", hello, "Idempotency-Key", "k", "Last-Event-ID", id(4))
		third := watch(h, "POST", "/chat", hello, "Idempotency-Key", "k", "Last-Event-ID", "7-c2wfoqo0-4")
		<-second.done
		<-third.done
		end := event(13, "reply", `{"output":"one two three"}`)
		second.want(t, "with what it saw", delta(8, "two ")+delta(13, "three")+end)
		third.want(t, "with what it saw of another turn", delta(4, "one ")+delta(8, "two ")+delta(13, "three")+end)
		if !bot.cancelled.IsZero() {
			t.Error("the bot was told to stop, though its client came back")
		}
	})
}

func TestAClientThatStaysAwayStopsTheBot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bot := &speaker{pieces: strings.Split("one two three four five", " ")}
		w := watch(newChat(t, parley.Config{Bot: bot}).Handler(), "POST", "/chat", hello)
		time.Sleep(1500 * time.Millisecond)
		left := time.Now()
		w.leave()
		<-w.done
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if after := bot.cancelled.Sub(left); bot.cancelled.IsZero() || after > 1500*time.Millisecond {
			t.Errorf("the bot was told to stop %v after its client left; want 1.5s or less", after)
		}
	})
}

func TestAnotherWindowFollowsTheTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisitor(t, parley.Config{Bot: &speaker{pieces: []string{"one ", "two"}}})
		follow := func(headers ...string) *watched {
			return watch(v.handler, "GET", "/stream", "", append(headers, "X-Parley-Session", v.token)...)
		}
		nothing := follow()
		<-nothing.done
		wantAnswer(t, "a session where nothing is answered", nothing.ResponseRecorder, 204, "")

		began := time.Now().UTC().Format(time.RFC3339Nano)
		asks := watch(v.handler, "POST", "/chat", `{"prompt":"Hello","session_id":null}`, "X-Parley-Session", v.token)
		time.Sleep(1500 * time.Millisecond)
		all, rest := follow(), follow("Last-Event-ID", id(4))
		asks.leave() // the turn goes on for the others
		<-all.done
		<-rest.done
		prompt := func(bytes int) string {
			return event(bytes, "prompt", fmt.Sprintf(`{"seq":1,"prompt":"Hello","time":%q}`, began))
		}
		end := delta(7, "two") + event(7, "reply", `{"output":"one two"}`)
		all.want(t, "a window that saw nothing", prompt(0)+delta(4, "one ")+end)
		rest.want(t, "a window that saw the beginning", prompt(4)+end)

		for _, token := range []string{"", "v1.forged"} {
			w := watch(v.handler, "GET", "/stream?session_id=s", "", "X-Parley-Session", token)
			<-w.done
			wantAnswer(t, "a client without a valid token", w.ResponseRecorder, 403, `{"error":"Invalid session token"}`)
		}
	})
}

func TestASilentStreamIsKeptAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		bot := emitThen{"Let me think.", release}
		w := watch(newChat(t, parley.Config{Bot: bot}).Handler(), "POST", "/chat", hello)
		time.Sleep(31 * time.Second)
		close(release)
		<-w.done
		w.want(t, "after half a minute", delta(13, "Let me think.")+":\n\n:\n\n"+event(13, "reply", `{"output":"Done."}`))
	})
}

// An emitThen emits a text and answers when it is released.
type emitThen struct {
	text    string
	release chan struct{}
}

func (b emitThen) Reply(ctx context.Context, _ *parley.Turn, emit func(string)) (parley.Reply, error) {
	emit(b.text)
	select {
	case <-b.release:
		return parley.Text("Done."), nil
	case <-ctx.Done():
		return parley.Reply{}, ctx.Err()
	}
}

// Only so many may wait for one turn, or one prompt could hold every connection.
func TestOneTurnIsNotForEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newChat(t, parley.Config{Bot: emitThen{"", make(chan struct{})}}).Handler()
		var all []*watched
		for range 64 {
			all = append(all, watch(h, "POST", "/chat", hello))
		}
		synctest.Wait()
		if w := post(h, "/chat", hello); w.Code != http.StatusServiceUnavailable {
			t.Errorf("the 65th who waits for a turn gets %d; want 503", w.Code)
		}
		for _, w := range all {
			w.leave()
			<-w.done
		}
		time.Sleep(2 * time.Second)
	})
}

// A client that reads nothing is given up, so that it holds no memory.
func TestAClientThatReadsNothingIsLeftBehind(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the 10 s that a client is given; run without -short")
	}
	gone := make(chan struct{})
	flood := parley.Config{AnswerTimeout: time.Minute}
	flood.Bot = floodBot{strings.Repeat("x", 1<<20), gone}
	server := httptest.NewUnstartedServer(newChat(t, flood).Handler())
	server.Config.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		conn.(*net.TCPConn).SetWriteBuffer(4 << 10) // or the system takes it all
		return ctx
	}
	server.Start()
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprintf(conn, "POST /chat HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(hello), hello)
	if line, err := bufio.NewReaderSize(io.LimitReader(conn, 64), 64).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatalf("the stream begins with %q, %v; want 200", line, err)
	}
	select {
	case <-gone:
	case <-time.After(30 * time.Second):
		t.Error("the bot still works for a client that has read nothing for 30 s")
	}
}

// A floodBot emits its text, waits, and says when it was told to stop.
type floodBot struct {
	text string
	gone chan struct{}
}

func (b floodBot) Reply(ctx context.Context, _ *parley.Turn, emit func(string)) (parley.Reply, error) {
	emit(b.text)
	<-ctx.Done()
	close(b.gone)
	return parley.Reply{}, ctx.Err()
}

// Over HTTP/2 a write deadline that passes between two events would reset the
// stream.
func TestASilentStreamLivesOverHTTP2(t *testing.T) {
	if testing.Short() {
		t.Skip("is silent for longer than a write may take; run without -short")
	}
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewUnstartedServer(newChat(t, parley.Config{Bot: emitThen{"Let me think.", release}}).Handler())
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	time.AfterFunc(11*time.Second, func() { close(release) })
	r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/chat", strings.NewReader(hello))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "text/event-stream")
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if answer.ProtoMajor != 2 || err != nil || !strings.HasSuffix(string(data), "event: reply\ndata: {\"output\":\"Done.\"}\n\n") {
		t.Errorf("over HTTP/%d the stream ends with %q, %v; want the reply over HTTP/2", answer.ProtoMajor, data, err)
	}
}

func TestWhoAsksForAStream(t *testing.T) {
	for accept, want := range map[string]bool{
		"text/event-stream": true, "application/json, text/event-stream": true, "Text/Event-Stream; q=0.5": true,
		"text/event-stream;q=0": false, "*/*": false, "": false, "text/event-streams": false, "application/json": false,
	} {
		w := post(newChat(t, parley.Config{}).Handler(), "/chat", hello, "Accept", accept)
		if got := w.Header().Get("Content-Type") == "text/event-stream"; got != want {
			t.Errorf("with Accept %q, the answer streams: %t; want %t", accept, got, want)
		}
	}
}

// The number of a turn that failed is given again. Who saw a part of that one
// has seen nothing of the next.
func TestNobodyGoesOnInAnotherTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bot := &speaker{pieces: []string{"Our sho"}, err: errors.New("broken")}
		h := newChat(t, parley.Config{Bot: bot}).Handler()
		first := watch(h, "POST", "/chat", hello, "Idempotency-Key", "k")
		<-first.done
		bot.pieces, bot.err = []string{"Our hours are 9 to 5."}, nil
		second := watch(h, "POST", "/chat", hello, "Idempotency-Key", "k", "Last-Event-ID", id(7))
		<-second.done
		synctest.Wait()
		if got := second.Body.String(); !strings.Contains(got, `{"text":"Our hours are 9 to 5."}`) || strings.Contains(got, id(0)) {
			t.Errorf("the client has\n%s\nwant all of the turn that took the place of the failed one", got)
		}
	})
}

func TestLastEventIDsThatAreWrong(t *testing.T) {
	for _, seen := range []string{"1-c2wfoqo0--5", "1-c2wfoqo0-", "1-c2wfoqo0-x", "1-c2wfoqo0-99999999999999999999", "-", "1", "\x00"} {
		t.Run(seen, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := watch(newChat(t, parley.Config{Bot: &speaker{pieces: []string{"Hello"}}}).Handler(), "POST", "/chat", hello, "Last-Event-ID", seen)
				<-w.done
				w.want(t, "at the end", delta(5, "Hello")+event(5, "reply", `{"output":"Hello"}`))
			})
		})
	}
	// One that says more than there is gets the reply.
	synctest.Test(t, func(t *testing.T) {
		w := watch(newChat(t, parley.Config{Bot: &speaker{pieces: []string{"Hello"}}}).Handler(), "POST", "/chat", hello, "Last-Event-ID", id(1000))
		<-w.done
		w.want(t, "at the end", event(1000, "reply", `{"output":"Hello"}`))
	})
}

// What a bot emits beyond the longest reply is not kept.
func TestAPreviewIsNoLongerThanAReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mib := strings.Repeat("x", 1<<20)
		w := watch(newChat(t, parley.Config{Bot: &speaker{pieces: []string{mib[1:], "ab", mib}, reply: "Hello"}}).Handler(), "POST", "/chat", hello)
		<-w.done
		w.want(t, "at the end", delta(1<<20-1, mib[1:])+delta(1<<20, "a")+event(1<<20, "reply", `{"output":"Hello"}`))
	})
}

func TestAFollowerThatIsOneTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		v := newVisitor(t, parley.Config{Bot: emitThen{"Let me think.", release}})
		asks := watch(v.handler, "POST", "/chat", `{"prompt":"Hello","session_id":null}`, "X-Parley-Session", v.token)
		synctest.Wait()
		for range 63 {
			watch(v.handler, "GET", "/stream", "", "X-Parley-Session", v.token)
		}
		synctest.Wait()
		if w := v.do("GET", "/stream", "", v.token); w.Code != http.StatusServiceUnavailable {
			t.Errorf("the 65th who waits for a turn gets %d; want 503", w.Code)
		}
		close(release)
		<-asks.done
	})
}

// HEAD says what GET would be, at once, and keeps no bot at work.
func TestHeadOfAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bot := &speaker{pieces: strings.Split("one two three four five", " ")}
		v := newVisitor(t, parley.Config{Bot: bot})
		asks := watch(v.handler, "POST", "/chat", `{"prompt":"Hello","session_id":null}`, "X-Parley-Session", v.token)
		synctest.Wait()
		began := time.Now()
		if w := v.do("HEAD", "/stream", "", v.token); w.Code != 200 || w.Header().Get("Content-Type") != "text/event-stream" || time.Since(began) > 0 {
			t.Errorf("HEAD is answered with %d %s after %v; want 200, text/event-stream, at once", w.Code, w.Header().Get("Content-Type"), time.Since(began))
		}
		asks.leave()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if bot.cancelled.IsZero() {
			t.Error("the bot still works, though nobody reads what it says")
		}
	})
}
