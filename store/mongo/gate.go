package mongo

import (
	"context"
	"errors"
	"hash/maphash"
	"math/rand/v2"
	"time"
)

// errAgain says that others were faster, and that what they did has to be read.
var errAgain = errors.New("others were faster")

// A gate lets one call through at a time. Calls of one node wait for each other
// here, rather than lose against each other at the server.
type gate chan struct{}

func newGate() gate { return make(gate, 1) }

// again is the function of that name, behind the gate.
func (g gate) again(ctx context.Context, try func() error) error {
	select {
	case g <- struct{}{}:
		defer func() { <-g }()
		return again(ctx, try)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// again calls try until others are not faster. They come to an end sooner when
// not all of them try at once.
func again(ctx context.Context, try func() error) error {
	const longest = 50 * time.Millisecond
	for wait := time.Millisecond; ; wait = min(2*wait, longest) {
		if err := try(); !errors.Is(err, errAgain) {
			return err
		}
		select {
		case <-time.After(rand.N(wait)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// gates has a gate for each session, which a few sessions share.
type gates struct {
	seed  maphash.Seed
	gates [256]gate
}

func newGates() *gates {
	g := &gates{seed: maphash.MakeSeed()}
	for i := range g.gates {
		g.gates[i] = newGate()
	}
	return g
}

func (g *gates) of(session string) gate {
	return g.gates[maphash.String(g.seed, session)%uint64(len(g.gates))]
}
