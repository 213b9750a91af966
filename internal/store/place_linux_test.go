package store_test

import (
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/comntr/comntr/internal/store"
)

// Where few more files can be opened, a commit makes do with one at a time.
func TestFewDescriptors(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	defer closeStore(t, s)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	few := before
	few.Cur = 0
	for _, fd := range fds {
		n, err := strconv.ParseUint(fd.Name(), 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		few.Cur = max(few.Cur, n+5)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	var others []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		others = append(others, f)
	}
	for i, f := range others {
		if i < 3 { // the index may want to open one, too
			f.Close()
		} else {
			defer f.Close()
		}
	}
	results := s.AddAll(t.Context(), manyDocs(t, store.MaxLoose), "")
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	checkMany(t, dir, results)
}
