// Package load is a crowd of visitors who talk to a server over HTTP, all at
// once, and keep a [ledger.Ledger] of it.
//
// Every visitor waits for the answer before the next message, but all of them
// share the conversations, so that messages of one conversation also meet.
// About half of the messages have an Idempotency-Key, and some have no session.
// Where there are several nodes, each message goes to any of them, and to any of
// them again while it has no answer.
package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/proof/ledger"
)

const (
	// replays is how many acknowledged messages are sent again at the beginning
	// of each talk.
	replays = 32
	// patience is how long after its first sending a message without a key is
	// sent again. The contract takes it for the same message for two seconds.
	patience = 1500 * time.Millisecond
	// pause is how long a visitor who was refused waits.
	pause = 20 * time.Millisecond
	// apology is what the contract has a refused visitor read.
	apology = "I'm experiencing technical difficulties. Please try again."
)

// A Crowd is made by [New].
type Crowd struct {
	Ledger *ledger.Ledger

	http     http.Client
	visitors int
	sessions []string
	messages atomic.Int64
	talking  sync.WaitGroup

	mu         sync.Mutex
	refused    int
	resent     int
	longest    time.Duration
	complaints []string
}

// New returns a crowd of 16 visitors in 48 conversations, with an empty ledger.
func New() *Crowd { return NewOf(16, 48, 10*time.Second) }

// NewOf returns a crowd of so many visitors, who take a server for dead that does
// not answer for as long as timeout.
func NewOf(visitors, conversations int, timeout time.Duration) *Crowd {
	c := &Crowd{
		Ledger:   ledger.New(),
		visitors: visitors,
		http: http.Client{
			Timeout:   timeout,
			Transport: &http.Transport{MaxIdleConnsPerHost: visitors},
		},
	}
	for range conversations {
		c.sessions = append(c.sessions, uuid.NewString())
	}
	return c
}

// Talk has the crowd talk to the nodes of a server at urls, in the background,
// until ctx ends or, where there is only one node, every visitor has found it
// gone.
//
// Most messages that were left without an answer are sent again first, the
// others are given up. So are some that were acknowledged and have a key: the
// ledger sees that they get the same answer once more.
func (c *Crowd) Talk(ctx context.Context, urls ...string) {
	again := c.again()
	for range c.visitors {
		c.talking.Go(func() {
			for ctx.Err() == nil {
				var m ledger.Message
				select {
				case m = <-again:
					c.count(&c.resent)
				default:
					m = c.next()
				}
				if !c.tell(ctx, urls, m) {
					return
				}
			}
		})
	}
}

// Wait waits until nobody in the crowd talks any more.
func (c *Crowd) Wait() {
	c.talking.Wait()
	c.http.CloseIdleConnections()
}

// Complaints returns what the server did against its contract, other than
// what the ledger can see.
func (c *Crowd) Complaints() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.complaints)
}

// Refused returns how many messages were refused with 503.
func (c *Crowd) Refused() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

// Resent returns how many messages were sent again to a server that was started
// again, or to be answered again.
func (c *Crowd) Resent() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resent
}

// Longest returns the longest time from sending a message to its answer, what
// the visitor did not know to be dead or was refused in between included.
func (c *Crowd) Longest() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.longest
}

// again returns what is to be sent again.
func (c *Crowd) again() <-chan ledger.Message {
	var again []ledger.Message
	for _, w := range c.Ledger.Unanswered() {
		if late := w.Key == "" && time.Since(w.Since) > patience; late || rand.IntN(4) == 0 {
			c.Ledger.GiveUp(w.Message)
		} else {
			again = append(again, w.Message)
		}
	}
	answered := slices.DeleteFunc(c.Ledger.Answered(), func(m ledger.Message) bool { return m.Key == "" })
	for range min(replays, len(answered)) {
		again = append(again, answered[rand.IntN(len(answered))])
	}
	queue := make(chan ledger.Message, len(again))
	for _, i := range rand.Perm(len(again)) {
		queue <- again[i]
	}
	return queue
}

// next returns a message that is new.
func (c *Crowd) next() ledger.Message {
	m := ledger.Message{Prompt: fmt.Sprintf("Where is order %d?", c.messages.Add(1))}
	if rand.IntN(8) > 0 {
		m.Session = c.sessions[rand.IntN(len(c.sessions))]
	}
	if rand.IntN(2) > 0 {
		m.Key = uuid.NewString()
	}
	return m
}

// tell sends a message until it is answered, and reports whether the server is
// still there.
func (c *Crowd) tell(ctx context.Context, urls []string, m ledger.Message) bool {
	since, began := c.Ledger.Sent(m), time.Now()
	for ctx.Err() == nil {
		status, err := c.Post(ctx, urls[rand.IntN(len(urls))], m)
		switch {
		case err != nil && len(urls) == 1:
			return false
		case err == nil && status == http.StatusOK:
			c.took(time.Since(began))
			return true
		case m.Key == "" && time.Since(since) > patience:
			c.Ledger.GiveUp(m)
			return true
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return true
}

// Post sends a message that the ledger knows once, and writes its answer down.
func (c *Crowd) Post(ctx context.Context, url string, m ledger.Message) (status int, err error) {
	message := map[string]any{"prompt": m.Prompt, "session_id": m.Session}
	if m.Session == "" {
		message["session_id"] = nil
	}
	body, err := json.Marshal(message)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/chat", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	if m.Key != "" {
		req.Header.Set("Idempotency-Key", m.Key)
	}
	if m.Token != "" {
		req.Header.Set("X-Parley-Session", m.Token)
	}
	answer, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() == nil && os.IsTimeout(err) {
			c.complain("no answer to %q: %v", m.Prompt, err)
		}
		return 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	c.judge(m, answer, text)
	return answer.StatusCode, nil
}

// judge holds an answer against the contract.
func (c *Crowd) judge(m ledger.Message, answer *http.Response, body []byte) {
	var reply parley.Reply
	switch err := json.Unmarshal(body, &reply); {
	case err != nil:
		c.complain("%q was answered with %s and %q: %v", m.Prompt, answer.Status, body, err)
	case answer.StatusCode == http.StatusOK:
		c.Ledger.Acked(m, body)
	case answer.StatusCode == http.StatusServiceUnavailable:
		c.count(&c.refused)
		n, err := strconv.Atoi(answer.Header.Get("Retry-After"))
		if err != nil || n < 1 || reply.Text != apology {
			c.complain("%q was refused with Retry-After %q and %q; want a number of seconds and %q", m.Prompt, answer.Header.Get("Retry-After"), body, apology)
		}
	default:
		c.complain("%q was answered with %s and %q; want 200 or 503", m.Prompt, answer.Status, body)
	}
}

func (c *Crowd) count(n *int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
}

func (c *Crowd) took(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.longest = max(c.longest, d)
}

// complain writes a complaint down, as long as there are few.
func (c *Crowd) complain(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.complaints) < 3 {
		c.complaints = append(c.complaints, fmt.Sprintf(format, args...))
	}
}
