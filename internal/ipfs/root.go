package ipfs

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/comntr/comntr"
)

// The community's folder of topics, made of the topics' folders.

func (f *Folders) loadRoot() error {
	rec, err := f.community()
	if err != nil {
		return err
	}
	f.rootMu.Lock()
	defer f.rootMu.Unlock()
	if f.ownRoot = rec.root; rec.partial {
		f.ownRoot = cid.Undef // no id that was ever answered
	}
	return nil
}

// Root returns the id of the community's folder of topics, at least as new as
// every comment acknowledged before the call. One flush runs at a time; a
// caller waits for one that began after it came.
func (f *Folders) Root(ctx context.Context) (cid.Cid, error) {
	var root cid.Cid
	err := f.use(func() (err error) {
		ctx, done := f.during(ctx)
		defer done()
		root, err = f.freshRoot(ctx)
		return err
	})
	if err != nil {
		return cid.Undef, fmt.Errorf("folder of the community: %w", err)
	}
	return root, nil
}

func (f *Folders) freshRoot(ctx context.Context) (cid.Cid, error) {
	f.rootMu.Lock()
	want := f.started + 1 // the first flush that has not begun yet
	f.rootMu.Unlock()
	select {
	case f.rootTurn <- struct{}{}:
	case <-ctx.Done():
		return cid.Undef, ctx.Err()
	}
	defer func() { <-f.rootTurn }()
	f.rootMu.Lock()
	if f.finished >= want && f.ownRoot.Defined() {
		defer f.rootMu.Unlock()
		return f.ownRoot, nil
	}
	f.started++
	n := f.started
	f.rootMu.Unlock()
	start := time.Now()
	rec, err := f.flushRoot(ctx)
	f.meter.rootTime.Since(start)
	if err != nil {
		return cid.Undef, err
	}
	f.rootMu.Lock()
	defer f.rootMu.Unlock()
	f.finished, f.ownRoot = n, rec.root
	return rec.root, nil
}

// Prepare brings the folders of topics that changed up to date, so that little is
// left to do for Root, which nobody has asked for. While busy it rests after each
// for as long as it took: who posts is not to wait for that.
func (f *Folders) Prepare(ctx context.Context, busy func() bool) error {
	var changed []comntr.Hash
	err := f.use(func() error {
		rec, err := f.community()
		if err != nil {
			return err
		}
		_, err = f.src.TopicsSince(rec.since(), func(topic comntr.Hash, _ bool) error {
			changed = append(changed, topic)
			return nil
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	ctx, done := f.during(ctx)
	defer done()
	for _, topic := range changed {
		if err := ctx.Err(); err != nil {
			return err
		}
		start := time.Now()
		err := f.use(func() error {
			_, err := f.fresh(ctx, topic)
			return err
		})
		if err != nil && !errors.Is(err, ErrNoTopic) {
			return fmt.Errorf("topic %s: %w", topic, err)
		}
		if !busy() {
			continue
		}
		rest := time.NewTimer(time.Since(start))
		select {
		case <-rest.C:
		case <-ctx.Done():
			rest.Stop()
		}
	}
	return ctx.Err()
}

// OwnRoot is the last id that Root computed; undefined where there is none. It
// computes nothing.
func (f *Folders) OwnRoot() cid.Cid {
	f.rootMu.Lock()
	defer f.rootMu.Unlock()
	return f.ownRoot
}

func (f *Folders) community() (record, error) {
	b, err := f.db.get([]byte{keyCommunity})
	if b == nil || err != nil {
		return record{}, err
	}
	return decodeRecord(b)
}

func (f *Folders) flushRoot(ctx context.Context) (record, error) {
	rec, err := f.community()
	if err != nil {
		return rec, err
	}
	var removed, listed []comntr.Hash
	since := rec.since()
	upTo, err := f.src.TopicsSince(since, func(topic comntr.Hash, in bool) error {
		if in {
			listed = append(listed, topic)
		} else {
			removed = append(removed, topic)
		}
		return nil
	})
	if err != nil {
		return rec, fmt.Errorf("list topics: %w", err)
	}
	if upTo < since {
		return rec, fmt.Errorf("%w: the community's folder is newer than the community", errDamaged)
	}
	if rec.root.Defined() {
		if since == 0 {
			if removed, err = f.strays(rec.tree, listed); err != nil {
				return rec, err
			}
		}
		again, err := f.missedListed(rec.tree, removed, listed)
		if err != nil {
			return rec, err
		}
		listed = append(listed, again...)
	}
	lost := slices.ContainsFunc(removed, func(topic comntr.Hash) bool {
		_, there := f.src.TopicSeq(topic)
		return !there // not even unlisted: its folder vanished
	})
	names := append(removed, listed...)
	if len(names) == 0 && rec.current(upTo) {
		return rec, nil
	}
	if err := f.room.take(0, forOwn); err != nil {
		return rec, err // before the work
	}
	for from := 0; ; {
		to := min(from+f.limits.chunk, len(names))
		changes, err := f.topicLinks(ctx, names[from:to], len(removed)-from)
		if err != nil {
			return rec, err
		}
		b := f.db.db.NewBatch()
		if lost {
			err = f.unmark(b)
		}
		if err == nil {
			rec.seq, rec.partial = upTo, to < len(names)
			rec, err = f.store(b, []byte{keyCommunity}, rec, ofTopics, changes)
		}
		if err = errors.Join(err, b.Close()); err != nil {
			return rec, err
		}
		if from = to; from == len(names) {
			return rec, nil
		}
	}
}

// topicLinks brings topics up to date, all but the first removed ones, and
// returns what changes in the community's folder.
func (f *Folders) topicLinks(ctx context.Context, topics []comntr.Hash, removed int) ([]change, error) {
	removed = min(max(removed, 0), len(topics))
	changes := make([]change, len(topics))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(min(maxWorkers, runtime.GOMAXPROCS(0)))
	for i, topic := range topics {
		changes[i] = change{name: topic, slot: topic.Slot()}
		if i < removed {
			continue
		}
		group.Go(func() error {
			rec, err := f.fresh(ctx, topic)
			if errors.Is(err, ErrNoTopic) {
				return nil // it went since it was listed
			}
			if err != nil {
				return fmt.Errorf("topic %s: %w", topic, err)
			}
			changes[i].cid, changes[i].size = rec.root, rec.size
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return changes, nil
}
