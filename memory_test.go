package parley_test

import (
	"testing"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/parleytest"
)

func TestMemory(t *testing.T) {
	parleytest.Store(t, func(*testing.T) parley.Store { return parley.NewMemory() })
}
