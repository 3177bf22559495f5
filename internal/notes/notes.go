// Package notes hands the notes of a [parley.Notifier] to those who listen on
// this node. A store that carries notes between nodes brings each of them here.
package notes

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// MaxNote is the longest note, in bytes.
const MaxNote = 4 << 10

const maxTopic = 100

// Encode writes a note and its topic in one piece, to be sent between nodes, or
// says what is wrong with them.
func Encode(topic string, note []byte) ([]byte, error) {
	switch {
	case topic == "" || len(topic) > maxTopic || strings.IndexFunc(topic, func(r rune) bool { return r < '!' || r > '~' }) >= 0:
		return nil, fmt.Errorf("%.120q is no topic of a note; use 1 to %d visible characters of ASCII", topic, maxTopic)
	case len(note) > MaxNote:
		return nil, fmt.Errorf("a note of %d bytes is longer than %d", len(note), MaxNote)
	}
	return append(append([]byte(topic), ' '), note...), nil
}

// A Hub knows who listens to which topic. Its zero value is ready. All methods
// are safe for concurrent use.
type Hub struct {
	mu        sync.Mutex
	listeners map[string][]*listener
}

// A listener is a pointer, so that two with the same function are two.
type listener struct {
	hear func(note []byte)
}

// Listen is what [parley.Notifier] says.
func (h *Hub) Listen(topic string, hear func(note []byte)) (stop func()) {
	l := &listener{hear}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listeners == nil {
		h.listeners = map[string][]*listener{}
	}
	h.listeners[topic] = append(h.listeners[topic], l)
	return func() { h.remove(topic, l) }
}

func (h *Hub) remove(topic string, l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var left []*listener // a new list: Deliver may be reading the other
	for _, other := range h.listeners[topic] {
		if other != l {
			left = append(left, other)
		}
	}
	if len(left) == 0 {
		delete(h.listeners, topic)
		return
	}
	h.listeners[topic] = left
}

// Listening reports whether anybody listens to anything.
func (h *Hub) Listening() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.listeners) > 0
}

// errNoNote is what Deliver returns for what Encode did not write.
var errNoNote = errors.New("it has no topic")

// Deliver hands what Encode wrote to those who listen. It must be called by one
// goroutine only, in the order in which notes came.
func (h *Hub) Deliver(data []byte) error {
	topic, note, ok := bytes.Cut(data, []byte(" "))
	if !ok {
		return errNoNote
	}
	h.mu.Lock()
	listeners := h.listeners[string(topic)]
	h.mu.Unlock()
	for _, l := range listeners {
		l.hear(note)
	}
	return nil
}
