package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"sync"
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

// place is a comment's path below the community's folder.
func (k key) place() string {
	var b [81]byte
	hex.Encode(b[:40], k.topic[:])
	b[40] = '/'
	hex.Encode(b[41:], k.comment[:])
	return string(b[:])
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

// errNoFile is for what other hands put where a file was.
var errNoFile = errors.New("it is no regular file: move it away")

// readFile reads a file that should have size bytes; of a longer one it
// returns one byte more. What is no file is not opened: of a pipe that would wait
// for ever.
func (s *Store) readFile(path string, size int64) ([]byte, error) {
	fi, err := s.lstat(path)
	if err == nil && !fi.Mode().IsRegular() {
		err = errNoFile
	}
	if err != nil {
		return nil, err
	}
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

// tmpNames are names for files under .ipfs/tmp. The one that was freed last is
// taken first: what the kernel keeps of it is still at hand, which is a twentieth of
// what a file costs.
type tmpNames struct {
	mu    sync.Mutex
	freed []string // at most as many as were taken at a time
	made  uint64
}

// take returns a name that no file has.
func (t *tmpNames) take() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last := len(t.freed) - 1; last >= 0 {
		name := t.freed[last]
		t.freed = t.freed[:last]
		return name
	}
	t.made++
	return strconv.FormatUint(t.made, 10)
}

// free gives a name back that its file has no more. Where that is not certain, the
// name is not given back, and is never used again.
func (t *tmpNames) free(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.freed = append(t.freed, name)
}

// place puts a file into the tree by rename, so that no other program ever
// sees a part of it. It replaces only what has other bytes than its name says.
func (s *Store) place(path string, b []byte, buffer *[]byte) error {
	tmp := s.tmpNames.take()
	err := s.create(tmp, b, buffer)
	if err == nil {
		err = s.fs.Rename(s.fs.PathJoin(s.tmp, tmp), path)
	}
	if err != nil {
		s.fs.Remove(s.fs.PathJoin(s.tmp, tmp)) // what is left is removed at the next start
	}
	return err
}

// create makes a file under .ipfs/tmp.
func (s *Store) create(name string, b []byte, buffer *[]byte) error {
	f, err := s.fs.Create(s.fs.PathJoin(s.tmp, name), writeCategory)
	if err != nil {
		return err
	}
	// A vfs.File may change what it is given to write.
	*buffer = append((*buffer)[:0], b...)
	_, err = f.Write(*buffer)
	return errors.Join(err, f.Close())
}

// errNoMove is for what cannot rename without replacing.
var errNoMove = errors.New("no rename that does not replace")

// maxLoose is how many files of a plan are made without a name: each is open until
// it has its place, and of a community two plans are under way.
const maxLoose = 32

// prepare writes the files of a plan, outside the tree: its commit need not be
// durable yet. What could not be written is told to writeTree.
func (s *Store) prepare(b *plan) {
	var buffer []byte
	for i := range b.files {
		f := &b.files[i]
		if i < maxLoose && s.prepareLoose(b.files[:i], f) {
			continue
		}
		f.tmp = s.tmpNames.take()
		if s.at.ok() {
			f.err = s.at.create(f.tmp, f.bytes)
		} else {
			f.err = s.create(f.tmp, f.bytes, &buffer)
		}
		if f.err != nil && errors.Is(diskError(f.err), ErrFull) {
			for j := range b.files[i:] { // the others would not fit either
				b.files[i+j].err = f.err
			}
			return
		}
	}
}

// prepareLoose writes a file without a name, where there may be such: without one
// there are not two folders to change, which is a tenth of what a file costs. Where
// no more files can be open, those before it get names under .ipfs/tmp.
func (s *Store) prepareLoose(before []file, f *file) bool {
	if !s.at.links {
		return false
	}
	var err error
	if f.fd, err = s.at.loose(f.bytes); err == nil {
		f.loose = true
		return true
	}
	for i := range before {
		if f := &before[i]; f.loose {
			f.err = s.nameFile(f)
		}
	}
	return false
}

// discard removes what prepare made and nothing has put into the tree.
func (s *Store) discard(b *plan) {
	for i := range b.files {
		if f := &b.files[i]; !f.placed {
			s.drop(f)
		}
	}
}

// drop removes a file that prepare made.
func (s *Store) drop(f *file) {
	if f.loose {
		f.loose = false
		s.at.shut(f.fd)
	}
	if f.tmp != "" {
		s.fs.Remove(s.fs.PathJoin(s.tmp, f.tmp)) // what is left is removed at the next start
	}
}

// writeTree makes the folders of a committed plan, puts its files into them and
// unlinks what is gone. It returns an error for each item, by its index in the
// batch, whose file could not be written; then nothing was unlinked.
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
	for i := range b.files {
		f := &b.files[i]
		err := unmade[f.topic]
		if err == nil {
			err = f.err
		}
		if err == nil {
			err = s.placeFile(b, f)
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
			if _, lost := b.lost[h]; lost {
				b.mtimes[h] = 0
			} else if b.mtimes[h] != 0 {
				b.mtimes[h] = s.mtime(h)
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
	_, isNew := b.folders[h]
	folder, mtime, err := s.statTopic(h)
	if errors.Is(err, fs.ErrNotExist) {
		b.madeFolders = append(b.madeFolders, h)
		b.mtimes[h] = 0
		if isNew {
			b.mtimes[h] = 1 // ours from the first: writeTree sets the right one
		}
		return s.fs.MkdirAll(s.topicPath(h), folderMode)
	}
	if err != nil {
		return err
	}
	if !folder {
		return fmt.Errorf("%s is not a folder: move it away", s.topicPath(h))
	}
	b.mtimes[h] = 0
	if old := s.topics[h]; old != nil && !isNew && s.native && mtime == old.mtime {
		b.mtimes[h] = mtime
	}
	return nil
}

// statTopic looks at a topic's folder.
func (s *Store) statTopic(h comntr.Hash) (folder bool, mtime int64, err error) {
	if s.at.ok() {
		return s.at.stat(h)
	}
	fi, err := s.lstat(s.topicPath(h))
	if err != nil {
		return false, 0, err
	}
	return fi.IsDir(), fi.ModTime().UnixNano(), nil
}

// mtime is a topic folder's modification time in ns, 0 if it cannot be read.
func (s *Store) mtime(h comntr.Hash) int64 {
	_, mtime, err := s.statTopic(h)
	if err != nil {
		return 0
	}
	return mtime
}

// racy is how near to now a modification time may lie before a later write
// might bear the same one.
const racy = 2 * time.Second

// placeFile puts a prepared file into place, unless one with its bytes stands
// there.
func (s *Store) placeFile(b *plan, f *file) error {
	_, heals := b.healed[f.key]
	if s.at.ok() && !heals {
		// It is not there before, nearly always: one call finds out, and does it.
		b.attempted = append(b.attempted, f.key)
		err := s.moveFile(f)
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, errNoMove) {
			return err
		}
		b.attempted = b.attempted[:len(b.attempted)-1]
	}
	path := s.path(f.topic, f.comment)
	_, same, err := s.holds(path, f.bytes)
	if err != nil {
		return err
	}
	if same {
		f.placed = true
		s.drop(f)
		return nil
	}
	if f.loose {
		if err := s.nameFile(f); err != nil {
			return err
		}
	}
	if !heals { // of a healed one the entry stays, and so must what stands there
		b.attempted = append(b.attempted, f.key)
	}
	if err := s.fs.Rename(s.fs.PathJoin(s.tmp, f.tmp), path); err != nil {
		return err
	}
	f.placed = true
	return nil
}

// moveFile puts a prepared file into place, if nothing stands there.
func (s *Store) moveFile(f *file) error {
	if !f.loose {
		err := s.at.move(f.tmp, f.place())
		if err == nil {
			f.placed = true
			s.tmpNames.free(f.tmp)
		}
		return err
	}
	if err := s.at.link(f.fd, f.place()); err != nil {
		return err
	}
	f.placed, f.loose = true, false
	return s.at.shut(f.fd)
}

// nameFile gives a file without a name one under .ipfs/tmp.
func (s *Store) nameFile(f *file) error {
	f.tmp = s.tmpNames.take()
	if err := s.at.name(f.fd, f.tmp); err != nil {
		return err
	}
	f.loose = false
	return s.at.shut(f.fd)
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
		old := s.topics[h]
		if old == nil {
			continue
		}
		s.journal.dirty[h] = struct{}{}
		old.mtime = 0
		if b.mtimes[h] != 0 && len(errs) == 0 { // nothing is in it that should not be
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
