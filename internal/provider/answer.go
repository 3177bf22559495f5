package provider

import (
	"context"
	"strings"

	"github.com/parley-chat/parley"
)

// maxText is the longest answer, in bytes.
const maxText = 1 << 20

// An End is how a provider ended its answer.
type End int

// The ends. Cut, the zero value, means that it did not.
const (
	Cut      End = iota
	Done         // all is said
	Length       // as much as MaxTokens allows is said
	Filtered     // a content filter stopped it
	TooLong      // we stopped it
)

// An Answer is what a provider says to one turn, while it comes. It is used by
// one goroutine.
type Answer struct {
	service *Service
	emit    func(string)
	text    strings.Builder
	usage   parley.Usage
}

// NewAnswer returns an answer whose pieces go to emit as they come.
func (s *Service) NewAnswer(emit func(string)) *Answer {
	return &Answer{service: s, emit: emit, usage: parley.Usage{Model: s.Model}}
}

// Add takes the next piece. It reports whether there may be more: where not, the
// answer is [TooLong], and nobody should read on.
func (a *Answer) Add(text string) bool {
	if a.text.Len()+len(text) > maxText {
		return false
	}
	if text != "" {
		a.text.WriteString(text)
		a.emit(text)
	}
	return true
}

// Used notes what the provider counted. The last count is the truth; one of 0
// is none.
func (a *Answer) Used(input, output int64) {
	if input > 0 {
		a.usage.InputTokens = int(input)
	}
	if output > 0 {
		a.usage.OutputTokens = int(output)
	}
}

// Reply returns what came of the answer. It notes the usage in turn. err is what
// kept the SDK from reading on, if anything did; it does not matter once the
// answer has ended.
func (a *Answer) Reply(ctx context.Context, turn *parley.Turn, end End, err error) (parley.Reply, error) {
	if a.usage.InputTokens+a.usage.OutputTokens > 0 {
		turn.AddUsage(a.usage)
	}
	reply := parley.Text(a.text.String())
	blank := strings.TrimSpace(reply.Text) == ""
	switch {
	case end == Cut && ctx.Err() != nil:
		return parley.Reply{}, ctx.Err()
	case end == Cut:
		return parley.Reply{}, a.service.unfinished(err)
	case end == TooLong:
		return parley.Reply{}, a.service.Failure(false, "sent an answer of more than %d MiB of text", maxText>>20)
	case end == Filtered:
		return parley.Reply{}, a.service.Failure(false, "stopped the answer with a content filter")
	case end == Length && blank:
		return parley.Reply{}, a.service.Failure(false, "used up all tokens before it said anything: raise MaxTokens, which counts what the model thinks too")
	case blank:
		return parley.Reply{}, a.service.Failure(false, "gave an empty answer")
	}
	if err := reply.Validate(); err != nil {
		return parley.Reply{}, a.service.Failure(false, "gave an answer that cannot be sent: %v", err)
	}
	return reply, nil
}
