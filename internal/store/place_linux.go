package store

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/comntr/comntr"
)

// hasDescriptors: see descriptors.
const hasDescriptors = true

// descriptors are the community's folder and that of files on their way, open
// for as long as the store is. Commits, and who reads much, reach the tree through
// them: whole paths, and os.File's preparing for what only sockets need, were half
// of what making a file costs. The zero value has none, and vfs.FS does it.
// TestDescriptors holds both to the same results.
type descriptors struct {
	dir, tmp *os.File
	links    bool // a file can be made without a name, and be given one
}

func (s *Store) openDescriptors() (err error) {
	if s.at.dir, err = os.Open(s.dir); err != nil {
		return err
	}
	if s.at.tmp, err = os.Open(s.tmp); err != nil {
		return err
	}
	s.at.links = s.at.canLink()
	return nil
}

func (a descriptors) ok() bool { return a.tmp != nil }

// canLink tries it: whether it is possible depends on the file system, the kernel
// (6.10 lets who has no privileges do it) and what guards the process.
func (a descriptors) canLink() bool {
	const name = "link"
	fd, err := a.loose(nil)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if err := a.name(fd, name); err != nil {
		return false
	}
	return unix.Unlinkat(int(a.tmp.Fd()), name, 0) == nil
}

func (a descriptors) close() {
	for _, f := range []*os.File{a.dir, a.tmp} {
		if f != nil {
			f.Close() // nothing was written by them
		}
	}
}

// create makes a file under .ipfs/tmp.
func (a descriptors) create(name string, b []byte) error {
	fd, err := a.written(name, unix.O_CREAT|unix.O_TRUNC, b)
	if err != nil {
		return err
	}
	return a.shut(fd)
}

// loose makes a file that has no name, and leaves it open: unless link gives it one,
// nothing is left of it when it is closed, or the process ends.
func (a descriptors) loose(b []byte) (fd int, err error) {
	return a.written(".", unix.O_TMPFILE, b)
}

// written opens a new file and writes it.
func (a descriptors) written(name string, how int, b []byte) (fd int, err error) {
	fd, err = ignoringEINTR(func() (int, error) {
		return unix.Openat(int(a.tmp.Fd()), name, unix.O_WRONLY|unix.O_CLOEXEC|how, 0o666)
	})
	if err != nil {
		return 0, &fs.PathError{Op: "create", Path: name, Err: err}
	}
	for len(b) > 0 {
		n, err := ignoringEINTR(func() (int, error) { return unix.Write(fd, b) })
		if err == nil && n == 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			unix.Close(fd)
			return 0, &fs.PathError{Op: "write", Path: name, Err: err}
		}
		b = b[n:]
	}
	return fd, nil
}

// shut closes a file that was written.
func (descriptors) shut(fd int) error {
	if err := unix.Close(fd); err != nil && err != unix.EINTR { // which on Linux has closed it
		return &fs.PathError{Op: "close", Path: "a new file", Err: err}
	}
	return nil
}

// link puts a file of loose into its place in the tree, if nothing stands there.
func (a descriptors) link(fd int, place string) error { return linkInto(a.dir, fd, place) }

// name puts it under .ipfs/tmp.
func (a descriptors) name(fd int, name string) error { return linkInto(a.tmp, fd, name) }

func linkInto(dir *os.File, fd int, place string) error {
	_, err := ignoringEINTR(func() (int, error) {
		return 0, unix.Linkat(fd, "", int(dir.Fd()), place, unix.AT_EMPTY_PATH)
	})
	if err != nil {
		return &os.LinkError{Op: "link", Old: "a new file", New: place, Err: err}
	}
	return nil
}

// move puts a file of .ipfs/tmp into place, if nothing stands there.
// errNoMove: this file system cannot do both at once.
func (a descriptors) move(name, place string) error {
	_, err := ignoringEINTR(func() (int, error) {
		return 0, unix.Renameat2(int(a.tmp.Fd()), name, int(a.dir.Fd()), place, unix.RENAME_NOREPLACE)
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return errNoMove
	}
	return &os.LinkError{Op: "rename", Old: name, New: place, Err: err}
}

// open opens a file of the tree. What stands there may be anything: opening it does
// not block, nor does it lead elsewhere.
func (a descriptors) open(place string) (fd int, err error) {
	return ignoringEINTR(func() (int, error) {
		return unix.Openat(int(a.dir.Fd()), place, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	})
}

// read reads the beginning of a file of the tree.
func (a descriptors) read(place string, b []byte) (int, error) {
	fd, err := a.open(place)
	if err != nil {
		return 0, &fs.PathError{Op: "open", Path: place, Err: err}
	}
	defer unix.Close(fd)
	n, err := ignoringEINTR(func() (int, error) { return unix.Read(fd, b) })
	return max(n, 0), err
}

// begin has the disk begin to write a file of the tree, and does not wait until it
// is written. It is a hint: errors are syncfs's to tell.
func (a descriptors) begin(place string) {
	fd, err := a.open(place)
	if err != nil {
		return
	}
	unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE)
	unix.Close(fd)
}

// stat looks at a topic's folder.
func (a descriptors) stat(topic comntr.Hash) (folder bool, mtime int64, err error) {
	var st unix.Stat_t
	_, err = ignoringEINTR(func() (int, error) {
		return 0, unix.Fstatat(int(a.dir.Fd()), topic.String(), &st, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err != nil {
		return false, 0, &fs.PathError{Op: "lstat", Path: topic.String(), Err: err}
	}
	return st.Mode&unix.S_IFMT == unix.S_IFDIR, st.Mtim.Nano(), nil
}

func ignoringEINTR(fn func() (int, error)) (int, error) {
	for {
		n, err := fn()
		if err != unix.EINTR {
			return n, err
		}
	}
}
