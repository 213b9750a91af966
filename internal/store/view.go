package store

import (
	"context"
	"errors"
	"log/slog"

	"github.com/comntr/comntr"
)

// ErrUnreplayed: the journal holds what the tree does not show yet, or there is
// no index that can be used. The next start puts it right.
var ErrUnreplayed = errors.New("the folders are not as the index lists them until the next start")

// View opens a closed store for reading and calls fn with it, on which what tells
// of topics and comments works (folders are made of that: ipfs.Source) and nothing
// else may be called. It changes nothing. ErrUnreplayed is for a store that
// was not closed in order.
func View(ctx context.Context, data string, community comntr.Hash, o Options, fn func(*Store) error) (err error) {
	o.Log = slog.New(slog.DiscardHandler)
	c := newCheck(ctx, data, community, o, func(Fault) {})
	if err := c.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if !c.indexed {
		return ErrUnreplayed
	}
	for k, op := range c.journal {
		if op != opAdd {
			return ErrUnreplayed
		}
		if _, kind, _ := c.file(k.topic, k.comment); kind != "" {
			return ErrUnreplayed
		}
	}
	return fn(c.s)
}
