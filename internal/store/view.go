package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/comntr/comntr"
)

// ErrUnreplayed: the journal holds what the tree does not show yet, or there is
// no index that can be used. The next start puts it right.
var ErrUnreplayed = errors.New("the folders are not as the index lists them until the next start")

// View opens a closed store for reading and calls fn with it, on which
// Community, Epoch, TopicSeq, TopicsSince, Listing and Read work and nothing
// else may be called. It changes nothing. ErrUnreplayed is for a store that
// was not closed in order.
func View(ctx context.Context, data string, community comntr.Hash, o Options, fn func(*Store) error) (err error) {
	o.Disk = nil // nothing is to be counted twice
	o.Log = slog.New(slog.DiscardHandler)
	s := newStore(data, community, o)
	c := &check{ctx: ctx, s: s, report: func(Fault) {}, journal: make(map[key]byte)}
	folder, err := s.fs.OpenDir(s.dir)
	if err != nil {
		return fmt.Errorf("open the folder of community %s: %w", s.community, err)
	}
	s.setFolder(folder)
	defer func() { err = errors.Join(err, folder.Close()) }()
	if err := c.openIndex(); err != nil {
		return err
	}
	if !c.indexed {
		return ErrUnreplayed
	}
	defer func() { err = errors.Join(err, s.db.Close()) }()
	for k, op := range c.journal {
		if op != opAdd {
			return ErrUnreplayed
		}
		if _, kind, _ := c.file(k.topic, k.comment); kind != "" {
			return ErrUnreplayed
		}
	}
	return fn(s)
}
