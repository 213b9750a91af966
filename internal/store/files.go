package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr"
)

// folderMode is that of the folders of communities and topics.
const folderMode = 0o755

// writeCategory is what Pebble's file systems want to be told of each file.
const writeCategory vfs.DiskWriteCategory = "comntr"

func (s *Store) topicPath(topic comntr.Hash) string {
	return s.fs.PathJoin(s.dir, topic.String())
}

func (s *Store) path(topic, comment comntr.Hash) string {
	return s.fs.PathJoin(s.dir, topic.String(), comment.String())
}

// setFolder takes the community's open folder. A descriptor tells the
// operating system's own files from those of a test in memory, which have no
// useful modification times and no symbolic links.
func (s *Store) setFolder(f vfs.File) {
	s.folder = f
	s.native = f.Fd() != vfs.InvalidFd
}

// makeFolders makes the community's folder and the hidden ones, durably.
func (s *Store) makeFolders(data string) error {
	if err := s.fs.MkdirAll(s.tmp, folderMode); err != nil {
		return err
	}
	for _, dir := range []string{s.hidden, s.dir, data} {
		if err := s.syncFolder(dir); err != nil {
			return err
		}
	}
	if err := s.syncFolder(s.fs.PathDir(data)); !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil // it is another's, who made data
}

func (s *Store) syncFolder(dir string) error {
	f, err := s.fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// asidePrefix begins the names of indexes that could not be used.
const asidePrefix = "index.old-"

// moveIndexAside renames the index to a name that is free.
func (s *Store) moveIndexAside() error {
	for i := 1; ; i++ {
		aside := s.fs.PathJoin(s.hidden, asidePrefix+strconv.Itoa(i))
		_, err := s.fs.Stat(aside)
		if err == nil {
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := s.fs.Rename(s.indexPath(), aside); err != nil {
			return err
		}
		s.fs.Remove(s.fs.PathJoin(s.hidden, witnessName)) // one that is left says the same again
		return s.syncFolder(s.hidden)
	}
}

func (s *Store) clearTmp() error {
	names, err := s.fs.List(s.tmp)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.fs.RemoveAll(s.fs.PathJoin(s.tmp, name)); err != nil {
			return err
		}
	}
	return nil
}

// lstat does not follow symbolic links where there are any.
func (s *Store) lstat(path string) (os.FileInfo, error) {
	if s.native {
		return os.Lstat(path)
	}
	return s.fs.Stat(path)
}

// readFile reads a file that should have size bytes; of a longer one it
// returns one byte more.
func (s *Store) readFile(path string, size int64) ([]byte, error) {
	f, err := s.fs.Open(path)
	if err != nil {
		return nil, err
	}
	b := make([]byte, size+1)
	n, err := io.ReadFull(f, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return b[:n], nil
}

// holds tells whether the file at path has exactly these bytes, which one that
// the disk cannot read has not; an error is for what is no regular file, or may
// not be read.
func (s *Store) holds(path string, want []byte) (exists, same bool, err error) {
	fi, err := s.lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	if !fi.Mode().IsRegular() {
		return true, false, fmt.Errorf("%s is not a regular file: move it away", path)
	}
	if fi.Size() != int64(len(want)) {
		return true, false, nil
	}
	b, err := s.readFile(path, int64(len(want)))
	if err != nil && !unreadable(err) {
		return true, false, err
	}
	return true, err == nil && bytes.Equal(b, want), nil
}

// place puts a file into the tree by rename, so that no other program ever
// sees a part of it. It replaces only what has other bytes than its name says.
func (s *Store) place(path string, b []byte, buffer *[]byte) error {
	tmp := s.fs.PathJoin(s.tmp, strconv.FormatUint(s.tmpCount.Add(1), 10))
	f, err := s.fs.Create(tmp, writeCategory)
	if err == nil {
		// A vfs.File may change what it is given to write.
		*buffer = append((*buffer)[:0], b...)
		_, err = f.Write(*buffer)
		if err = errors.Join(err, f.Close()); err == nil {
			err = s.fs.Rename(tmp, path)
		}
	}
	if err != nil {
		s.fs.Remove(tmp) // what is left is removed at the next start
	}
	return err
}

// writeTree makes the folders and files of a committed plan and unlinks what
// is gone. It returns an error for each item, by its index in the batch, whose
// file could not be written; then nothing was unlinked.
func (s *Store) writeTree(b *plan) map[int]error {
	s.tree.Lock()
	defer s.tree.Unlock()
	failed := make(map[int]error)
	unmade := make(map[comntr.Hash]error)
	for h := range b.touched {
		if err := s.enterFolder(b, h); err != nil {
			unmade[h] = err
			if i, ok := b.folders[h]; ok {
				failed[i] = diskError(err)
			}
		}
	}
	for _, f := range b.files {
		err := unmade[f.topic]
		if err == nil {
			err = s.writeFile(b, f)
		}
		if err == nil {
			continue
		}
		failed[f.item] = diskError(err)
		if errors.Is(failed[f.item], ErrFull) {
			// The others would not fit either.
			for _, other := range b.files {
				failed[other.item] = failed[f.item]
			}
			for _, i := range b.folders {
				failed[i] = failed[f.item]
			}
			break
		}
	}
	if len(failed) > 0 {
		return failed
	}
	s.takeAway(b)
	if s.native {
		for h := range b.touched {
			if t := b.topics[h]; t != nil && t.mtime != 0 {
				t.mtime = s.mtime(h)
				if _, lost := b.lost[h]; lost {
					t.mtime = 0
				}
			}
		}
	}
	return nil
}

// takeAway unlinks the files of what a committed plan takes away, and removes
// the folders of topics. What cannot be unlinked now is tried again.
func (s *Store) takeAway(b *plan) {
	for _, k := range b.gone {
		if err := s.unlink(k); err != nil {
			s.log.Error("the file of a comment that was taken away could not be unlinked: it is tried again", "topic", k.topic, "comment", k.comment, "err", err)
			b.unlinkLater = append(b.unlinkLater, k)
		}
	}
	for _, k := range b.strays {
		if err := s.unlink(k); err != nil { // the next start looks at it
			s.log.Error("the file of a comment that is refused could not be unlinked", "topic", k.topic, "comment", k.comment, "err", err)
		}
	}
	for _, h := range b.dropped {
		if err := s.fs.Remove(s.topicPath(h)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("the folder of a denied topic could not be removed: other hands may have put something there", "topic", h, "err", err)
		}
	}
}

// enterFolder makes a topic's folder where it is not there, and finds out
// whether other hands have written into it since the store did.
func (s *Store) enterFolder(b *plan, h comntr.Hash) error {
	t := b.topics[h]
	dir := s.topicPath(h)
	fi, err := s.lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		b.madeFolders = append(b.madeFolders, h)
		if t != nil {
			t.mtime = 0
			if _, isNew := b.folders[h]; isNew {
				t.mtime = 1 // ours from the first: writeTree sets the right one
			}
		}
		return s.fs.MkdirAll(dir, folderMode)
	}
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return fmt.Errorf("%s is not a folder: move it away", dir)
	}
	if t != nil && s.native && fi.ModTime().UnixNano() != t.mtime {
		t.mtime = 0
	}
	return nil
}

// mtime is a topic folder's modification time in ns, 0 if it cannot be read.
func (s *Store) mtime(h comntr.Hash) int64 {
	fi, err := s.lstat(s.topicPath(h))
	if err != nil {
		return 0
	}
	return fi.ModTime().UnixNano()
}

// racy is how near to now a modification time may lie before a later write
// might bear the same one.
const racy = 2 * time.Second

func (s *Store) writeFile(b *plan, f file) error {
	path := s.path(f.topic, f.comment)
	_, same, err := s.holds(path, f.bytes)
	if err != nil || same {
		return err
	}
	if _, heals := b.healed[f.key]; !heals { // its entry stays, and so must what stands there
		b.attempted = append(b.attempted, f.key)
	}
	return s.place(path, f.bytes, &s.write)
}

func (s *Store) unlink(k key) error {
	err := s.fs.Remove(s.path(k.topic, k.comment))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// undo takes a committed plan back, whose files could not all be written.
func (s *Store) undo(b *plan) error {
	s.tree.Lock()
	defer s.tree.Unlock()
	var errs []error
	for _, k := range b.attempted {
		if err := s.unlink(k); err != nil {
			if _, gone := s.lstat(s.path(k.topic, k.comment)); !errors.Is(gone, fs.ErrNotExist) {
				errs = append(errs, fmt.Errorf("take back %s/%s: %w", k.topic, k.comment, err))
			}
		}
	}
	for _, h := range b.madeFolders {
		dir := s.topicPath(h)
		names, err := s.fs.List(dir)
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(names) > 0 {
			continue // never made, or other hands have put something there
		}
		if err := s.fs.Remove(dir); err != nil {
			if _, gone := s.lstat(dir); !errors.Is(gone, fs.ErrNotExist) {
				errs = append(errs, fmt.Errorf("take back the folder %s: %w", h, err))
			}
		}
	}
	if err := b.undoIndex(); err != nil {
		errs = append(errs, fmt.Errorf("take back a commit: %w", err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for h := range b.touched {
		old, t := s.topics[h], b.topics[h]
		if old == nil {
			continue
		}
		s.journal.dirty[h] = struct{}{}
		old.mtime = 0
		if t != nil && t.mtime != 0 && len(errs) == 0 { // nothing is in it that should not be
			old.mtime = s.mtime(h)
		}
	}
	return errors.Join(errs...)
}

// diskError turns a full disk's errors into ErrFull.
func diskError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return fmt.Errorf("write the file: %w", err)
}
