package mongo

import (
	"context"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
)

// clock is the server's, so that all nodes count by the same. A server without
// aggregation in updates has no way to use it by itself.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration // of the node's own
	asked time.Time
}

// clockTrust is how long to go by the node's own clock before the server's is
// looked at again.
const clockTrust = time.Minute

// now returns the time at the server.
func (c *clock) now(ctx context.Context, client *driver.Client) (time.Time, error) {
	c.mu.Lock()
	ahead, old := c.ahead, time.Since(c.asked) > clockTrust
	if old {
		c.asked = time.Now() // one asks, and the others go by what is known
	}
	c.mu.Unlock()
	if old {
		return time.Now().Add(ahead), c.set(ctx, client)
	}
	return time.Now().Add(ahead), nil
}

// set asks the server for the time.
func (c *clock) set(ctx context.Context, client *driver.Client) error {
	before := time.Now()
	var hello struct {
		LocalTime time.Time `bson:"localTime"`
	}
	if err := client.Database("admin").RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello); err != nil {
		return err
	}
	after := time.Now()
	// It said so somewhere between the two, in milliseconds. Clocks that agree as
	// far as can be told are left alone: all nodes have the same then.
	least, most := hello.LocalTime.Sub(after), hello.LocalTime.Add(time.Millisecond).Sub(before)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead, c.asked = min(max(0, least), most), after
	return nil
}
