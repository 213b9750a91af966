package store_test

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

// A view reads what a closed store lists, and refuses a store whose tree lacks
// what the journal still holds.
func TestView(t *testing.T) {
	mem := newMem(t)
	s := open(t, data, store.Options{FS: mem})
	add(t, s, news, "one")
	crashed := mem.CrashClone(vfs.CrashCloneCfg{})
	epoch := s.Epoch()
	closeStore(t, s)

	called := false
	err := store.View(t.Context(), data, reddit, store.Options{FS: mem}, func(v *store.Store) error {
		called = true
		if v.Community() != reddit || v.Epoch() != epoch {
			t.Errorf("community %s, epoch %x", v.Community(), v.Epoch())
		}
		if seq, ok := v.TopicSeq(news); !ok || seq == 0 {
			t.Errorf("the topic's number is %d, %v", seq, ok)
		}
		_, err := v.Listing(news, 0, func(c comntr.Hash, _ uint64, removed bool) error {
			b, err := v.Read(news, c)
			if string(b) != "one" || removed {
				t.Errorf("listed %q", b)
			}
			return err
		})
		return err
	})
	if err != nil || !called {
		t.Fatalf("view: %v", err)
	}

	err = store.View(t.Context(), data, reddit, store.Options{FS: crashed}, func(*store.Store) error {
		t.Error("called for a store that was not closed")
		return nil
	})
	if !errors.Is(err, store.ErrUnreplayed) {
		t.Errorf("after a crash: %v", err)
	}
}
