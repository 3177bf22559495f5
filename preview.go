package parley

import (
	"sync"
	"unicode/utf8"
)

// A preview is what a bot has emitted for a turn so far. One goroutine writes
// it, and any number read it, each from where it is. The zero value is empty.
type preview struct {
	mu    sync.Mutex
	turn  Record // what began; its Seq is 0 before that
	text  []byte
	grown chan struct{} // closed when there is more; nil while nobody waits for it
}

// begin says which turn the text belongs to.
func (p *preview) begin(turn Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn, p.text = turn, nil
	p.wake()
}

// add takes what the bot emits. What goes beyond the longest reply is dropped:
// such a reply will be refused.
func (p *preview) add(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = append(p.text, text[:min(len(text), maxReply-len(p.text))]...)
	p.wake()
}

func (p *preview) wake() {
	if p.grown != nil {
		close(p.grown)
		p.grown = nil
	}
}

// length returns how many bytes there are.
func (p *preview) length() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.text)
}

// since returns the turn, the text behind the first from bytes, and where it
// ends. Where there is nothing new, grown is closed as soon as there may be. A
// character whose end was not emitted yet is left for later.
func (p *preview) since(from int) (turn Record, text string, end int, grown <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	end = max(from, len(p.text)-unfinished(p.text))
	if end > from {
		return p.turn, string(p.text[from:end]), end, nil
	}
	if p.grown == nil {
		p.grown = make(chan struct{})
	}
	return p.turn, "", from, p.grown
}

// unfinished returns how many bytes at the end of text begin a character that
// they do not end.
func unfinished(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if last := text[len(text)-n:]; utf8.RuneStart(last[0]) {
			if utf8.FullRune(last) {
				return 0
			}
			return n
		}
	}
	return 0
}
