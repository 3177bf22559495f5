package nodes_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parley-chat/parley"
)

// A moves counts what visitors saw who went from node to node.
type moves struct {
	mu     sync.Mutex
	turns  int
	moves  int             // from one node to another within an answer
	late   int             // of which the answer had ended by then
	gaps   []time.Duration // until the visitor saw more
	calls  int             // of the model
	ends   int             // replies whose last words came with the whole, and not before
	wrongs []string
}

func (m *moves) String() string {
	slices.Sort(m.gaps)
	at := func(part float64) time.Duration {
		if len(m.gaps) == 0 {
			return 0
		}
		return m.gaps[int(part*float64(len(m.gaps)-1))].Round(time.Millisecond)
	}
	return fmt.Sprintf("turns=%d moves=%d (the answer had ended: %d) wrong=%d calls=%d last words with the reply=%d goes on after: p50=%v p99=%v max=%v",
		m.turns, m.moves, m.late, len(m.wrongs), m.calls, m.ends, at(0.5), at(0.99), at(1))
}

// TestMove has visitors lose their connection in the middle of answers, and go on
// at another node: what they have at the end must be the reply.
func TestMove(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) {
		m := open(t, db, sound(t), direct, nil).move(short(48, 8))
		t.Log(m)
		for _, wrong := range m.wrongs {
			t.Error(wrong)
		}
		if few := short(100, 10); m.moves-m.late < few {
			t.Errorf("%d moves were in the middle of an answer; want %d at least", m.moves-m.late, few)
		}
	})
}

// TestMoveFindsFlaws is the control.
func TestMoveFindsFlaws(t *testing.T) {
	for _, flaw := range []string{"skipping", "repeating"} {
		t.Run(flaw, func(t *testing.T) {
			t.Parallel()
			m := openFlawed(t, startRedis(t), flaw, nil).move(8)
			if len(m.wrongs) == 0 {
				t.Fatalf("nothing was found wrong: %v", m)
			}
			t.Logf("found: %v", m)
		})
	}
}

// move has a few visitors ask questions and read the answers on several nodes.
func (s *scene) move(turns int) *moves {
	s.model.speak(40, 40*time.Millisecond)
	m := &moves{turns: turns}
	queue := make(chan int, turns)
	for n := range turns {
		queue <- n
	}
	close(queue)
	var visitors sync.WaitGroup
	for range 8 {
		visitors.Go(func() {
			for n := range queue {
				if err := s.wander(m, n); err != nil {
					m.mu.Lock()
					m.wrongs = append(m.wrongs, err.Error())
					m.mu.Unlock()
				}
			}
		})
	}
	visitors.Wait()
	return m
}

// wander asks one question and reads the answer on three nodes or more. Its
// error says what was wrong with that.
func (s *scene) wander(m *moves, n int) error {
	prompt := fmt.Sprintf("Where is order %d?", n)
	r := &reader{scene: s}
	at := rand.IntN(nodes)
	if err := r.begin(s.nodes[at], prompt); err != nil {
		return err
	}
	for left := 2 + rand.IntN(2); left > 0 && r.reply == nil; left-- {
		if err := r.read(1 + rand.IntN(10)); err != nil {
			return fmt.Errorf("%q: %w", prompt, err)
		}
		r.leave()
		if r.reply != nil {
			break
		}
		at = (at + 1 + rand.IntN(nodes-1)) % nodes
		began, had := time.Now(), len(r.text)
		err := r.goOn(s.nodes[at])
		if err == nil && r.reply == nil {
			err = r.read(1)
		}
		if err != nil {
			return fmt.Errorf("%q, gone on at another node: %w", prompt, err)
		}
		m.mu.Lock()
		m.moves++
		if r.reply != nil && len(r.text) == had {
			m.late++
		} else {
			m.gaps = append(m.gaps, time.Since(began))
		}
		m.mu.Unlock()
	}
	for r.reply == nil {
		if err := r.read(1); err != nil {
			return fmt.Errorf("%q: %w", prompt, err)
		}
	}
	r.leave()
	calls := s.model.callsFor(prompt)
	m.mu.Lock()
	m.calls += calls
	if r.text != r.reply.Text {
		m.ends++
	}
	m.mu.Unlock()
	switch {
	case calls != 1:
		return fmt.Errorf("%q took %d calls of the model, want 1", prompt, calls)
	case !strings.HasPrefix(r.reply.Text, r.text):
		return fmt.Errorf("%q: the visitor read %q, which the reply %q does not begin with", prompt, r.text, r.reply.Text)
	case !strings.HasSuffix(r.reply.Text, "🚲 "+prompt):
		return fmt.Errorf("%q was answered with %q, which is no answer to it", prompt, r.reply.Text)
	}
	return nil
}

// A reader is a visitor who reads an answer as it comes.
type reader struct {
	*scene
	token string
	last  string        // the id of the last event
	text  string        // all deltas together
	reply *parley.Reply // the last event, or nil

	body   io.Closer
	lines  *bufio.Scanner
	cancel context.CancelFunc
}

// begin gets a session token and asks.
func (r *reader) begin(n *node, prompt string) error {
	var session struct {
		Token string `json:"session_token"`
	}
	answer, err := http.Post(n.URL+"/session", "application/json", strings.NewReader("{}"))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&session); err != nil {
		return err
	}
	r.token = session.Token
	body, err := json.Marshal(map[string]string{"prompt": prompt})
	if err != nil {
		return err
	}
	_, err = r.open(http.MethodPost, n.URL+"/chat", bytes.NewReader(body))
	return err
}

// goOn follows the answer on another node. Where it has ended, that is the newest
// of the history.
func (r *reader) goOn(n *node) error {
	status, err := r.open(http.MethodGet, n.URL+"/stream", nil)
	if err != nil || status == http.StatusOK {
		return err
	}
	r.leave()
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, n.URL+"/history", nil)
	if err != nil {
		return err
	}
	req.Header.Set("X-Parley-Session", r.token)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var history struct {
		Turns []struct {
			Reply *parley.Reply `json:"reply"`
		} `json:"turns"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&history); err != nil {
		return err
	}
	if len(history.Turns) != 1 || history.Turns[0].Reply == nil {
		return fmt.Errorf("the answer is neither streamed nor in the history, which has %d turns", len(history.Turns))
	}
	r.reply = history.Turns[0].Reply
	return nil
}

// open sends a request, whose answer is events or nothing.
func (r *reader) open(method, url string, body io.Reader) (status int, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		cancel()
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("X-Parley-Session", r.token)
	if r.last != "" {
		req.Header.Set("Last-Event-ID", r.last)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		cancel()
		return 0, err
	}
	r.body, r.lines, r.cancel = answer.Body, bufio.NewScanner(answer.Body), cancel
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusNoContent {
		r.leave()
		return 0, fmt.Errorf("answered with %s", answer.Status)
	}
	return answer.StatusCode, nil
}

// leave breaks the connection.
func (r *reader) leave() {
	r.cancel()
	r.body.Close()
}

// read reads so many pieces of text, or to the end of the answer.
func (r *reader) read(pieces int) error {
	var id, event, data string
	for pieces > 0 && r.reply == nil {
		if !r.lines.Scan() {
			return errors.Join(errors.New("the stream ended before the reply"), r.lines.Err())
		}
		name, value, _ := strings.Cut(r.lines.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "event":
			event = value
		case "data":
			data = value
		case "":
			if event == "" {
				continue // a comment
			}
			if err := r.take(event, data); err != nil {
				return err
			}
			if r.last = id; event == "delta" {
				pieces--
			}
		}
	}
	return nil
}

// take takes up an event.
func (r *reader) take(event, data string) error {
	switch event {
	case "prompt":
		return nil
	case "delta":
		var delta struct{ Text string }
		err := json.Unmarshal([]byte(data), &delta)
		r.text += delta.Text
		return err
	case "reply":
		r.reply = new(parley.Reply)
		return json.Unmarshal([]byte(data), r.reply)
	}
	return fmt.Errorf("the event %s says %s", event, data)
}

// TestTwins sends each message to two nodes at once. Half of them have a key, and
// each of the two may be streamed.
func TestTwins(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) {
		s := open(t, db, sound(t), direct, nil)
		twins := short(240, 40)
		calls, wrongs := s.twins(twins)
		t.Logf("twins=%d calls=%d wrong=%d", twins, calls, len(wrongs))
		for _, wrong := range wrongs {
			t.Error(wrong)
		}
	})
}

// TestTwinsFindsFlaws is the control: nodes that do not know what is sent twice.
func TestTwinsFindsFlaws(t *testing.T) {
	t.Parallel()
	s := openFlawed(t, startRedis(t), "forgetful", nil)
	const twins = 20
	calls, wrongs := s.twins(twins)
	if len(wrongs) == 0 {
		t.Fatalf("nothing was found wrong: twins=%d calls=%d", twins, calls)
	}
	t.Logf("found: twins=%d calls=%d wrong=%d", twins, calls, len(wrongs))
}

func (s *scene) twins(n int) (calls int, wrongs []string) {
	s.model.speak(4, 50*time.Millisecond)
	var mu sync.Mutex
	var sending sync.WaitGroup
	limit := make(chan bool, 8)
	for i := range n {
		limit <- true
		sending.Go(func() {
			defer func() { <-limit }()
			prompt := fmt.Sprintf("Where is order %d?", i)
			err := s.twin(i, prompt)
			took := s.model.callsFor(prompt)
			if err == nil && took != 1 {
				err = fmt.Errorf("%q took %d calls of the model, want 1", prompt, took)
			}
			mu.Lock()
			defer mu.Unlock()
			calls += took
			if err != nil {
				wrongs = append(wrongs, err.Error())
			}
		})
	}
	sending.Wait()
	return calls, wrongs
}

// twin sends a message to two nodes at once. The answers must be the same.
func (s *scene) twin(n int, prompt string) error {
	session, key := uuid.NewString(), ""
	if n&1 != 0 {
		key = uuid.NewString()
	}
	var replies [2]string
	var errs [2]error
	first := rand.IntN(nodes)
	var sending sync.WaitGroup
	for i := range replies {
		sending.Go(func() {
			replies[i], errs[i] = s.ask(s.nodes[(first+i)%nodes], session, key, prompt, n&(2<<i) != 0)
		})
	}
	sending.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return fmt.Errorf("%q: %w", prompt, err)
	}
	if replies[0] != replies[1] {
		return fmt.Errorf("%q was answered with %s, and on another node with %s", prompt, replies[0], replies[1])
	}
	return nil
}

// ask sends a message once and returns its reply as JSON.
func (s *scene) ask(n *node, session, key, prompt string, stream bool) (string, error) {
	body, err := json.Marshal(map[string]string{"prompt": prompt, "session_id": session})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(s.Context(), http.MethodPost, n.URL+"/chat", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	if stream {
		req.Header.Set("Accept", "text/event-stream")
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("answered with %s, %s: %w", answer.Status, text, err)
	}
	if !stream {
		return strings.TrimSpace(string(text)), nil
	}
	_, reply, found := strings.Cut(string(text), "event: reply\ndata: ")
	if !found {
		return "", fmt.Errorf("the stream ends without a reply: %q", text)
	}
	return strings.TrimSpace(reply), nil
}
