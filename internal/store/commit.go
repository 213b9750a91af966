package store

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/comntr/comntr"
)

// Bounds of a commit and of what may wait for one.
const (
	maxBatchItems = 4096
	maxBatchBytes = 8 << 20
	maxRequests   = 256 // waiting requests; more wait in Add
	maxChunkItems = 1024
	maxChunkBytes = 2 << 20 // of one AddAll: in several requests, so that others get in between
)

const (
	itemAdd       = iota // a document
	itemTopic            // an empty topic folder
	itemStrike           // a comment that is to be taken away
	itemForget           // a comment that the deny list no longer denies
	itemDropTopic        // the folder of a topic that the deny list denies
	itemLoosen           // nothing: what was never here may be allowed now
)

// item is one thing asked of the committer.
type item struct {
	kind    int
	doc     *comntr.Document // itemAdd
	topic   comntr.Hash
	comment comntr.Hash // itemStrike, itemForget
	state   byte        // itemStrike: what becomes of it
	from    string
}

func (it *item) size() int {
	if it.doc == nil {
		return 0
	}
	return it.doc.Size()
}

// request is what one caller waits for. results belongs to the committer
// until done is closed.
type request struct {
	items   []item
	results []Result
	done    chan struct{}
}

// work is an item of the commit under way and the place for its result.
type work struct {
	*item
	result *Result
}

// commits is the committer: it takes all that waits, up to a bound, commits
// it as one, and answers.
func (s *Store) commits() {
	defer s.joined.Done()
	defer close(s.quit)
	for first := range s.requests {
		taken := []*request{first}
		count, bytes := first.extent()
		for open := true; open && count < maxBatchItems && bytes < maxBatchBytes; {
			select {
			case r, ok := <-s.requests:
				if open = ok; ok {
					taken = append(taken, r)
					n, b := r.extent()
					count, bytes = count+n, bytes+b
				}
			default:
				open = false
			}
		}
		batch := make([]work, 0, count)
		for _, r := range taken {
			for i := range r.items {
				batch = append(batch, work{&r.items[i], &r.results[i]})
			}
		}
		start, before := time.Now(), s.seq // only the committer changes it
		s.commit(batch)
		if s.seq != before {
			s.meter.committed(batch, start)
		}
		for _, r := range taken {
			close(r.done)
		}
	}
}

func (r *request) extent() (count, bytes int) {
	for i := range r.items {
		bytes += r.items[i].size()
	}
	return len(r.items), bytes
}

// commit makes a batch durable, puts it into the tree and publishes it, and
// sets every result. Items whose files cannot be written get an error, and
// the others are committed without them.
func (s *Store) commit(batch []work) {
	for len(batch) > 0 {
		err := s.failed()
		if err == nil {
			err = s.awaitJournal()
		}
		var rest []work
		if err == nil {
			rest, err = s.commitOnce(batch)
		}
		if err != nil {
			for _, w := range batch {
				*w.result = Result{Err: err}
			}
			return
		}
		batch = rest
	}
}

// commitOnce tries to commit a batch. If files of it cannot be written the
// commit is undone, their items get the error, and the rest is returned to be
// tried again.
func (s *Store) commitOnce(batch []work) (rest []work, err error) {
	b, err := s.plan(batch)
	if err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	defer b.close()
	if b.empty() {
		return nil, nil
	}
	s.setPending(b.held)
	// While the disk makes the commit durable, the files are written. They are in
	// the tree only after that.
	var preparing sync.WaitGroup
	preparing.Go(func() { s.prepare(b) })
	err = b.commit()
	preparing.Wait()
	if err != nil {
		s.discard(b)
		s.disk.release(b.reserved)
		s.setPending(nil)
		return nil, fmt.Errorf("write the index: %w", err)
	}
	failed := s.writeTree(b)
	if len(failed) == 0 {
		s.publish(b)
		return nil, nil
	}
	s.discard(b)
	s.disk.release(b.reserved)
	if err := s.undo(b); err != nil {
		s.fail(err) // and what was not undone stays pending: nobody sees it
		return nil, s.failed()
	}
	s.setPending(nil)
	for i, w := range batch {
		if err := failed[i]; err != nil {
			*w.result = Result{Err: err}
		} else {
			rest = append(rest, w)
		}
	}
	return rest, nil
}

func (s *Store) setPending(held map[key]struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = held
}

// publish makes a commit visible: its files stand in the tree.
func (s *Store) publish(b *plan) {
	topics := slices.Collect(maps.Values(b.topics))
	s.witness.put(s.epoch, b.seq)
	s.mu.Lock()
	s.seq = b.seq
	s.disk.count(s.putTopics(topics) - b.reserved)
	for k := range b.healed {
		delete(s.healing, k)
		s.damage.forget(k)
	}
	s.keepEvents(b.events)
	s.pending = nil
	for h := range b.touched {
		s.journal.dirty[h] = struct{}{}
	}
	s.journal.grow(b.journaled, b.journalBytes)
	s.journal.unlinks = append(s.journal.unlinks, b.unlinkLater...)
	if b.loosened {
		s.loosened = b.seq
	}
	if len(b.gone) > 0 && s.scrubDue.IsZero() {
		s.scrubDue = time.Now().Add(scrubAfter)
	}
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	select {
	case s.kick <- struct{}{}:
	default:
	}
	for _, l := range b.logs {
		l()
	}
}
