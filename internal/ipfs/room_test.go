package ipfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/ipfs"
)

// smallFS is the real file system with other numbers, on which tables fail.
type smallFS struct {
	vfs.FS
	avail, total atomic.Int64
	full         atomic.Bool
	tries        chan time.Time // of tables that could not be made
	slow         sync.RWMutex   // while it is locked, no table is made
}

func (s *smallFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: uint64(s.avail.Load()), TotalBytes: uint64(s.total.Load())}, nil
}

func (s *smallFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	table := strings.HasSuffix(name, ".sst")
	if table {
		s.slow.RLock()
		defer s.slow.RUnlock()
	}
	if table && s.full.Load() {
		select {
		case s.tries <- time.Now():
		default:
		}
		return nil, syscall.ENOSPC
	}
	return s.FS.Create(name, c)
}

func (s *smallFS) Unwrap() vfs.FS { return s.FS }

// lines is a log that several goroutines write.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// on opens the fixture again on a file system of that many free and whole MiB.
func (f *fixture) on(avail, total int64) (*smallFS, *lines) {
	f.t.Helper()
	fs, out := &smallFS{FS: vfs.Default, tries: make(chan time.Time, 100)}, &lines{}
	fs.avail.Store(avail << 20)
	fs.total.Store(total << 20)
	f.openOn(fs, out)
	return fs, out
}

func (f *fixture) openOn(fs vfs.FS, out *lines) {
	f.t.Helper()
	err := f.Close()
	if err == nil {
		f.Folders, err = ipfs.OpenFoldersOn(fs, f.dir, f.v, f.src, slog.New(slog.NewTextHandler(out, nil)))
	}
	if err != nil {
		f.t.Fatal(err)
	}
	f.SetClock(func() time.Time { return f.now })
}

// Peers' nodes are refused long before own folders are, and deletions last.
// What was refused changed nothing.
func TestNoRoom(t *testing.T) {
	for _, c := range []struct {
		name                  string
		avail, total          int64 // MiB
		peers, own, deletions bool
	}{
		{"empty", 1000, 10_000, true, true, true},
		{"the peers' reserve", 255, 10_000, false, true, true},
		{"the own reserve", 15, 10_000, false, false, true},
		{"full", 7, 10_000, false, false, false},
		{"small, empty", 100, 128, true, true, true},
		{"small, the peers' reserve", 15, 128, false, true, true},
		{"small, the own reserve", 7, 128, false, false, true},
		{"small, full", 3, 128, false, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, peer := open(t, 0), open(t, 0)
			fs, _ := f.on(1000, 10_000)
			old, next := comntr.NameHash("old"), comntr.NameHash("next")
			peer.src.add(old, doc(1))
			first := peer.root()
			f.take(peer.nodes(first))
			if err := f.Retain("peer", first); err != nil {
				t.Fatal(err)
			}
			f.src.add(old, doc(5))
			own := f.root()
			f.src.add(old, doc(2)) // so that there is what to collect
			f.root()
			f.now = f.now.Add(2 * ipfs.Grace)
			fs.avail.Store(c.avail << 20)
			fs.total.Store(c.total << 20)
			f.Forget()

			expect := func(what string, err error, ok bool) {
				t.Helper()
				if ok && err != nil || !ok && !errors.Is(err, ipfs.ErrNoRoom) {
					t.Errorf("%s: %v", what, err)
				}
				f.check()
			}
			peer.src.add(next, doc(3))
			root := peer.root()
			expect("PutNodes", f.PutNodes(peer.nodes(root)), c.peers)
			if f.holds(root) != c.peers {
				t.Errorf("held: %v", !c.peers)
			}
			expect("Retain", f.Retain("other", first), c.peers)
			f.src.add(next, doc(4))
			_, err := f.Topic(t.Context(), next)
			expect("Topic", err, c.own)
			_, err = f.Root(t.Context())
			expect("Root", err, c.own)
			expect("SetMerged", f.SetMerged(next, []cid.Cid{first}, 0), c.own)
			f.src.loosen()
			expect("dropping marks", f.DropOldMarks(), c.deletions)
			expect("Retain nothing", f.Retain("peer", cid.Undef), c.deletions)
			expect("Collect", f.Collect(f.now), c.deletions)
			if f.holds(own) == c.deletions {
				t.Errorf("the old root is held: %v", c.deletions)
			}
			fs.avail.Store(1000 << 20)
			f.Forget()
			f.root()
			f.nodes(f.OwnRoot())
			f.check()
		})
	}
}

// What is written between two looks at the file system counts.
func TestNoRoomBetweenLooks(t *testing.T) {
	f := open(t, 0)
	f.on(32, 10_000)
	n := 0
	for ; n < 100; n++ {
		if err := f.Write(fmt.Sprint(n), 100_000); errors.Is(err, ipfs.ErrNoRoom) {
			t.Fatalf("no room for the write %d though the file system never filled", n)
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Write("large", 6<<20); !errors.Is(err, ipfs.ErrNoRoom) {
		t.Errorf("a batch that fills the file system: %v", err)
	}
}

// Pebble may fail all the same. Then nothing waits inside it for ever, what is
// refused is said, the log is short, and its tries are few (without the pause
// they are 10,000 a second).
func TestFullDisk(t *testing.T) {
	f := open(t, 0)
	fs, out := f.on(10_000, 10_000)
	f.grown()
	fs.slow.Lock()
	fs.full.Store(true)
	ended := f.writeOn(40)
	f.untilWaiting(ended) // as much as may be has been written before the first failure
	fs.slow.Unlock()
	select {
	case err := <-ended:
		if !errors.Is(err, ipfs.ErrNoRoom) {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("a write hangs")
	}
	topic := comntr.NameHash("topic")
	f.src.add(topic, doc(1))
	if _, err := f.Topic(t.Context(), topic); !errors.Is(err, ipfs.ErrNoRoom) {
		t.Errorf("Topic: %v", err)
	}
	first := <-fs.tries
	if pause := (<-fs.tries).Sub(first); pause < ipfs.RetryPause*9/10 {
		t.Errorf("tried again after %s", pause)
	}
	if n := strings.Count(out.String(), "\n"); n != 1 {
		t.Errorf("%d lines in the log:\n%s", n, out.String())
	}
	closed := make(chan error, 1)
	go func() { closed <- f.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("Close hangs")
	}
	fs.full.Store(false)
	f.openOn(fs, out)
	f.root()
	f.check()
}

// writeOn writes n MiB, in pieces of which many are in a memtable, or until it fails.
func (f *fixture) writeOn(n int) (ended <-chan error) {
	done := make(chan error, 1)
	go func() {
		for i := range 16 * n {
			if err := f.Write(fmt.Sprint(i), 1<<16); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	return done
}

// grown has the database's memtables at their full size, which they reach by growing,
// and nothing under way in it: a flush and a merge try side by side.
func (f *fixture) grown() {
	f.t.Helper()
	if err := errors.Join(<-f.writeOn(40), f.Settle()); err != nil {
		f.t.Fatal(err)
	}
}

// untilWaiting returns when a write waits for the database.
func (f *fixture) untilWaiting(ended <-chan error) {
	f.t.Helper()
	for end := time.Now().Add(time.Minute); !f.Waits(); {
		select {
		case err := <-ended:
			f.t.Fatalf("the writes ended: %v", err)
		default:
			if time.Now().After(end) {
				f.t.Fatal("a write waits elsewhere")
			}
			runtime.Gosched()
		}
	}
}

// Who writes faster than the disk waits for it; Close ends that too.
func TestSlowDisk(t *testing.T) {
	for _, closes := range []bool{false, true} {
		f := open(t, 0)
		fs, out := f.on(10_000, 10_000)
		f.grown()
		fs.slow.Lock()
		ended := f.writeOn(40)
		f.untilWaiting(ended)
		closed := make(chan error, 1)
		if closes {
			go func() { closed <- f.Close() }()
			if err := <-ended; !errors.Is(err, ipfs.ErrNoRoom) {
				t.Errorf("while it is closed: %v", err)
			}
		}
		fs.slow.Unlock()
		if closes {
			if err := <-closed; err != nil {
				t.Error(err)
			}
			f.openOn(fs, out)
		} else if err := <-ended; err != nil {
			t.Error(err)
		}
		f.root()
		f.check()
	}
}

// What peers' nodes take is a share of what is free at the start.
func TestShare(t *testing.T) {
	for _, c := range []struct{ avail, waiting, retained int64 }{ // MiB
		{1000, 20, 80},
		{10_000, 200, 800},
		{1 << 20, 1024, 64 * 64},
	} {
		f := open(t, 0)
		f.on(c.avail, 1<<21)
		waiting, retained := f.Share()
		if waiting != c.waiting<<20 || retained != c.retained<<20 {
			t.Errorf("of %d MiB: %d and %d", c.avail, waiting>>20, retained>>20)
		}
	}
	f := open(t, 0)
	f.SetMaxRetained(8 << 20)
	var roots []cid.Cid
	for i := range 4 { // of 3 MB each
		root, blocks := bomb(10 + i)
		roots = append(roots, root)
		f.take(blocks)
		if err := f.Retain(fmt.Sprint(i), root); err != nil {
			t.Fatal(err)
		}
		f.now = f.now.Add(time.Second)
	}
	f.check()
	if got := f.Roots(); len(got) != 2 {
		t.Errorf("%d trees are kept", len(got))
	}
	f.now = f.now.Add(2 * ipfs.Grace)
	f.collect()
	if f.holds(roots[0]) || f.holds(roots[1]) || !f.holds(roots[3]) {
		t.Error("not the oldest went")
	}
	large, blocks := bomb(100)
	f.take(blocks)
	if err := f.Retain("large", large); !errors.Is(err, ipfs.ErrTooLarge) {
		t.Errorf("a tree larger than all may be: %v", err)
	}
	// Nodes that would push out one another before they can be retained.
	f.SetMaxGrace(100_000)
	_, blocks = bomb(200)
	for c := range blocks {
		if f.holds(c) {
			delete(blocks, c)
		}
	}
	more, extra := bomb(3000)
	blocks[more] = extra[more]
	if err := f.PutNodes(blocks); !errors.Is(err, ipfs.ErrNoRoom) {
		t.Errorf("more than half of what may wait: %v", err)
	}
	f.check()
}

// Whoever asks over bitswap for what the operator denies, and that can be anybody
// at any rate, is told that it is not here, and the log nothing.
func TestDeniedOverBitswap(t *testing.T) {
	f := open(t, 0)
	topic := comntr.NameHash("topic")
	f.src.add(topic, doc(1))
	root := f.topic(topic)
	for _, denied := range []cid.Cid{comntr.Version(0).LeafCID(doc(1)), root} {
		f.src.deny(denied, cid.NewCidV1(cid.DagProtobuf, denied.Hash())) // the store denies both forms
		out := &lines{}
		if err := ipfs.Get(slog.New(slog.NewTextHandler(out, nil)), denied, f.Folders); !ipld.IsNotFound(err) {
			t.Errorf("%s: %v", denied, err)
		}
		if out.String() != "" {
			t.Error(out.String())
		}
	}
}

// Bitswap asks closed folders until the node is closed too: that is no fault.
func TestClosedHolder(t *testing.T) {
	f := open(t, 0)
	out := &lines{}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := ipfs.Get(slog.New(slog.NewTextHandler(out, nil)), comntr.Version(0).LeafCID(doc(1)), f.Folders); err == nil {
		t.Error("closed folders have a block")
	}
	if out.String() != "" {
		t.Error(out.String())
	}
}
