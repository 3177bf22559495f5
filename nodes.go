package parley

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"
)

// Several chats over one store are nodes of one chat. The store decides, turn by
// turn, who answers; this file lets the other nodes follow.
//
// Whoever waits on one node for a turn that runs on another asks for it with a
// note, once a second: "I want what you have from this byte on". The node that
// answers sends what the bot has emitted, and keeps sending for as long as it is
// asked. So a turn that nobody follows from elsewhere costs nothing, notes may
// be lost, and a node that does not answer is seen to be dead.

const (
	// wantEvery is how often a follower asks.
	wantEvery = time.Second
	// wantLife is how long a turn is sent to followers after they asked last.
	wantLife = 3 * time.Second
	// silenceOfTheDead is how long a follower that hears its own notes hears
	// nothing from the node that answers before it takes that for dead.
	silenceOfTheDead = 5 * time.Second
	// behindPatience is how long a turn waits for the one before it.
	behindPatience = 20 * time.Second
	// maxChunk is how much text goes into a note, with its offset.
	maxChunk = 3 << 10
	// pollEvery is how often the store is asked whether a turn has ended where
	// nodes cannot send notes; pollWithNotes where they can, and lost one.
	pollEvery     = 50 * time.Millisecond
	pollWithNotes = time.Second
)

// errDead is why a turn is not waited for any more: its node is gone.
var errDead = errors.New("the node that answered is gone")

// errGivenUp is why a turn that was waited for will not be answered.
var errGivenUp = errors.New("the node that answered gave up")

// Topics of the notes about a turn.
func wantTopic(turn Record) string { return "want." + turnID(turn) }
func textTopic(turn Record) string { return "text." + turnID(turn) }

// The notes about a turn: what its bot emitted from an offset on, or that it
// ended.
func textNote(offset int, text string) []byte {
	return append(strconv.AppendInt(nil, int64(offset), 10), " "+text...)
}

var endNote = []byte("end")

// share lets followers on other nodes have a turn that is answered here, until
// stop is called.
func (c *Chat) share(f *flight, turn Record) (stop func()) {
	if c.notifier == nil {
		return func() {}
	}
	wants := make(chan int, 16)
	var sending atomic.Bool
	return c.notifier.Listen(wantTopic(turn), func(note []byte) {
		from, err := strconv.Atoi(string(note))
		if err != nil || from < 0 {
			return
		}
		select {
		case wants <- from:
		default: // it is asked often enough
		}
		if sending.CompareAndSwap(false, true) {
			go func() {
				defer sending.Store(false)
				c.sendText(f, turn, wants)
			}()
		}
	})
}

// sendText sends what a bot emits to followers, who count as one who waits.
func (c *Chat) sendText(f *flight, turn Record, wants <-chan int) {
	if err := c.lanes.rejoin(f); err != nil {
		return
	}
	defer c.lanes.leave(f)
	ctx := context.WithoutCancel(f.ctx) // the end is told when that has ended
	notify := func(note []byte) {
		// What fails is asked for again.
		ctx, cancel := context.WithTimeout(ctx, wantEvery)
		defer cancel()
		c.notifier.Notify(ctx, textTopic(turn), note)
	}
	lease := time.NewTimer(wantLife)
	defer lease.Stop()
	from := <-wants
	notify(textNote(from, "")) // it is alive
	send := func() (grown <-chan struct{}) {
		for {
			_, text, _, grown := f.preview.since(from)
			if text == "" {
				return grown
			}
			text = text[:min(len(text), maxChunk)]
			notify(textNote(from, text))
			from += len(text)
		}
	}
	for {
		select {
		case <-send(): // there is more
		case <-f.done:
			send()
			notify(endNote)
			return
		case want := <-wants:
			from = min(from, want)
			lease.Reset(wantLife)
			notify(textNote(want, ""))
		case <-lease.C:
			return
		}
	}
}

// follow waits for the end of a turn that another node answers, and adds what
// its bot emits to p. It returns the reply, or errGivenUp, errDead, or the error
// of the store or of ctx.
func (c *Chat) follow(ctx context.Context, turn Record, p *preview) (Reply, error) {
	notes := make(chan []byte, 256)
	asked := make(chan bool, 1) // our own notes come back
	every := pollEvery
	if c.notifier != nil {
		every = pollWithNotes
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
	silent := 0 // how many times we were heard, by ourselves at least, and not answered
	for {
		records, err := c.store.Transcript(ctx, Page{Session: turn.Session, From: turn.Seq, Before: turn.Seq + 1, Limit: 1})
		switch {
		case err != nil:
			return Reply{}, err
		case len(records) == 0, !records[0].Began.Equal(turn.Began): // its number may be another's by now
			return Reply{}, errGivenUp
		case records[0].Reply != nil:
			return *records[0].Reply, nil
		case time.Duration(silent)*wantEvery >= silenceOfTheDead:
			return Reply{}, errDead
		}
		c.want(ctx, turn, p)
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
					c.want(ctx, turn, p)
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

// want asks for what is missing of a turn.
func (c *Chat) want(ctx context.Context, turn Record, p *preview) {
	if c.notifier != nil {
		ctx, cancel := context.WithTimeout(ctx, wantEvery)
		defer cancel()
		c.notifier.Notify(ctx, wantTopic(turn), strconv.AppendInt(nil, int64(p.length()), 10)) // is asked again
	}
}

// addNote adds what a note of another node says. There is a gap where a note
// before it was lost.
func (p *preview) addNote(note []byte) (ended, gap bool) {
	if bytes.Equal(note, endNote) {
		return true, false
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
// answers. An error of errDead means that the turn was taken back, and that the
// message has to begin another.
func (c *Chat) answerElsewhere(ctx context.Context, turn Record, p *preview) (Reply, error) {
	reply, err := c.follow(ctx, turn, p)
	switch {
	case err == nil:
		return reply, nil
	case errors.Is(err, errDead):
		c.log.Warn("a turn is taken over from a node that is gone", "session", shortSession(turn.Session), "seq", turn.Seq)
		if abandonErr := c.store.Abandon(ctx, turn); abandonErr != nil {
			return Reply{}, c.storeFailed("take over a turn", turn.Session, abandonErr)
		}
		return Reply{}, errDead
	case errors.Is(err, errGivenUp), ctx.Err() != nil:
		return Reply{}, unavailable(err)
	}
	return Reply{}, c.storeFailed("wait for a turn", turn.Session, err)
}

// awaitBehind waits for the turn of the same session that another node answers,
// so that the bot sees its reply. However that ends, and if it takes too long,
// it is no longer in the way.
func (c *Chat) awaitBehind(ctx context.Context, begun Begun) error {
	if begun.Behind == 0 || c.notifier == nil {
		return nil
	}
	all := ctx
	ctx, cancel := context.WithTimeout(ctx, behindPatience)
	defer cancel()
	records, err := c.store.Transcript(ctx, Page{Session: begun.Session, From: begun.Behind, Before: begun.Behind + 1, Limit: 1})
	if err == nil && len(records) == 1 && records[0].Reply == nil {
		_, err = c.follow(ctx, records[0], new(preview))
	}
	if errors.Is(err, errDead) || errors.Is(err, errGivenUp) || ctx.Err() != nil {
		return all.Err()
	}
	return err
}

// attachElsewhere returns a flight that follows the turn that another node
// answers in a session, or nil. The caller must wait for it.
func (c *Chat) attachElsewhere(ctx context.Context, session string) (*flight, error) {
	if c.notifier == nil {
		return nil, nil // no other node, or none that can be followed
	}
	records, err := c.store.Transcript(ctx, Page{Session: session, Limit: laneLength})
	if err != nil {
		return nil, c.storeFailed("look for a turn", session, err)
	}
	now := time.Now()
	for _, r := range records {
		if r.Reply == nil && !r.Began.Before(c.deadBefore(now)) {
			return c.lanes.join(job{Request: Request{Prompt: r.Prompt, Key: r.Key}, session: session, arrived: now, elsewhere: &r})
		}
	}
	return nil, nil
}

// deadBefore returns when a turn that is still not finished must have begun to
// be taken for dead.
func (c *Chat) deadBefore(now time.Time) time.Time {
	return now.Add(-c.cfg.AnswerTimeout - storeTimeout)
}
