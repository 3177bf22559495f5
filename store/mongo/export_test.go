package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// OpenWith opens a store with further options of the driver.
func OpenWith(ctx context.Context, cfg Config, opts *options.ClientOptions) (*Store, error) {
	return open(ctx, cfg, opts)
}

// DatabaseName returns the name of the database of a URL.
var DatabaseName = databaseName
