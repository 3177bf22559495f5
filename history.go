package parley

import (
	"net/http"
	"strconv"
	"time"
)

// historyTurn is an answered turn as a client reads it back.
type historyTurn struct {
	Seq    int       `json:"seq"`
	Prompt string    `json:"prompt"`
	Reply  *Reply    `json:"reply"`
	Time   time.Time `json:"time"`
}

const (
	historyLimit     = 50
	historyLimitMost = 200
)

// serveHistory answers with the newest turns of the conversation that the
// request's token names, oldest first: what a bot remembers of it, no more. A
// session id names no conversation here.
func (c *Chat) serveHistory(w http.ResponseWriter, r *http.Request) {
	token, err := c.requireToken(w, r)
	if err != nil {
		WriteError(w, err)
		return
	}
	before, errBefore := intParam(r, "before", 0, 1<<31-1)
	limit, errLimit := intParam(r, "limit", historyLimit, historyLimitMost)
	if errBefore != nil || errLimit != nil || limit == 0 {
		WriteError(w, &Error{Code: CodeInvalid, Message: "Invalid before or limit"})
		return
	}
	session := c.sessions.key(Request{token: token})
	newest, err := c.store.Transcript(r.Context(), Page{Session: session, Limit: 1})
	var records []Record
	if err == nil && len(newest) == 1 && !newest[0].lastMessage().Before(time.Now().Add(-c.cfg.SessionTTL)) {
		// One more than asked for tells whether there are more.
		records, err = c.store.Transcript(r.Context(), Page{Session: session, From: newest[0].First, Before: before, Limit: limit + 1})
	}
	if err != nil {
		WriteError(w, c.storeFailed("read a history", session, err))
		return
	}
	more := len(records) > limit
	if more {
		records = records[1:]
	}
	turns := []historyTurn{}
	for _, record := range records {
		if record.Reply != nil {
			turns = append(turns, historyTurn{record.Seq, record.Prompt, record.Reply, record.Began.UTC().Truncate(time.Millisecond)})
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"turns": turns, "more": more})
}

// intParam returns a query parameter that must be a number from 0 to most.
func intParam(r *http.Request, name string, otherwise, most int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n > uint64(most) {
		return 0, strconv.ErrRange
	}
	return int(n), nil
}
