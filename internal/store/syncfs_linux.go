package store

import "golang.org/x/sys/unix"

// hasSyncfs: one call makes all files durable.
const hasSyncfs = true

// syncfs makes the whole file system of fd durable; ok is false where that
// cannot be asked for.
func syncfs(fd uintptr) (ok bool, err error) {
	err = unix.Syncfs(int(fd))
	return err != unix.ENOSYS, err
}
