package store_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

// Peers fill 90 % and readers all of it; each file counts as whole blocks of
// 4 KiB and each folder as one.
func TestDiskBudget(t *testing.T) {
	const block = 4096
	disk := store.NewDisk(20 * block)
	if used := disk.Used(); used != 0 {
		t.Errorf("a new one: %d", used)
	}
	dir := t.TempDir()
	s := open(t, dir, store.Options{Disk: disk})
	if _, err := s.AddTopic(t.Context(), news, ""); err != nil {
		t.Fatal(err)
	}
	put := func(from string, n int, text string) error {
		_, err := s.Add(t.Context(), doc(t, news, fmt.Sprint(n, text)), from)
		return err
	}
	for i := range 17 { // with the folder: 18 of 20
		if err := put("ab", i, ""); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if used := disk.Used(); used != 18*block {
		t.Errorf("used %d", used)
	}
	if err := put("ab", 17, ""); !errors.Is(err, store.ErrFull) {
		t.Errorf("a peer at 90 %%: %v", err)
	}
	if err := put("ab", 16, ""); err != nil {
		t.Errorf("what is held is held, full or not: %v", err)
	}
	if _, err := s.AddTopic(t.Context(), gifs, "ab"); !errors.Is(err, store.ErrFull) {
		t.Errorf("a peer's topic at 90 %%: %v", err)
	}
	if err := put("", 17, strings.Repeat("x", 2*block)); !errors.Is(err, store.ErrFull) {
		t.Errorf("three blocks where there are two: %v", err)
	}
	if err := put("", 17, strings.Repeat("x", block)); err != nil {
		t.Errorf("two blocks where there are two: %v", err)
	}
	if err := put("", 18, ""); !errors.Is(err, store.ErrFull) {
		t.Errorf("at 100 %%: %v", err)
	}
	closeStore(t, s)
	if used := disk.Used(); used != 0 {
		t.Errorf("closed: used %d", used)
	}
	s = open(t, dir, store.Options{Disk: disk})
	if used := disk.Used(); used != 20*block {
		t.Errorf("opened again: used %d", used)
	}
	if err := s.Remove(t.Context(), news, comntr.SumHash([]byte("3"))); err != nil {
		t.Fatal(err)
	}
	if err := put("", 18, ""); err != nil {
		t.Errorf("after a removal: %v", err)
	}
	closeStore(t, s)
	CheckStore(t, dir, vfs.Default)
}

// The budget is one for all stores of a process.
func TestDiskIsShared(t *testing.T) {
	disk := store.NewDisk(2 * 4096)
	dir := t.TempDir()
	a := open(t, dir, store.Options{Disk: disk})
	defer closeStore(t, a)
	b, err := store.Open(dir, gifs, store.Options{Disk: disk})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, b)
	add(t, a, news, "one")
	if _, err := b.AddTopic(t.Context(), news, ""); !errors.Is(err, store.ErrFull) {
		t.Errorf("%v", err)
	}
}

// Before the file system is full, so that Pebble never meets a full disk, the
// store refuses; what is there can be read.
func TestReserve(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		total, avail uint64
		full         bool
	}{
		{1000 * mib, 500 * mib, false},
		{1000 * mib, 65 * mib, false},
		{1000 * mib, 64 * mib, true},
		{64 * mib, 17 * mib, false},
		{64 * mib, 16 * mib, true},
		{1000 * mib, 0, true},
	} {
		t.Run(fmt.Sprintf("%d of %d MiB", c.avail/mib, c.total/mib), func(t *testing.T) {
			mem := newMem(t)
			s := open(t, data, store.Options{FS: mem})
			add(t, s, news, "one")
			closeStore(t, s)
			s = open(t, data, store.Options{FS: mem})
			mem.TestingSetDiskUsage(vfs.DiskUsage{TotalBytes: c.total, AvailBytes: c.avail})
			_, err := s.Add(t.Context(), doc(t, news, "two"), "")
			if full := errors.Is(err, store.ErrFull); full != c.full || !full && err != nil {
				t.Errorf("a comment: %v", err)
			}
			_, err = s.AddTopic(t.Context(), gifs, "")
			if full := errors.Is(err, store.ErrFull); full != c.full || !full && err != nil {
				t.Errorf("a topic: %v", err)
			}
			if created, err := s.Add(t.Context(), doc(t, news, "one"), ""); err != nil || created {
				t.Errorf("what is held: %v, %v", created, err)
			}
			closeStore(t, s)
			mem.TestingSetDiskUsage(vfs.DiskUsage{})
			CheckStore(t, data, mem)
		})
	}
}

// A look at the file system counts for a second, and for a few MiB.
func TestReserveIsLookedAtAgain(t *testing.T) {
	mem := newMem(t)
	mem.TestingSetDiskUsage(vfs.DiskUsage{TotalBytes: 1 << 40, AvailBytes: 1 << 39})
	s := open(t, data, store.Options{FS: mem})
	defer closeStore(t, s)
	add(t, s, news, "one")
	mem.TestingSetDiskUsage(vfs.DiskUsage{TotalBytes: 1 << 40, AvailBytes: 1})
	full := 0
	for i := range 100 {
		_, err := s.Add(t.Context(), doc(t, news, fmt.Sprint(i, strings.Repeat("x", 60<<10))), "")
		if errors.Is(err, store.ErrFull) {
			full++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if full < 50 {
		t.Errorf("only %d of 100 were refused", full)
	}
}

// A full disk met by a file is ErrFull to all who wait, and leaves nothing.
func TestFullDisk(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		mem := newMem(t)
		disk := store.NewDisk(1 << 30)
		f := &faultFS{FS: mem, hidden: inIndex}
		s := open(t, data, store.Options{FS: f, Disk: disk})
		add(t, s, news, "one")
		used := disk.Used()
		f.set(func(_ int, op string) error {
			if strings.HasPrefix(op, "write ") {
				return errno
			}
			return nil
		}, nil)
		docs := []*comntr.Document{doc(t, news, "one"), doc(t, news, "two"), doc(t, gifs, "three")}
		r := s.AddAll(t.Context(), docs, "")
		if r[0].Err != nil || !errors.Is(r[1].Err, store.ErrFull) || !errors.Is(r[2].Err, store.ErrFull) {
			t.Errorf("%v: %+v", errno, r)
		}
		if disk.Used() != used {
			t.Errorf("%v: %d bytes are counted for what is not there", errno, disk.Used()-used)
		}
		checkOpen(t, s, data, mem)
		f.set(nil, nil)
		for _, r := range s.AddAll(t.Context(), docs[1:], "") {
			if r.Err != nil || !r.Created {
				t.Errorf("%v: with space again: %+v", errno, r)
			}
		}
		closeStore(t, s)
		if held := CheckStore(t, data, mem); len(held) != 3 {
			t.Errorf("held: %v", held)
		}
	}
}

// One file that cannot be written does not keep the others of its commit out.
func TestOneBadFile(t *testing.T) {
	mem := newMem(t)
	f := &faultFS{FS: mem, hidden: inIndex}
	s := open(t, data, store.Options{FS: f})
	bad := comntr.SumHash([]byte("bad")).String()
	f.set(func(_ int, op string) error {
		if strings.HasPrefix(op, "rename ") && strings.HasSuffix(op, bad) {
			return syscall.EIO
		}
		return nil
	}, nil)
	r := s.AddAll(t.Context(), []*comntr.Document{doc(t, news, "one"), doc(t, gifs, "bad"), doc(t, news, "two")}, "")
	if r[0].Err != nil || r[2].Err != nil || !errors.Is(r[1].Err, syscall.EIO) || errors.Is(r[1].Err, store.ErrFull) {
		t.Errorf("%+v", r)
	}
	checkOpen(t, s, data, mem)
	if _, ok := s.TopicSeq(gifs); ok {
		t.Error("the refused comment left a topic")
	}
	closeStore(t, s)
	CheckStore(t, data, mem)
}

// A store that cannot take a commit back takes nothing more, and says so; the
// next start is clean.
func TestFailedStore(t *testing.T) {
	t.Run("in memory", func(t *testing.T) { testFailedStore(t, data, newMem(t)) })
	t.Run("on the disk", func(t *testing.T) { testFailedStore(t, t.TempDir(), vfs.Default) })
}

func testFailedStore(t *testing.T, dir string, fsys vfs.FS) {
	f := &faultFS{FS: fsys, hidden: inIndex}
	s := open(t, dir, store.Options{FS: f})
	p := newPromise()
	if err := p.add(t, s, news, "one"); err != nil {
		t.Fatal(err)
	}
	bad := doc(t, news, "bad")
	f.set(func(_ int, op string) error {
		if strings.HasSuffix(op, bad.ID().String()) && !strings.HasPrefix(op, "rename") {
			return syscall.EIO
		}
		return nil
	}, func(_ int, op string) error {
		if strings.HasSuffix(op, bad.ID().String()) {
			return syscall.EIO
		}
		return nil
	})
	for range 2 {
		if _, err := s.Add(t.Context(), bad, ""); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "start") {
			t.Errorf("Add: %v", err)
		}
	}
	if err := p.add(t, s, news, "two"); err == nil {
		t.Error("a failed store takes comments")
	}
	if held, _ := s.Has(news, bad.ID()); held {
		t.Error("what was refused is held")
	}
	if n := len(listing(t, s, news)); n != 1 {
		t.Errorf("%d are listed", n)
	}
	f.set(nil, nil)
	closeStore(t, s)
	p.kept(t, dir, fsys)
}

// A checkpoint is made when the first entry of the journal is ten seconds
// old, without anybody asking, and tried again when it fails.
func TestCheckpointByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := newMem(t)
		f := &faultFS{FS: mem, hidden: inIndex}
		s := open(t, data, store.Options{FS: f})
		add(t, s, news, "one")
		passes := func(d time.Duration) int {
			time.Sleep(d)
			synctest.Wait()
			return s.JournalItems()
		}
		if n := passes(9 * time.Second); n != 1 {
			t.Errorf("after 9 s: %d entries", n)
		}
		f.set(func(_ int, op string) error {
			if strings.HasPrefix(op, "sync ") {
				return syscall.EIO
			}
			return nil
		}, nil)
		add(t, s, news, "two")
		if n := passes(2 * time.Second); n != 2 {
			t.Errorf("after a failure: %d entries", n)
		}
		f.set(nil, nil)
		if n := passes(5 * time.Second); n != 2 {
			t.Errorf("the failed checkpoint was repeated at once: %d entries", n)
		}
		if n := passes(6 * time.Second); n != 0 {
			t.Errorf("after 22 s: %d entries", n)
		}
		closeStore(t, s)
	})
}

// A checkpoint is made when the journal is long.
func TestCheckpointByLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, data, store.Options{FS: newMem(t)})
		defer closeStore(t, s)
		for i, r := range s.AddAll(t.Context(), longDocs(t, 64), "") { // 3.75 MiB
			if r.Err != nil {
				t.Fatal(i, r.Err)
			}
		}
		synctest.Wait()
		if n := s.JournalItems(); n != 64 {
			t.Errorf("%d entries: a checkpoint came too early", n)
		}
		for i, r := range s.AddAll(t.Context(), longDocs(t, 90)[64:], "") {
			if r.Err != nil {
				t.Fatal(i, r.Err)
			}
		}
		synctest.Wait()
		if n := s.JournalItems(); n > 30 {
			t.Errorf("%d entries, and no checkpoint", n)
		}
	})
}

// Where few post at a time it need not be as long as after a copy's commits.
func TestCheckpointOfFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, data, store.Options{FS: newMem(t)})
		defer closeStore(t, s)
		for i, r := range s.AddAll(t.Context(), manyDocs(t, store.CheckpointFew+1), "") {
			if r.Err != nil {
				t.Fatal(i, r.Err)
			}
		}
		synctest.Wait()
		if n := s.JournalItems(); n != store.CheckpointFew+1 {
			t.Errorf("%d entries: a checkpoint came too early", n)
		}
		add(t, s, gifs, "alone")
		synctest.Wait()
		if n := s.JournalItems(); n > 1 {
			t.Errorf("%d entries, and no checkpoint", n)
		}
	})
}

// A journal that cannot be ended is bounded: then the store refuses, and goes
// on when the disk does.
func TestJournalIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := newMem(t)
		f := &faultFS{FS: mem, hidden: inIndex}
		s := open(t, data, store.Options{FS: f}.MaxJournal(40<<20))
		defer closeStore(t, s)
		f.set(func(_ int, op string) error {
			if strings.HasPrefix(op, "sync ") {
				return syscall.EIO
			}
			return nil
		}, nil)
		refused := 0
		for _, r := range s.AddAll(t.Context(), longDocs(t, 1000), "") { // 59 MiB
			if errors.Is(r.Err, syscall.EIO) {
				refused++
			} else if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		if refused < 200 || refused > 400 {
			t.Errorf("%d of 1,000 were refused", refused)
		}
		f.set(nil, nil)
		time.Sleep(store.CheckpointAge)
		synctest.Wait()
		add(t, s, news, "it goes on")
	})
}

func longDocs(t *testing.T, n int) []*comntr.Document {
	docs := make([]*comntr.Document, n)
	for i := range docs {
		docs[i] = doc(t, news, fmt.Sprint(i, strings.Repeat("x", 60<<10)))
	}
	return docs
}
