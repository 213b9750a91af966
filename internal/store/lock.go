package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Lock takes the data folder for this process, making it if need be, until
// the Closer is closed or the process ends: flock(2), which the kernel
// releases even after SIGKILL. An ErrLocked names the process that has it.
func Lock(data string) (io.Closer, error) {
	dir := filepath.Join(data, ".comntr")
	if err := os.MkdirAll(data, folderMode); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the data folder: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != syscall.EINTR {
			break
		}
	}
	if err == syscall.EWOULDBLOCK {
		b := make([]byte, 20)
		n, _ := f.ReadAt(b, 0)
		who := "another comntr"
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n]))); err == nil {
			who += fmt.Sprintf(" (pid %d)", pid)
		}
		f.Close()
		return nil, fmt.Errorf("%w: %s uses %s; stop it, or choose another data folder", ErrLocked, who, data)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the data folder: %w", err), f.Close())
	}
	// Only to be shown; the lock is the kernel's.
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write the lock of the data folder: %w", err), f.Close())
	}
	return f, nil
}
