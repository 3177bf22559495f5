package parley

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// lanes puts the messages of each session one behind the other, and lets the
// same message, sent again, join the one that is under way. A lane is the queue
// of one session; its head is the flight whose turn is being answered.
type lanes struct {
	most    int
	timeout time.Duration
	take    func(*flight) (Reply, error)

	ctx     context.Context // of all flights
	cancel  context.CancelFunc
	idle    chan *flight // to goroutines that answered a flight and can answer more
	resting atomic.Int64 // how many of those there are

	mu       sync.Mutex
	queues   map[string][]*flight
	followed map[string]*flight // by session, those that follow the turn of another node; they are in no queue
	flights  int
	draining bool
	empty    chan struct{} // closed when draining and no flight is left
}

// A job is a message, and the conversation that it belongs to.
type job struct {
	Request
	session string
	arrived time.Time

	elsewhere *Record // the turn of another node, for a job that is only to follow it
}

// same reports whether other is the same message sent again, as far as the
// messages under way can tell.
func (j job) same(other job) bool {
	if j.Key != "" || other.Key != "" {
		return j.Key == other.Key
	}
	return j.Prompt == other.Prompt
}

// A flight is a message under way and everybody who waits for its answer. It
// runs apart from any of them, so that one may leave and another may join.
type flight struct {
	job
	ctx    context.Context // ends when it lands, too
	cancel context.CancelFunc

	// Guarded by lanes.mu.
	waiting int
	grace   *time.Timer // runs while nobody waits, and then cancels the flight

	preview preview
	done    chan struct{} // closed when reply and err are set
	reply   Reply
	err     error
}

func (l *lanes) init(most int, timeout time.Duration, take func(*flight) (Reply, error)) {
	l.most, l.timeout, l.take = most, timeout, take
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.idle = make(chan *flight)
	l.queues, l.followed = map[string][]*flight{}, map[string]*flight{}
	l.empty = make(chan struct{})
}

// join returns the flight of a message, newly started or under way. The caller
// must wait for it.
func (l *lanes) join(j job) (*flight, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	queue := l.queues[j.session]
	for _, f := range queue {
		if !f.same(j) || f.ctx.Err() != nil {
			continue
		}
		if f.Prompt != j.Prompt {
			return nil, errKeyReused
		}
		return f, f.await()
	}
	if len(queue) >= laneLength {
		return nil, unavailable(errors.New("too many turns at once in one session"))
	}
	f, err := l.newFlight(j)
	if err != nil {
		return nil, err
	}
	l.queues[j.session] = append(queue, f)
	if len(queue) == 0 {
		l.start(f)
	}
	return f, nil
}

// follow returns the flight that follows a turn of another node. It is in no
// queue: nobody behind it waits for what that node does. The caller must wait for
// the flight.
func (l *lanes) follow(j job) (*flight, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.followed[j.session]; f != nil && f.ctx.Err() == nil && f.elsewhere.Began.Equal(j.elsewhere.Began) {
		return f, f.await()
	}
	f, err := l.newFlight(j)
	if err != nil {
		return nil, err
	}
	l.followed[j.session] = f
	l.start(f)
	return f, nil
}

// newFlight makes a flight that one waits for, if there may be one more. The
// caller holds the lock.
func (l *lanes) newFlight(j job) (*flight, error) {
	switch {
	case l.draining:
		return nil, unavailable(errors.New("shutting down"))
	case l.flights >= l.most:
		return nil, unavailable(errors.New("too many turns at once"))
	}
	f := &flight{job: j, waiting: 1, done: make(chan struct{})}
	f.ctx, f.cancel = context.WithTimeout(l.ctx, l.timeout)
	l.flights++
	return f, nil
}

// attach returns the flight whose turn is being answered in a session, or nil.
// The caller must wait for it.
func (l *lanes) attach(session string) (*flight, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	queue := l.queues[session]
	if len(queue) == 0 || queue[0].ctx.Err() != nil {
		return nil, nil
	}
	return queue[0], queue[0].await()
}

// rejoin has the caller wait for a flight that may have landed.
func (l *lanes) rejoin(f *flight) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return f.await()
}

// await counts one more who waits for the flight. The caller holds the lock.
func (f *flight) await() error {
	if f.waiting >= mostWaiting {
		return unavailable(errors.New("too many wait for one turn"))
	}
	f.waiting++
	if f.grace != nil {
		f.grace.Stop()
	}
	return nil
}

// start has a goroutine answer the head of a lane: one that answered others
// before if there is any, because its stack has grown by then.
func (l *lanes) start(f *flight) {
	select {
	case l.idle <- f:
	default:
		go l.work(f)
	}
}

// work answers a flight, and then others for as long as the chat lives, unless
// enough goroutines do that.
func (l *lanes) work(f *flight) {
	for {
		l.fly(f)
		if l.resting.Add(1) > mostResting {
			l.resting.Add(-1)
			return
		}
		select {
		case f = <-l.idle:
			l.resting.Add(-1)
		case <-l.ctx.Done():
			return
		}
	}
}

// fly answers the head of a lane and then starts the one behind it.
func (l *lanes) fly(f *flight) {
	if f.ctx.Err() == nil {
		f.reply, f.err = l.take(f)
	} else {
		f.err = unavailable(errors.New("waited too long for earlier turns of the session"))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.land(f)
	if queue := l.queues[f.session]; f.elsewhere == nil && len(queue) > 0 {
		l.start(queue[0])
	}
}

// land takes a flight that is over, or that never began, out of its lane. The
// caller holds the lock.
func (l *lanes) land(f *flight) {
	close(f.done)
	f.cancel()
	l.flights--
	queue := l.queues[f.session]
	i := slices.Index(queue, f)
	switch {
	case l.followed[f.session] == f:
		delete(l.followed, f.session)
	case i < 0: // it followed a turn, and another follows the next
	case len(queue) > 1:
		l.queues[f.session] = slices.Delete(queue, i, i+1)
	default:
		delete(l.queues, f.session)
	}
	l.signalEmpty()
}

// wait returns the answer of a flight, or gives up when ctx ends. What the bot
// emits meanwhile goes to s, which may be nil.
func (l *lanes) wait(ctx context.Context, f *flight, s *answerStream) (Reply, error) {
	for f.ctx.Err() == nil {
		grown, err := s.follow(&f.preview)
		if err == nil {
			select {
			case <-s.beat():
				err = s.keepAlive()
			case <-grown:
			case <-f.ctx.Done():
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		if err != nil {
			l.leave(f)
			return Reply{}, unavailable(err)
		}
	}
	// It has landed, or the bot has been told to stop. One that does not is not
	// waited for.
	select {
	case <-f.done:
		s.follow(&f.preview) // what came last
		return f.reply, f.err
	case <-time.After(leaveGrace):
		return Reply{}, unavailable(f.ctx.Err())
	}
}

// leave takes one waiter off a flight. A flight that nobody comes back to is
// cancelled after a grace.
func (l *lanes) leave(f *flight) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.waiting--
	if f.waiting > 0 {
		return
	}
	f.grace = time.AfterFunc(leaveGrace, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		queue := l.queues[f.session]
		switch {
		case f.waiting > 0 || f.elsewhere == nil && !slices.Contains(queue, f):
		case f.elsewhere != nil || queue[0] == f:
			f.cancel()
		default: // it has not begun
			f.err = unavailable(context.Canceled)
			l.land(f)
		}
	})
}

// laneLength is how many messages of one session may be under way at once, so
// that one session cannot take the places of all others.
const laneLength = 64

// mostWaiting is how many may wait for one turn.
const mostWaiting = 64

// mostResting is how many goroutines without work are kept.
const mostResting = 64

// drain refuses new messages and waits until none is under way. What is when
// ctx ends is cancelled.
func (l *lanes) drain(ctx context.Context) error {
	l.mu.Lock()
	l.draining = true
	l.signalEmpty()
	l.mu.Unlock()
	defer l.cancel()
	select {
	case <-l.empty:
		return nil
	case <-ctx.Done():
	}
	l.cancel()
	select {
	case <-l.empty:
	case <-time.After(leaveGrace):
	}
	return ctx.Err()
}

// isDraining reports whether new messages are refused.
func (l *lanes) isDraining() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.draining
}

// signalEmpty lets drain return once nothing is under way. The caller holds
// the lock.
func (l *lanes) signalEmpty() {
	if !l.draining || l.flights > 0 {
		return
	}
	select {
	case <-l.empty:
	default:
		close(l.empty)
	}
}
