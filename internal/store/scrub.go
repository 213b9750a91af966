package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// When the bytes of comments that were taken away leave the index's own files.
// SPEC.md promises within the hour.
const (
	scrubAfter   = 20 * time.Minute // after the first one; others that follow go with it
	scrubAtStart = time.Minute      // where a start finds that it was due
	scrubRetry   = 5 * time.Minute  // after a failure
)

// scrub has the index's own files forget the bytes of comments that were taken
// away. The journal had them: a checkpoint drops it, a compaction of its range
// rewrites the tables without it, and then the write-ahead logs before that are
// removed. Pebble keeps some old logs to write new ones over them, and of a new
// one the rest is still an old one: hence two turns. Indexes that were moved
// aside are removed too.
func (s *Store) scrub(ctx context.Context) error {
	if err := s.checkpoint(); err != nil {
		return err
	}
	if err := s.db.Compact(ctx, journalKey(0), []byte{keyJournal + 1}, false); err != nil {
		return fmt.Errorf("compact the journal: %w", err)
	}
	for range 2 {
		last := s.logs.last()
		flushed, err := s.db.AsyncFlush()
		if err != nil {
			return fmt.Errorf("write out the index: %w", err)
		}
		select {
		case <-flushed:
		case <-ctx.Done(): // on a full disk it is tried for ever
			return ctx.Err()
		}
		if err := s.logs.remove(s.fs, last); err != nil {
			return fmt.Errorf("remove the index's old logs: %w", err)
		}
	}
	names, err := s.fs.List(s.hidden)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, asidePrefix) {
			s.log.Info("an index that was moved aside is removed: bytes of deleted comments may be in it", "name", name)
			if err := s.fs.RemoveAll(s.fs.PathJoin(s.hidden, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// scrubNow scrubs if it is due, and tells when it will be.
func (s *Store) scrubNow() (wait time.Duration, ok bool) {
	s.mu.RLock()
	due := s.scrubDue
	s.mu.RUnlock()
	if due.IsZero() {
		return 0, false
	}
	if wait := time.Until(due); wait > 0 {
		return wait, true
	}
	// What is taken away from here on is the next one's.
	s.mu.Lock()
	s.scrubDue = time.Time{}
	upTo := s.seq
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-s.quit:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := s.scrub(ctx); err != nil {
		if ctx.Err() == nil {
			s.log.Warn("bytes of comments that were taken away are still in the index's own files: it is tried again", "err", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.scrubDue = time.Now().Add(scrubRetry)
		return scrubRetry, true
	}
	s.db.DeleteRange(metaKey(metaScrub), scrubKey(upTo+1), pebble.NoSync) // lost: it is done once more
	s.mu.RLock()
	defer s.mu.RUnlock()
	return scrubAfter, !s.scrubDue.IsZero()
}

// logs knows the index's write-ahead logs by the numbers in their names.
type logs struct {
	dir func() string

	mu      sync.Mutex
	created uint64 // the last one
}

func logNumber(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, ".log")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil
}

func (l *logs) last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.created
}

// remove removes the logs up to a number, none of which is needed.
func (l *logs) remove(on vfs.FS, upTo uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	names, err := on.List(l.dir())
	if err != nil {
		return err
	}
	for _, name := range names {
		if n, ok := logNumber(name); ok && n <= upTo {
			if err := on.Remove(on.PathJoin(l.dir(), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// indexFS is the file system as the index sees it: an old log that it wants to
// write over may be gone, and a marker comes after what it marks.
type indexFS struct {
	pacedFS
	logs *logs
}

func (f indexFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if n, ok := logNumber(f.PathBase(name)); ok {
		f.logs.mu.Lock()
		defer f.logs.mu.Unlock()
		f.logs.created = max(f.logs.created, n)
	}
	if strings.HasPrefix(f.PathBase(name), markerPrefix) {
		// Pebble has synced the manifest that it marks, but not the folder that
		// has its name: a power cut could leave the marker alone, and the index
		// could not be opened, journal and all. TestLivesCut.
		if err := f.syncFolder(f.PathDir(name)); err != nil {
			return nil, err
		}
	}
	file, err := f.pacedFS.Create(name, c)
	if _, ok := logNumber(f.PathBase(name)); ok && err == nil && f.fill(file) {
		file = filledLog{file}
	}
	return file, err
}

// filledLog has its blocks. To ask for them again would change nothing, but has
// the next sync wait for all that the file system has under way.
type filledLog struct{ vfs.File }

func (filledLog) Preallocate(offset, length int64) error { return nil }

// fill gives a new log the length that it will get, in blocks of its own: to sync
// what is written over them is to write it, while each sync of a log that grows
// makes the file system commit all that it has under way, every comment's file
// among it, and the committer waits for that. What is not filled is only slower.
// Pebble takes zeros for the end of a log; and later logs are written over old ones.
func (f indexFS) fill(log vfs.File) bool {
	if log.Fd() == vfs.InvalidFd { // a test in memory
		return false
	}
	if u, err := f.GetDiskUsage(f.logs.dir()); err != nil || u.AvailBytes < 2*reserveMax {
		return false
	}
	zeros := make([]byte, 256<<10)
	for at := int64(0); at < memTableSize; at += int64(len(zeros)) {
		if _, err := log.WriteAt(zeros, at); err != nil {
			return false
		}
	}
	return log.Sync() == nil
}

// markerPrefix begins the names of the files by which the index marks which of
// its own files count.
const markerPrefix = "marker."

func (f indexFS) syncFolder(dir string) error {
	d, err := f.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (f indexFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f.logs.mu.Lock()
	defer f.logs.mu.Unlock()
	if n, ok := logNumber(f.PathBase(newname)); ok {
		f.logs.created = max(f.logs.created, n)
	}
	file, err := f.pacedFS.ReuseForWrite(oldname, newname, c)
	if errors.Is(err, fs.ErrNotExist) {
		return f.pacedFS.Create(newname, c)
	}
	if err == nil {
		file = filledLog{file}
	}
	return file, err
}
