package store_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr/internal/store"
)

// A real file system that another program fills while the store is down.
func TestOpenFullTmpfs(t *testing.T) {
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m")
	if err != nil && os.Getenv("CI") == "" {
		t.Skipf("needs root, to mount a tmpfs: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	// A process that is killed leaves a journal and a log to be replayed.
	cmd := child(t, "add", dir)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 200*82)); err != nil { // 200 lines
		t.Fatal(err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	other := filepath.Join(dir, "other")
	f, err := os.Create(other)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(zeros)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	f.Close()
	if s, err := store.Open(dir, reddit, store.Options{}); !errors.Is(err, store.ErrFull) {
		if s != nil {
			s.Close()
		}
		t.Errorf("full: %v", err)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	if held := CheckStore(t, dir, vfs.Default); len(held) < 200 {
		t.Errorf("%d are held", len(held))
	}
}
