package store_test

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

// Other hands put something that is no file where a comment was. To open a pipe
// would wait for ever: for a reader, and for the committer, who reads what a delete
// names, and with him for everybody.
func TestNoFile(t *testing.T) {
	d := sign(t, alice, news, comntr.KindComment, comntr.Hash{}, "mine")
	for name, put := range map[string]func(path string) error{
		"a pipe": func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"a link to a pipe": func(path string) error {
			return errors.Join(syscall.Mkfifo(path+".other", 0o644), os.Symlink(path+".other", path))
		},
		"a folder":          func(path string) error { return os.Mkdir(path, 0o755) },
		"a link to nothing": func(path string) error { return os.Symlink("nothing", path) },
		"a link to its file": func(path string) error {
			return errors.Join(os.WriteFile(path+".other", d.Bytes(), 0o644), os.Symlink(path+".other", path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, store.Options{})
			mustAdd(t, s, d)
			path := treePath(vfs.Default, dir, news, d.ID())
			if err := errors.Join(os.Remove(path), put(path)); err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				for _, read := range []func(topic, comment comntr.Hash) ([]byte, error){s.Read, s.ReadListed} {
					if b, err := read(news, d.ID()); !errors.Is(err, store.ErrDamaged) {
						t.Errorf("read: %q, %v", b, err)
					}
				}
				mustAdd(t, s, sign(t, alice, news, comntr.KindDelete, d.ID(), ""))
				add(t, s, news, "another")
				closeStore(t, s)
			}()
			select {
			case <-done:
			case <-time.After(20 * time.Second):
				t.Fatal("the store waits for what is no file")
			}
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			os.Remove(path + ".other")
			CheckStore(t, dir, vfs.Default)
		})
	}
}
