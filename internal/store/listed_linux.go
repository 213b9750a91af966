package store

import (
	"golang.org/x/sys/unix"

	"github.com/comntr/comntr"
)

// readOnce reads the beginning of a comment's file with three calls of the
// system, beside six of an os.File.
func (s *Store) readOnce(topic, comment comntr.Hash, b []byte) (n int, err error) {
	// Whatever stands there, opening it must not block.
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Openat(int(s.folder.Fd()), topic.String()+"/"+comment.String(), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	})
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	n, err = ignoringEINTR(func() (int, error) { return unix.Read(fd, b) })
	return max(n, 0), err
}
