package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr/internal/store"
)

// A store is not opened on a full file system, because Pebble would never
// return from there: the error says how much to free and where, and nothing
// was touched.
func TestOpenFull(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		total, avail uint64
		missing      string // "": it opens
	}{
		{1000 * mib, 500 * mib, ""},
		{1000 * mib, 16 * mib, ""},
		{1000 * mib, 16*mib - 1, "1 MiB"},
		{1000 * mib, 0, "16 MiB"},
		{64 * mib, 4 * mib, ""},
		{64 * mib, 4*mib - 1, "1 MiB"},
		{64 * mib, mib, "3 MiB"},
	} {
		for _, made := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d of %d, made=%v", c.avail, c.total, made), func(t *testing.T) {
				mem := newMem(t)
				if made {
					s := open(t, data, store.Options{FS: mem})
					add(t, s, news, "one")
					closeStore(t, s)
				}
				mem.TestingSetDiskUsage(vfs.DiskUsage{TotalBytes: c.total, AvailBytes: c.avail})
				f := &faultFS{FS: mem}
				s, err := store.Open(data, reddit, store.Options{FS: f})
				if c.missing == "" {
					if err != nil {
						t.Fatal(err)
					}
					closeStore(t, s)
					return
				}
				if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), c.missing) || !strings.Contains(err.Error(), data) {
					t.Errorf("%v", err)
				}
				if s != nil || f.count() != 0 {
					t.Errorf("%d operations touched the file system", f.count())
				}
			})
		}
	}
}

// A folder that is not there yet is looked at where it will be.
func TestOpenFullAsksWhatIsThere(t *testing.T) {
	f := &usageFS{FS: vfs.Default, usage: vfs.DiskUsage{TotalBytes: 1 << 30, AvailBytes: 1}}
	dir := t.TempDir()
	_, err := store.Open(filepath.Join(dir, "not", "there"), reddit, store.Options{FS: f})
	if !errors.Is(err, store.ErrFull) {
		t.Errorf("%v", err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("it left %v, %v", names, err)
	}
}

// usageFS says how full a folder is only of one that is there.
type usageFS struct {
	vfs.FS
	usage vfs.DiskUsage
}

func (f *usageFS) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	if _, err := f.Stat(path); err != nil {
		return vfs.DiskUsage{}, err
	}
	return f.usage, nil
}

// The disk fills up behind the store's back: the index's flush is tried again
// with pauses, not at full speed, the log stays short, the store can be read
// and closed at once, and goes on when there is space.
func TestBackgroundErrors(t *testing.T) {
	for _, recovers := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			mem := newMem(t)
			f := &faultFS{FS: mem}
			var log syncBuffer
			s := open(t, data, store.Options{FS: f, Log: slog.New(slog.NewTextHandler(&log, nil))})
			id := add(t, s, news, "one")
			var tries atomic.Int64
			f.set(func(_ int, op string) error {
				if strings.HasPrefix(op, "write ") && strings.HasSuffix(op, ".sst") {
					tries.Add(1)
					return syscall.ENOSPC
				}
				return nil
			}, nil)
			for i, r := range s.AddAll(t.Context(), longDocs(t, 30), "") { // 1.8 MiB: Pebble flushes, and does not stop writers yet
				if r.Err != nil {
					t.Fatal(i, r.Err)
				}
			}
			time.Sleep(10 * time.Minute)
			if n := tries.Load(); n < 100 || n > 140 { // one each 5 s at last
				t.Errorf("%d tries in 10 min", n)
			}
			lines := strings.Count(log.String(), "tried again")
			if lines < 9 || lines > 11 {
				t.Errorf("%d lines in 10 min", lines)
			}
			if n := len(log.String()); n > 400*lines {
				t.Errorf("%d bytes in %d lines:\n%s", n, lines, log.String())
			}
			start := time.Now()
			if b, err := s.Read(news, id); err != nil || string(b) != "one" {
				t.Errorf("Read: %q, %v", b, err)
			}
			add(t, s, news, "two")
			if recovers {
				f.set(nil, nil)
				before := tries.Load()
				time.Sleep(6 * time.Second)
				synctest.Wait()
				if tries.Load() != before {
					t.Error("the flush failed with space again")
				}
				start = time.Now()
			}
			closeStore(t, s)
			if d := time.Since(start); d > 100*time.Millisecond {
				t.Errorf("reading, adding and closing took %v", d)
			}
			f.set(nil, nil)
			if held := CheckStore(t, data, mem); len(held) != 32 {
				t.Errorf("%d are held", len(held))
			}
		})
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
