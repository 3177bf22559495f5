package notes_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/parley-chat/parley/internal/notes"
)

func send(t *testing.T, h *notes.Hub, topic, note string) {
	t.Helper()
	data, err := notes.Encode(topic, []byte(note))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Deliver(data); err != nil {
		t.Fatal(err)
	}
}

func TestNotesReachThoseWhoListen(t *testing.T) {
	var h notes.Hub
	var one, two, other []string
	into := func(heard *[]string) func([]byte) {
		return func(note []byte) { *heard = append(*heard, string(note)) }
	}
	send(t, &h, "a", "to nobody")
	stopOne := h.Listen("a", into(&one))
	stopTwo := h.Listen("a", into(&two))
	defer h.Listen("b", into(&other))()
	send(t, &h, "a", "first")
	send(t, &h, "a", "with spaces, \x00 and nothing:\n")
	stopOne()
	stopOne() // changes nothing
	send(t, &h, "a", "")
	stopTwo()
	send(t, &h, "a", "to nobody")
	for _, test := range []struct {
		who         string
		heard, want []string
	}{
		{"the first", one, []string{"first", "with spaces, \x00 and nothing:\n"}},
		{"the second", two, []string{"first", "with spaces, \x00 and nothing:\n", ""}},
		{"who listens to another topic", other, nil},
	} {
		if !slices.Equal(test.heard, test.want) {
			t.Errorf("%s heard %q, want %q", test.who, test.heard, test.want)
		}
	}
}

func TestListening(t *testing.T) {
	var h notes.Hub
	if h.Listening() {
		t.Error("somebody listens to a new hub, want nobody")
	}
	stop := h.Listen("a", func([]byte) {})
	if !h.Listening() {
		t.Error("nobody listens, want one who does")
	}
	stop()
	if h.Listening() {
		t.Error("somebody listens still, want nobody")
	}
}

func TestNotesThatCannotBeSent(t *testing.T) {
	for _, test := range []struct{ name, topic, note string }{
		{"no topic", "", "x"},
		{"a topic with a space", "a b", "x"},
		{"a topic with a letter that is not ASCII", "ä", "x"},
		{"a long topic", strings.Repeat("a", 101), "x"},
		{"a long note", "a", strings.Repeat("x", notes.MaxNote+1)},
	} {
		if _, err := notes.Encode(test.topic, []byte(test.note)); err == nil {
			t.Errorf("%s: it was encoded, want an error", test.name)
		}
	}
	if _, err := notes.Encode(strings.Repeat("a", 100), make([]byte, notes.MaxNote)); err != nil {
		t.Errorf("the longest topic and note: %v", err)
	}
	if err := new(notes.Hub).Deliver([]byte("nothing")); err == nil {
		t.Error("what is no note was delivered, want an error")
	}
}
