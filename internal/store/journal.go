package store

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/comntr/comntr"
)

// When a checkpoint is made, and how far the journal may grow if it cannot. While
// one is made, commits wait for the disk, which writes a thousand files in 10
// ms: so they are small, and a post never waits long. The smaller they are the less
// long it waits and the more of them there are: where few post at a time the machine
// has time for that (group.few).
const (
	checkpointItems = 2000
	checkpointFew   = 500
	checkpointBytes = 4 << 20          // as much as half of so many small files take
	checkpointAge   = 10 * time.Second // since the journal's first entry; also the pause after a failure
	maxJournalBytes = 256 << 20
)

// journal is what is known of the journal's entries that no checkpoint has
// dropped yet. Store.mu guards it.
type journal struct {
	max     int64 // bytes
	items   int
	bytes   int64
	first   time.Time // when its first entry came
	few     bool      // the last commit was one of few posts
	dirty   map[comntr.Hash]struct{}
	unlinks []key // files of removed comments that are still there
	rewrite bool  // a sync failed: no file of the journal is trusted until it is written anew
	err     error // of the last checkpoint
	failed  time.Time
	done    chan struct{} // closed when a checkpoint ends
}

func (j *journal) grow(items int, bytes int64) {
	if items > 0 && j.items == 0 {
		j.first = time.Now()
	}
	j.items += items
	j.bytes += bytes
}

// awaitJournal holds the committer back while the journal is far too long.
func (s *Store) awaitJournal() error {
	for {
		s.mu.RLock()
		full, err, done := s.journal.bytes > s.journal.max, s.journal.err, s.journal.done
		s.mu.RUnlock()
		if !full {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the journal is full, because the files cannot be made durable: %w", err)
		}
		<-done
	}
}

// checkpoints makes a checkpoint when one is due, until the committer ends.
func (s *Store) checkpoints() {
	defer s.joined.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-s.kick:
		case <-timer.C:
		}
		for {
			wait, due := s.checkpointDue()
			if !due || wait > 0 {
				scrub, later := s.scrubNow()
				if later && (!due || scrub < wait) {
					wait, due = scrub, true
				}
				if due {
					timer.Reset(wait)
				}
				break
			}
			if err := s.checkpoint(); err != nil {
				s.log.Error("the files could not be made durable: the journal keeps them, it is tried again", "err", err)
			}
		}
	}
}

// These bound a commit of few posts, whose files the disk begins to write at once, and
// after which a checkpoint comes sooner. Those of a larger one, which is a copy's, are written faster together, and nobody posts them;
// and where more post at a time than this, the machine's whole time is wanted.
const (
	maxFewFiles = 256
	maxFewCrowd = 40
)

// beginEarly has the disk begin to write files as soon as they are answered, so that
// a checkpoint, behind which every post waits, finds little left to write.
func (s *Store) beginEarly() {
	defer s.joined.Done()
	for {
		select {
		case <-s.quit:
			return
		case files := <-s.placed:
			for i := range files {
				s.at.begin(files[i].place())
			}
		}
	}
}

// checkpointDue tells in how long a checkpoint is due, if there is anything
// in the journal.
func (s *Store) checkpointDue() (wait time.Duration, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	j := &s.journal
	if j.items == 0 {
		return 0, false
	}
	if j.err != nil {
		return checkpointAge - time.Since(j.failed), true
	}
	most := checkpointItems
	if j.few {
		most = checkpointFew
	}
	if j.items >= most || j.bytes >= checkpointBytes {
		return 0, true
	}
	return checkpointAge - time.Since(j.first), true
}

// checkpoint makes the files of all that is published durable and drops their
// bytes from the journal.
func (s *Store) checkpoint() error {
	s.checkpointing.Lock()
	defer s.checkpointing.Unlock()
	s.mu.Lock()
	upTo, start := s.seq, time.Now()
	items, bytes := s.journal.items, s.journal.bytes
	rewrite, unlinks, dirty := s.journal.rewrite, s.journal.unlinks, s.journal.dirty
	s.journal.unlinks, s.journal.dirty = nil, make(map[comntr.Hash]struct{})
	mtimes := make(map[comntr.Hash]int64, len(dirty))
	for h := range dirty {
		if t := s.topics[h]; t != nil {
			mtimes[h] = t.mtime
		}
	}
	s.mu.Unlock()
	if items == 0 && len(dirty) == 0 {
		return nil
	}
	err := s.settle(upTo, rewrite, unlinks, mtimes)
	s.meter.checkpointTime.Since(start)
	if err != nil {
		s.meter.failedCheckpoints.Add(1)
		// Should the process die before the next try, the next start must not
		// trust the files either: the cache may hold what the disk does not.
		err = errors.Join(err, s.db.Set(metaKey(metaRewrite), appendUint64(nil, 1), pebble.Sync))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	j := &s.journal
	if j.err = err; err != nil {
		j.failed = time.Now()
		j.rewrite = true
		maps.Copy(j.dirty, dirty)
		j.unlinks = append(j.unlinks, unlinks...)
	} else {
		j.rewrite = false
		j.items -= items
		j.bytes -= bytes
		j.first = start
	}
	close(j.done)
	j.done = make(chan struct{})
	return err
}

func (s *Store) settle(upTo uint64, rewrite bool, unlinks []key, mtimes map[comntr.Hash]int64) error {
	for _, k := range unlinks {
		if err := s.unlinkLate(k); err != nil {
			return err
		}
	}
	if rewrite {
		err := s.scanJournal(upTo, func(e journalEntry) error { return s.rewrite(e) })
		if err != nil {
			return fmt.Errorf("write files anew: %w", err)
		}
	}
	if err := s.syncTree(upTo); err != nil {
		return err
	}
	b := s.db.NewBatch()
	defer b.Close()
	s.recordTimes(b, mtimes)
	if err := b.DeleteRange(journalKey(0), journalKey(upTo+1), nil); err != nil {
		return err
	}
	b.Delete(metaKey(metaRewrite), nil)
	// Not synced: should it be lost, the journal is replayed once more.
	return b.Commit(pebble.NoSync)
}

// unlinkLate unlinks what could not be when it was taken away, unless it has come
// again since.
func (s *Store) unlinkLate(k key) error {
	s.tree.Lock()
	defer s.tree.Unlock()
	held, err := s.holdsEntry(k)
	if err != nil || held {
		return err
	}
	return s.unlink(k)
}

// holdsEntry tells whether the index has a comment's file.
func (s *Store) holdsEntry(k key) (bool, error) {
	e, err := s.getEntry(k.topic, k.comment)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	return err == nil && e.held(), err
}

// recordTimes writes the folders' modification times at which they equal the
// index.
func (s *Store) recordTimes(b *pebble.Batch, mtimes map[comntr.Hash]int64) {
	for h, t := range mtimes {
		if t == 0 || !s.native {
			b.Delete(topicKey(keyTime, h), nil)
		} else {
			b.Set(topicKey(keyTime, h), appendUint64(nil, uint64(t)), nil)
		}
	}
}

// syncTree makes durable what the journal holds up to a number. One syncfs
// does it for all files; where there is none each file, then its folder, then
// the community's is synced. The descriptor is the one that was opened before
// anything was written: a new one would not be told of errors that another
// process has been told of.
func (s *Store) syncTree(upTo uint64) error {
	if s.native {
		if ok, err := syncfs(s.folder.Fd()); ok {
			if err != nil {
				return fmt.Errorf("syncfs: %w", err)
			}
			return nil
		}
	}
	topics := make(map[comntr.Hash]struct{})
	err := s.scanJournal(upTo, func(e journalEntry) error {
		topics[e.topic] = struct{}{}
		if e.op != opAdd {
			return nil
		}
		err := s.syncFile(s.path(e.topic, e.comment))
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := s.rewrite(e); err != nil { // taken away by other hands, unless its author did
			return err
		}
		if err := s.syncFile(s.path(e.topic, e.comment)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.syncFolders(topics)
}

// syncFolders syncs topics' folders, but one that was taken away with its topic,
// then the community's.
func (s *Store) syncFolders(topics map[comntr.Hash]struct{}) error {
	for h := range topics {
		if err := s.syncFolder(s.topicPath(h)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return s.folder.Sync()
}

func (s *Store) syncFile(path string) error {
	f, err := s.fs.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// rewrite writes a file of the journal anew, unless its comment has been
// removed since.
func (s *Store) rewrite(e journalEntry) error {
	s.tree.Lock()
	defer s.tree.Unlock()
	if e.op == opRemove {
		return nil
	}
	if err := s.fs.MkdirAll(s.topicPath(e.topic), folderMode); err != nil || e.op == opFolder {
		return err
	}
	held, err := s.holdsEntry(key{e.topic, e.comment})
	if err != nil || !held {
		return err
	}
	// The folder's time moves, and is not the recorded one any more: the next
	// commit there, or the next start, sees that and compares.
	var buffer []byte
	return s.place(s.path(e.topic, e.comment), e.bytes, &buffer)
}

// journalEntryBytes is the length of an entry's value before its bytes.
const journalEntryBytes = 1 + 20 + 20

// journalEntry is one thing to be done in the tree. bytes are valid only
// during a call.
type journalEntry struct {
	op             byte
	topic, comment comntr.Hash
	bytes          []byte
}

func (s *Store) scanJournal(upTo uint64, fn func(journalEntry) error) error {
	o := &pebble.IterOptions{LowerBound: journalKey(0), UpperBound: journalKey(upTo + 1)}
	return s.scan(o, func(k, v []byte) error {
		if len(k) != 9 || len(v) < journalEntryBytes {
			return fmt.Errorf("%w: an entry of the journal has %d and %d bytes", pebble.ErrCorruption, len(k), len(v))
		}
		return fn(journalEntry{v[0], comntr.Hash(v[1:21]), comntr.Hash(v[21:41]), v[41:]})
	})
}

// replay brings into the tree what the journal holds and a crash may have
// taken from it.
func (s *Store) replay() error {
	rewrite, err := s.getMeta(metaRewrite)
	if err != nil && !errors.Is(err, pebble.ErrNotFound) {
		return err
	}
	j := &s.journal
	j.rewrite = rewrite != 0
	var buffer []byte
	written := 0
	err = s.scanJournal(s.seq, func(e journalEntry) error {
		j.grow(1, journalEntryBytes+int64(len(e.bytes)))
		j.dirty[e.topic] = struct{}{}
		if e.op == opRemove {
			return s.unlink(key{e.topic, e.comment})
		}
		if err := s.fs.MkdirAll(s.topicPath(e.topic), folderMode); err != nil || e.op == opFolder {
			return err
		}
		path := s.path(e.topic, e.comment)
		_, same, err := s.holds(path, e.bytes)
		if err != nil || same && !j.rewrite {
			return err
		}
		written++
		return s.place(path, e.bytes, &buffer)
	})
	if err == nil && j.items > 0 {
		s.log.Info("the journal was replayed", "entries", j.items, "written", written)
	}
	return err
}
