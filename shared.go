package parley

import "context"

// A SharedStore is a [Store] that many nodes use at once: any number of
// processes that serve one chat. It counts their limits together and carries
// notes between them.
type SharedStore interface {
	Store
	Limiter
	Notifier
}

// A Notifier carries short notes between the nodes of a chat.
//
// It does its best and no more: a note may be lost where a connection breaks,
// or where a node has more to hear than it can. Notes are not changed on the
// way, do not come twice, and those of one node come in their order.
type Notifier interface {
	// Notify sends a note to everybody who listens to the topic, on any node, this
	// one included. A topic is 1 to 100 visible characters of ASCII, a note up to
	// 4 KiB of anything. What several goroutines send at once may come in any order.
	Notify(ctx context.Context, topic string, note []byte) error

	// Listen calls hear for each note of a topic from now on, one at a time, until
	// stop is called; a call under way then may still go on. hear must not block
	// and must not keep the note.
	Listen(topic string, hear func(note []byte)) (stop func())
}
