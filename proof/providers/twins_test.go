package providers_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/providertest"
)

// twinWindow is how long after its answer a message without a key is still taken
// for the same one.
const twinWindow = 2 * time.Second

// TestTwins sends each message twice, the second time up to 1.5 seconds after
// the first: into the answer, which takes 200 ms, or behind its end. Half of
// them have a key, and each of the two may be streamed.
func TestTwins(t *testing.T) {
	twins := short(1000)
	s := open(t, 10*time.Second, func(t testing.TB, model parley.Bot) parley.Bot {
		return numbered(guarded(0, 0)(t, model))
	})
	s.first.Set(providertest.Script{Mode: providertest.Drip, Delay: 50 * time.Millisecond})
	var strangers atomic.Int64
	var talking sync.WaitGroup
	for client := range crowd {
		talking.Go(func() {
			for n := client; n < twins; n += crowd {
				if !s.twin(t, n) {
					strangers.Add(1)
				}
			}
		})
	}
	talking.Wait()
	if n := s.first.Count(); n != twins+int(strangers.Load()) {
		t.Errorf("%d messages, each sent twice, took %d calls; want one each, and %d more for those that came too late", twins, n, strangers.Load())
	}
	t.Logf("twins=%d calls=%d too late=%d", twins, s.first.Count(), strangers.Load())
}

// twin sends one message twice. It reports whether the two are one turn, which
// they may fail to be only where a busy machine kept the second, which has no
// key, for longer than the window.
func (s *scene) twin(t *testing.T, n int) bool {
	m := message{session: uuid.NewString(), prompt: fmt.Sprintf("Where is order %d?", n)}
	if n&1 != 0 {
		m.key = uuid.NewString()
	}
	offset := rand.N(1500 * time.Millisecond)
	var answers [2]answer
	var sending sync.WaitGroup
	began := time.Now()
	for i := range answers {
		m := m
		m.stream = n&(2<<i) != 0
		sending.Go(func() {
			time.Sleep(time.Duration(i) * offset)
			a, err := s.ask(t.Context(), m)
			if err == nil {
				_, err = a.text()
			}
			if err != nil {
				t.Errorf("%q: %v", m.prompt, err)
			}
			answers[i] = a
		})
	}
	sending.Wait()
	same := bytes.Equal(answers[0].body, answers[1].body)
	if !same && (m.key != "" || time.Since(began) < twinWindow) {
		t.Errorf("sent again after %v, %q is answered with %s, and before with %s; want the same", offset, m.prompt, answers[1].body, answers[0].body)
	}
	return same
}
