package nodes_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley/proof/server"
)

const (
	limit = 100
	// flood is how many messages each client sends, to all nodes in turn.
	flood = 480
)

// limited are the settings of nodes that take a limited number of messages of
// each client, whom a proxy tells them.
var limited = server.Settings{"RATE_LIMIT": "100", "RATE_LIMIT_WINDOW": "1h", "TRUST_PROXY": "loopback"}

// TestLimit floods three nodes. Together they let through what a client may send,
// and by themselves, without the database, no more than that each.
func TestLimit(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) {
		s := open(t, db, sound(t), linked, limited)
		passed, wrongs := s.flood(short(4, 1))
		t.Logf("together: messages=%d for each of %d clients, passed=%v", flood, len(passed), passed)
		wrongs = append(wrongs, s.windows(short(2, 0))...)
		wrongs = append(wrongs, s.floodWithoutDatabase()...)
		for _, wrong := range wrongs {
			t.Error(wrong)
		}
	})
}

// TestLimitFindsFlaws is the control: nodes that count by themselves.
func TestLimitFindsFlaws(t *testing.T) {
	t.Parallel()
	s := openFlawed(t, startRedis(t), "alone", limited)
	passed, wrongs := s.flood(1)
	if len(wrongs) == 0 {
		t.Fatalf("nothing was found wrong: passed=%v", passed)
	}
	t.Logf("found: passed=%v", passed)
}

// flood has several clients, one after the other, send messages to all nodes at
// once. Each must be answered as often as the limit says. It returns how often
// that was.
//
// A node that waits for the database longer than a quarter of a second counts by
// itself for a second. So where a node says that it did, which is the fault of a
// busy machine, another client has a try.
func (s *scene) flood(clients int) (passed []int, wrongs []string) {
	s.floodFrom("192.0.2.255", limit, s.nodes) // so that all connections are there
	want := map[int]int{http.StatusOK: limit, http.StatusTooManyRequests: flood - limit}
	const leftOut = 5 // floods at most
	for i := 0; len(passed) < clients && i < clients+leftOut; i++ {
		alone := s.countAlone()
		statuses := s.floodFrom(fmt.Sprint("192.0.2.", i+1), flood, s.nodes)
		if n := s.countAlone() - alone; n > 0 && !maps.Equal(statuses, want) {
			s.Logf("a flood in which nodes counted by themselves %d times is left out: %v", n, statuses)
			time.Sleep(2 * time.Second)
			s.floodFrom("192.0.2.255", limit, s.nodes) // so that they count together again
			continue
		}
		passed = append(passed, statuses[http.StatusOK])
		if !maps.Equal(statuses, want) {
			wrongs = append(wrongs, fmt.Sprintf("on three nodes the answers to %d messages are %v; want %v", flood, statuses, want))
		}
	}
	if len(passed) < clients {
		wrongs = append(wrongs, fmt.Sprintf("in %d floods nodes counted by themselves; want the database to be in time", leftOut))
	}
	return passed, wrongs
}

// countAlone returns how many times nodes said that they count by themselves.
func (s *scene) countAlone() (times int) {
	for _, n := range s.nodes {
		times += strings.Count(n.Log(), "the shared rate limiter failed")
	}
	return times
}

// floodFrom sends messages from an address to some nodes, a dozen at once, and
// counts the statuses of the answers.
func (s *scene) floodFrom(address string, messages int, to []*node) map[int]int {
	statuses := map[int]int{}
	var mu sync.Mutex
	var sending sync.WaitGroup
	for sender := range 12 {
		sending.Go(func() {
			for i := sender; i < messages; i += 12 {
				status := s.sendFrom(address, to[i%len(to)], fmt.Sprintf("Where is order %d of %s?", i, address))
				mu.Lock()
				statuses[status]++
				mu.Unlock()
			}
		})
	}
	sending.Wait()
	return statuses
}

// sendFrom sends a message and returns the status of the answer, or 0.
func (s *scene) sendFrom(address string, n *node, prompt string) int {
	req, err := http.NewRequestWithContext(s.Context(), http.MethodPost, n.URL+"/chat", strings.NewReader(fmt.Sprintf(`{"prompt": %q, "session_id": null}`, prompt)))
	if err != nil {
		s.Error(err)
		return 0
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Forwarded-For", address)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Error(err)
		return 0
	}
	answer.Body.Close()
	return answer.StatusCode
}

// windows floods the nodes in one window after the other.
func (s *scene) windows(windows int) (wrongs []string) {
	const length = 4 * time.Second
	if windows == 0 {
		return nil
	}
	for _, n := range s.nodes {
		n.settings["RATE_LIMIT_WINDOW"] = length.String()
		s.restart(n)
	}
	s.floodFrom("198.51.100.255", limit, s.nodes) // so that all connections are there
	var passed []int
	for range windows {
		began, alone := time.Now(), s.countAlone()
		statuses := s.floodFrom("198.51.100.1", 2*limit, s.nodes)
		if took, n := time.Since(began), s.countAlone()-alone; took > length || n > 0 {
			s.Logf("a window is left out: the flood took %v, and nodes counted by themselves %d times", took.Round(time.Millisecond), n)
			time.Sleep(length)
			continue
		}
		passed = append(passed, statuses[http.StatusOK])
		if statuses[http.StatusOK] != limit {
			wrongs = append(wrongs, fmt.Sprintf("in a window of %v the answers are %v; want %d messages to pass", length, statuses, limit))
		}
		time.Sleep(time.Until(began.Add(length + 500*time.Millisecond)))
	}
	s.Logf("in windows of %v: messages=%d each, passed=%v", length, 2*limit, passed)
	return wrongs
}

// floodWithoutDatabase cuts the nodes off. None can answer then, and each lets
// through no more than the limit.
func (s *scene) floodWithoutDatabase() (wrongs []string) {
	for _, n := range s.nodes {
		n.link.cut()
	}
	var passed []int
	for _, n := range s.nodes {
		statuses := s.floodFrom("203.0.113.1", 2*limit, []*node{n})
		passed = append(passed, statuses[http.StatusServiceUnavailable])
		if want := map[int]int{http.StatusServiceUnavailable: limit, http.StatusTooManyRequests: limit}; !maps.Equal(statuses, want) {
			wrongs = append(wrongs, fmt.Sprintf("on a node without its database the answers are %v; want %v", statuses, want))
		}
	}
	for _, n := range s.nodes {
		n.link.heal()
	}
	healed := s.firstAnswers("203.0.113.2")
	s.Logf("without the database: messages=%d to each node, passed (503)=%v; the first answer after %v", 2*limit, passed, slices.Max(healed).Round(time.Millisecond))
	if slow := slices.Max(healed); slow > healTime {
		wrongs = append(wrongs, fmt.Sprintf("the first answer came %v after the database was back; want %v at most", slow, healTime))
	}
	return wrongs
}
