package parley

import (
	"context"
	"time"
)

// A Limiter counts hits in fixed windows. The window of a key begins with its
// first hit and lasts as long as that hit says; the first hit after its end
// begins the next.
//
// Take counts one hit of key, atomically over everybody who shares the limiter,
// and returns how many there were in the key's window, this one included. What
// is beyond limit need not be counted on: limit+1 says as much as any larger
// number. Implementations must be safe for concurrent use, and should answer
// within a few milliseconds. What they count need not survive anything.
//
// A [Store] that several nodes share is a Limiter too.
type Limiter interface {
	Take(ctx context.Context, key string, limit int, window time.Duration) (Hit, error)
}

// A Hit is what a [Limiter] says of one hit.
type Hit struct {
	Count int           // hits in the window, this one included
	Reset time.Duration // how long until the window ends
}
