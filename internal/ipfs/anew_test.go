package ipfs_test

import (
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/ipfs"
)

// noFS makes no file while it is broken.
type noFS struct {
	vfs.FS
	broken atomic.Bool
}

func (f *noFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if f.broken.Load() && !strings.HasSuffix(name, ".sst") {
		return nil, syscall.ENOSPC
	}
	return f.FS.Create(name, c)
}

func (f *noFS) Unwrap() vfs.FS { return f.FS }

// A damaged database cannot be built anew while the disk takes nothing: it is
// tried again, and until then nobody is told that the server is stopping.
func TestBuiltAnewLater(t *testing.T) {
	f := open(t, 0)
	fs := &noFS{FS: vfs.Default}
	f.openOn(fs, &lines{})
	topic := comntr.NameHash("topic")
	for i := range 3600 {
		f.src.add(topic, doc(i))
	}
	want := f.root()
	f.openOn(fs, &lines{}) // nothing is held in memory
	if err := f.Damage(f.topic(topic)); err != nil {
		t.Fatal(err)
	}
	f.src.add(topic, doc(5000))
	fs.broken.Store(true)
	for range 3 {
		if _, err := f.Root(t.Context()); err == nil || errors.Is(err, ipfs.ErrClosed) {
			t.Errorf("while the disk takes nothing: %v", err)
		}
	}
	fs.broken.Store(false)
	for began := time.Now(); time.Since(began) < 20*ipfs.RetryPause; runtime.Gosched() {
		if _, err := f.Root(t.Context()); err == nil {
			break
		}
	}
	if names := f.tree(f.topic(topic)); len(names) != 3601 {
		t.Errorf("%d names, want 3601", len(names))
	}
	if f.root() == want {
		t.Error("the id is the old one")
	}
	f.check()
}
