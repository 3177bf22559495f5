package parley

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Several chats over one store are nodes of one chat. The store decides, turn by
// turn, who answers; this file lets the other nodes follow.
//
// Whoever waits on one node for a turn that runs on another asks for it with a
// note, once a second: "I want what you have from this byte on". The node that
// answers sends what the bot has emitted, and keeps sending for as long as it is
// asked. So a turn that nobody follows from elsewhere costs next to nothing, notes
// may be lost, and a node that does not answer is seen to be dead.

const (
	// wantEvery is how often a follower asks, and looks whether the turn has ended.
	wantEvery = time.Second
	// pollEvery is how often it looks where nodes cannot send notes.
	pollEvery = 50 * time.Millisecond
	// wantLife is how long a turn is sent to followers after they asked last.
	wantLife = 3 * time.Second
	// silenceOfTheDead is how long a follower that hears its own notes hears
	// nothing from the node that answers before it takes that for dead. A store
	// may need half of it to find out that it hears nothing itself.
	silenceOfTheDead = 10 * time.Second
	// behindPatience is how long a turn waits for those before it.
	behindPatience = 20 * time.Second
	// maxChunk is how much text goes into a note, with its offset.
	maxChunk = 3 << 10
)

// Why a turn of another node is not waited for any more.
var (
	errDead      = errors.New("the node that answered is gone")
	errGivenUp   = errors.New("the node that answered gave up")
	errTakenOver = errors.New("another node answers the message now")
)

// Topics of the notes about a turn.
func wantTopic(turn Record) string { return "want." + turnID(turn) }
func textTopic(turn Record) string { return "text." + turnID(turn) }

// The notes about a turn. A follower sends aliveNote to be told that the node is
// there, and a number for the text from that byte on. The node sends text with its
// offset, or that the turn has ended.
var (
	aliveNote = []byte("?")
	endNote   = []byte("end")
)

func textNote(offset int, text string) []byte {
	return append(strconv.AppendInt(nil, int64(offset), 10), " "+text...)
}

// share lets followers on other nodes have a turn that is answered here, until
// stop is called.
func (c *Chat) share(f *flight, turn Record) (stop func()) {
	if c.notifier == nil {
		return func() {}
	}
	wants := make(chan int, 16)
	var answering, sending atomic.Bool
	alone := func(busy *atomic.Bool, do func()) { // hear must not block
		if busy.CompareAndSwap(false, true) {
			go func() {
				defer busy.Store(false)
				do()
			}()
		}
	}
	return c.notifier.Listen(wantTopic(turn), func(note []byte) {
		alone(&answering, func() { c.notify(textTopic(turn), textNote(0, "")) })
		from, err := strconv.Atoi(string(note))
		if err != nil || from < 0 {
			return
		}
		select {
		case wants <- from:
		default: // it is asked often enough
		}
		alone(&sending, func() { c.sendText(f, turn, wants) })
	})
}

// notify sends a note. What fails is asked for again.
func (c *Chat) notify(topic string, note []byte) error {
	ctx, cancel := context.WithTimeout(c.lanes.ctx, wantEvery)
	defer cancel()
	return c.notifier.Notify(ctx, topic, note)
}

// sendText sends what a bot emits to followers, who count as one who waits.
func (c *Chat) sendText(f *flight, turn Record, wants <-chan int) {
	if err := c.lanes.rejoin(f); err != nil {
		return
	}
	defer c.lanes.leave(f)
	lease := time.NewTimer(wantLife)
	defer lease.Stop()
	from := 0
	select {
	case from = <-wants:
	default: // another call took it
	}
	for {
		_, text, _, grown := f.preview.since(from)
		if text != "" {
			text = text[:min(len(text), maxChunk)]
			if c.notify(textTopic(turn), textNote(from, text)) != nil {
				return
			}
			from += len(text)
			select {
			case <-lease.C:
				return
			default:
				continue
			}
		}
		select {
		case <-grown:
		case <-f.done:
			if _, text, _, _ := f.preview.since(from); text != "" {
				continue // what came last
			}
			c.notify(textTopic(turn), endNote)
			return
		case want := <-wants:
			from = min(from, want)
			lease.Reset(wantLife)
		case <-lease.C:
			return
		}
	}
}

// follow waits for the end of a turn that another node answers, and adds what
// its bot emits to p; nil keeps that node from sending it, and from counting the
// follower as one who waits. It returns the reply, or one of the errors above, or
// that of the store or of ctx. A store that is away is waited for.
func (c *Chat) follow(ctx context.Context, turn Record, p *preview) (Reply, error) {
	notes := make(chan []byte, 256)
	asked := make(chan bool, 1) // our own notes come back
	every := pollEvery
	if c.notifier != nil {
		every = wantEvery
		defer c.notifier.Listen(textTopic(turn), func(note []byte) {
			select {
			case notes <- bytes.Clone(note):
			default: // what is missing is asked for again
			}
		})()
		defer c.notifier.Listen(wantTopic(turn), func([]byte) {
			select {
			case asked <- true:
			default:
			}
		})()
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	silent := 0 // seconds in which we were heard, by ourselves at least, and not answered
	for {
		records, err := c.store.Transcript(ctx, Page{Session: turn.Session, From: turn.Seq, Before: turn.Seq + 1, Limit: 1})
		switch {
		case ctx.Err() != nil:
			return Reply{}, ctx.Err()
		case isUnavailable(err):
		case err != nil:
			return Reply{}, err
		case len(records) == 0 && time.Duration(silent)*wantEvery >= silenceOfTheDead/2:
			return Reply{}, errTakenOver // by another follower, a moment before us
		case len(records) == 0:
			return Reply{}, errGivenUp
		case !records[0].Began.Equal(turn.Began) && records[0].Key == turn.Key && records[0].Prompt == turn.Prompt:
			return Reply{}, errTakenOver
		case !records[0].Began.Equal(turn.Began):
			return Reply{}, errGivenUp // and its number is another's
		case records[0].Reply != nil:
			p.complete(records[0].Reply.Text)
			return *records[0].Reply, nil
		case time.Duration(silent)*wantEvery >= silenceOfTheDead:
			return Reply{}, errDead
		}
		c.want(turn, p)
		heard, answered, again := false, false, false
		for wait := true; wait; {
			select {
			case <-ctx.Done():
				return Reply{}, ctx.Err()
			case <-ticker.C:
				wait = false
			case <-asked:
				heard = true
			case note := <-notes:
				answered = true
				ended, gap := p.addNote(note)
				if gap && !again {
					again = true
					c.want(turn, p)
				}
				wait = !ended
			}
		}
		switch {
		case answered:
			silent = 0
		case heard:
			silent++
		}
	}
}

// want asks for what is missing of a turn, or whether its node is there. It is
// asked again where that fails.
func (c *Chat) want(turn Record, p *preview) {
	switch {
	case c.notifier == nil:
	case p == nil:
		c.notify(wantTopic(turn), aliveNote)
	default:
		c.notify(wantTopic(turn), strconv.AppendInt(nil, int64(p.length()), 10))
	}
}

// complete adds what is missing of a text, which may have ended before its last
// note came.
func (p *preview) complete(text string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	begun := string(p.text)
	p.mu.Unlock()
	if rest, ok := strings.CutPrefix(text, begun); ok && begun != "" {
		p.add(rest)
	}
}

// addNote adds what a note of another node says. There is a gap where a note
// before it was lost.
func (p *preview) addNote(note []byte) (ended, gap bool) {
	if bytes.Equal(note, endNote) || p == nil {
		return bytes.Equal(note, endNote), false
	}
	number, text, _ := bytes.Cut(note, []byte(" "))
	offset, err := strconv.Atoi(string(number))
	have := p.length()
	switch {
	case err != nil || offset < 0 || offset+len(text) <= have:
		return false, false
	case offset > have:
		return false, true
	}
	p.add(string(text[have-offset:]))
	return false, false
}

// answerElsewhere returns the reply to a message whose turn another node
// answers. With errTakenOver the message has to be begun again: its turn was
// taken back, by another node, or here, if this one may.
func (c *Chat) answerElsewhere(ctx context.Context, turn Record, p *preview, takeOver bool) (Reply, error) {
	reply, err := c.follow(ctx, turn, p)
	switch {
	case err == nil, errors.Is(err, errTakenOver):
		return reply, err
	case errors.Is(err, errDead) && takeOver:
		if err := c.bury(ctx, turn); err != nil {
			return Reply{}, err
		}
		return Reply{}, errTakenOver
	case errors.Is(err, errDead), errors.Is(err, errGivenUp), ctx.Err() != nil:
		return Reply{}, unavailable(err)
	}
	return Reply{}, c.storeFailed("wait for a turn", turn.Session, err)
}

// bury takes back the turn of a node that is gone.
func (c *Chat) bury(ctx context.Context, turn Record) error {
	c.log.Warn("a turn is taken over from a node that is gone", "session", shortSession(turn.Session), "seq", turn.Seq)
	if err := c.store.Abandon(ctx, turn); err != nil {
		return c.storeFailed("take over a turn", turn.Session, err)
	}
	return nil
}

// awaitBehind waits for the turns of the same session that other nodes answer and
// that are before one, so that the bot sees their replies. What takes too long is
// not waited for.
func (c *Chat) awaitBehind(ctx context.Context, begun Begun) error {
	if begun.Behind == 0 || c.notifier == nil {
		return nil
	}
	patience, cancel := context.WithTimeout(ctx, behindPatience)
	defer cancel()
	var err error
	for before := (*Record)(nil); err == nil; {
		before, err = c.running(patience, Page{Session: begun.Session, Before: begun.Seq})
		if err != nil || before == nil {
			break
		}
		_, err = c.follow(patience, *before, nil)
		switch {
		case errors.Is(err, errDead):
			err = c.bury(patience, *before)
		case errors.Is(err, errGivenUp), errors.Is(err, errTakenOver):
			err = nil
		}
	}
	switch {
	case ctx.Err() != nil:
		return unavailable(ctx.Err())
	case patience.Err() != nil || err == nil:
		return nil
	}
	return c.storeFailed("wait for an earlier turn", begun.Session, err)
}

// running returns the newest turn of a page that runs, or nil.
func (c *Chat) running(ctx context.Context, page Page) (*Record, error) {
	page.Limit = 8 // what runs is at the end
	records, err := c.store.Transcript(ctx, page)
	if err != nil {
		return nil, err
	}
	dead := c.deadBefore(time.Now())
	for _, r := range slices.Backward(records) {
		if r.Reply == nil && !r.Began.Before(dead) {
			return &r, nil
		}
	}
	return nil, nil
}

// attachElsewhere returns a flight that follows the turn that another node
// answers in a session, or nil. The caller must wait for it.
func (c *Chat) attachElsewhere(ctx context.Context, session string) (*flight, error) {
	if c.notifier == nil {
		return nil, nil // no other node, or none that can be followed
	}
	turn, err := c.running(ctx, Page{Session: session})
	switch {
	case err != nil:
		return nil, c.storeFailed("look for a turn", session, err)
	case turn == nil:
		return nil, nil
	}
	return c.lanes.follow(job{session: session, arrived: time.Now(), elsewhere: turn})
}

// deadBefore returns when a turn that is still not finished must have begun to
// be taken for dead.
func (c *Chat) deadBefore(now time.Time) time.Time {
	return now.Add(-c.cfg.AnswerTimeout - storeTimeout)
}
