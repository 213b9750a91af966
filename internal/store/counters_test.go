package store_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

// TestCounters: each moves when the thing happens, and only then.
func TestCounters(t *testing.T) {
	disk := store.NewDisk(1 << 30)
	s := open(t, t.TempDir(), store.Options{Disk: disk})
	defer closeStore(t, s)
	expect := func(act string, readers, servers, commits, items uint64, bytes int64, dirty int) {
		t.Helper()
		c := s.Counters()
		if c.FromReaders != readers || c.FromServers != servers || c.CommitTime.Count() != commits || c.CommitItems.Count() != commits ||
			uint64(c.CommitItems.Sum) != items || c.CommitBytes.Sum != bytes || c.DirtyTopics != dirty {
			t.Errorf("after %s: %+v", act, c)
		}
		if (dirty > 0) != (c.JournalItems > 0) || (dirty > 0) != (c.JournalBytes > 0) || c.Waiting != 0 || c.Failed || c.FailedCheckpoint != 0 {
			t.Errorf("after %s: %+v", act, c)
		}
		if c.Stats != s.Stats() {
			t.Errorf("after %s: %+v, %+v", act, c.Stats, s.Stats())
		}
	}
	expect("nothing", 0, 0, 0, 0, 0, 0)
	add(t, s, news, "one")
	expect("a post", 1, 0, 1, 1, 3, 1)
	if created, err := s.Add(t.Context(), doc(t, news, "one"), ""); created || err != nil {
		t.Fatal(created, err)
	}
	expect("the same", 1, 0, 1, 1, 3, 1)
	s.AddAll(t.Context(), []*comntr.Document{doc(t, news, "one"), doc(t, gifs, "two"), doc(t, gifs, "three")}, "ab")
	expect("what a server brought", 1, 2, 2, 3, 11, 2)
	if err := s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	expect("a checkpoint", 1, 2, 2, 3, 11, 0)
	c := s.Counters()
	if c.CheckpointTime.Count() != 1 || c.CheckpointTime.Sum <= 0 || c.CommitTime.Sum <= 0 || c.IndexBytes == 0 {
		t.Errorf("%+v", c)
	}
	if used, max := disk.Usage(); used != disk.Used() || used == 0 || max != 1<<30 {
		t.Errorf("%d of %d bytes", used, max)
	}
}

// TestCountersOfFailure: a disk that fails is seen.
func TestCountersOfFailure(t *testing.T) {
	f := &faultFS{FS: vfs.NewMem(), hidden: inIndex}
	s, err := store.Open(data, reddit, store.Options{FS: f})
	if err != nil {
		t.Fatal(err)
	}
	add(t, s, news, "one")
	f.set(func(int, string) error { return syscall.EIO }, nil)
	if err := s.Checkpoint(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if c := s.Counters(); c.FailedCheckpoint != 1 || c.CheckpointTime.Count() != 1 || c.DirtyTopics != 1 {
		t.Errorf("%+v", c)
	}
	if _, err := s.Add(t.Context(), doc(t, news, "two"), ""); err == nil {
		t.Error("taken")
	}
	if c := s.Counters(); c.CommitTime.Count() != 1 || c.FromReaders != 1 {
		t.Errorf("what was not committed is counted: %+v", c)
	}
	f.set(nil, nil)
	closeStore(t, s)
}
