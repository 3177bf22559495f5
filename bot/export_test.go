package bot

import (
	"net/http"

	"github.com/parley-chat/parley"
)

// ReadReply lets the fuzz target read many answers without a backend.
func (r *Relay) ReadReply(resp *http.Response, emit func(string)) (parley.Reply, error) {
	return r.read(resp, emit)
}
