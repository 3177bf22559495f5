package providers_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/providertest"
)

const (
	// crowd is how many clients talk at once.
	crowd = 100
	// stopsWithin is how long after its client left a call may go on. The
	// pauses of a busy machine do not count.
	stopsWithin = 1500 * time.Millisecond
)

// TestClientsLeave has clients leave at random moments of an answer of 3
// seconds: half of them about when its first words come, which is after 100 ms.
func TestClientsLeave(t *testing.T) {
	s := open(t, 10*time.Second, guarded(0, 9*time.Second))
	s.leaving(t, short(1000)).report(t)
	if n := s.second.Count(); n > 0 {
		t.Errorf("after their clients left, %d turns went on to the next provider; want none", n)
	}
}

// TestFindsOneThatDoesNotStop is the control: a bot that ignores its context.
func TestFindsOneThatDoesNotStop(t *testing.T) {
	deaf := func(_ testing.TB, model parley.Bot) parley.Bot {
		return botFunc(func(ctx context.Context, turn *parley.Turn, emit func(string)) (parley.Reply, error) {
			return model.Reply(context.WithoutCancel(ctx), turn, emit)
		})
	}
	if l := open(t, 10*time.Second, deaf).leaving(t, crowd); l.late == 0 {
		t.Errorf("all calls stopped: %v; want late ones", l)
	}
}

// leavings are what became of the calls of clients that left.
type leavings struct {
	left      int // clients
	none      int // calls that were never made, because the client left before
	cancelled int
	over      int // calls that had ended by themselves
	late      int // calls that went on for too long
	longest   time.Duration
}

func (s *scene) leaving(t *testing.T, clients int) leavings {
	t.Helper()
	s.first.Set(providertest.Script{Mode: providertest.Drip, Pieces: slices.Repeat([]string{"word "}, 30), Delay: 100 * time.Millisecond})
	machine := watchPauses(t)
	var mu sync.Mutex
	left := map[string]time.Time{}
	var talking sync.WaitGroup
	for client := range crowd {
		talking.Go(func() {
			for n := client; n < clients; n += crowd {
				m := message{session: uuid.NewString(), prompt: fmt.Sprintf("Where is order %d?", n), stream: n%2 == 0}
				stay := rand.N(200 * time.Millisecond)
				if n/2%2 == 0 {
					stay = rand.N(2500 * time.Millisecond)
				}
				ctx, leave := context.WithTimeout(t.Context(), stay)
				a, err := s.ask(ctx, m)
				if leave(); err == nil {
					t.Errorf("%q was answered with %d and %s before its client left", m.prompt, a.status, a.body)
				}
				mu.Lock()
				left[m.prompt] = time.Now()
				mu.Unlock()
			}
		})
	}
	talking.Wait()
	s.first.Await(t, 0)
	return judge(s.first.Calls(), left, machine)
}

// judge compares when calls ended with when their clients left, by prompt.
func judge(calls []providertest.Call, left map[string]time.Time, machine *pauses) leavings {
	l := leavings{left: len(left), none: len(left) - len(calls)}
	for _, call := range calls {
		gone := left[call.Messages[len(call.Messages)-1].Content]
		after := call.Ended.Sub(gone) - machine.between(gone, call.Ended)
		switch {
		case after > stopsWithin:
			l.late++
		case call.Cancelled:
			l.cancelled++
		default:
			l.over++
		}
		l.longest = max(l.longest, after)
	}
	return l
}

func (l leavings) String() string {
	return fmt.Sprintf("left=%d never called=%d cancelled=%d over=%d late=%d longest=%v", l.left, l.none, l.cancelled, l.over, l.late, l.longest)
}

func (l leavings) report(t *testing.T) {
	t.Helper()
	if l.late > 0 {
		t.Errorf("%d calls went on for more than %v after their client had left, the longest for %v", l.late, stopsWithin, l.longest)
	}
	if l.cancelled < l.left/2 {
		t.Errorf("of %d clients that left, %d calls were cancelled; want most of them", l.left, l.cancelled)
	}
	t.Log(l)
}
