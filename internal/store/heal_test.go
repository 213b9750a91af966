package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

// harms are what other hands do to a file while the store is open.
var harms = map[string]func(t testing.TB, fsys vfs.FS, path string){
	"overwritten":       func(t testing.TB, fsys vfs.FS, path string) { overwrite(t, fsys, path, "ONE") },
	"of another length": func(t testing.TB, fsys vfs.FS, path string) { overwrite(t, fsys, path, "something longer") },
	"emptied":           func(t testing.TB, fsys vfs.FS, path string) { overwrite(t, fsys, path, "") },
	"deleted": func(t testing.TB, fsys vfs.FS, path string) {
		if err := fsys.Remove(path); err != nil {
			t.Fatal(err)
		}
		syncDir(t, fsys, fsys.PathDir(path))
	},
	"deleted with its folder": func(t testing.TB, fsys vfs.FS, path string) {
		if err := fsys.RemoveAll(fsys.PathDir(path)); err != nil {
			t.Fatal(err)
		}
		syncDir(t, fsys, fsys.PathDir(fsys.PathDir(path)))
	},
}

func overwrite(t testing.TB, fsys vfs.FS, path, text string) {
	t.Helper()
	f, err := fsys.Create(path, "test")
	if err == nil {
		_, err = f.Write([]byte(text))
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	syncDir(t, fsys, fsys.PathDir(path))
}

// syncDir makes a harm one that a power cut does not undo.
func syncDir(t testing.TB, fsys vfs.FS, dir string) {
	t.Helper()
	f, err := fsys.OpenDir(dir)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func treePath(fsys vfs.FS, dir string, topic, comment comntr.Hash) string {
	return fsys.PathJoin(dir, reddit.String(), topic.String(), comment.String())
}

// Who posts a comment that is held, but whose file was damaged or taken away,
// heals it: it is not new, and from then on it can be read, after a power cut
// too.
func TestAddHeals(t *testing.T) {
	for name, harm := range harms {
		for _, native := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, native=%v", name, native), func(t *testing.T) {
				dir, fsys := data, vfs.FS(nil)
				var mem *vfs.MemFS
				if native {
					dir, fsys = t.TempDir(), vfs.Default
				} else {
					mem = newMem(t)
					fsys = mem
				}
				disk := store.NewDisk(1 << 30)
				s := open(t, dir, store.Options{FS: fsys, Disk: disk})
				id := add(t, s, news, "one")
				if err := s.Checkpoint(); err != nil {
					t.Fatal(err)
				}
				stats, used := s.Stats(), disk.Used()
				harm(t, fsys, treePath(fsys, dir, news, id))
				if _, err := s.Read(news, id); !errors.Is(err, store.ErrDamaged) {
					t.Fatalf("Read of the damaged file: %v", err)
				}
				twice := []*comntr.Document{doc(t, news, "one"), doc(t, news, "one")}
				for _, r := range s.AddAll(t.Context(), twice, "") {
					if r.Created || r.Err != nil {
						t.Errorf("Add: %+v", r)
					}
				}
				if b, err := s.Read(news, id); err != nil || string(b) != "one" {
					t.Errorf("Read: %q, %v", b, err)
				}
				if n := s.JournalItems(); n != 1 {
					t.Errorf("%d entries in the journal", n)
				}
				if s.Stats() != stats || disk.Used() != used {
					t.Errorf("it was counted anew: %+v, %d bytes; before %+v, %d", s.Stats(), disk.Used(), stats, used)
				}
				seq := s.Seq()
				if created, err := s.Add(t.Context(), doc(t, news, "one"), ""); created || err != nil || s.Seq() != seq {
					t.Errorf("Add of what is whole: %v, %v, number %d after %d", created, err, s.Seq(), seq)
				}
				checkOpen(t, s, dir, fsys)
				if mem != nil { // nothing of the file has been synced: the journal has it
					p := newPromise()
					p.held[news.String()+"/"+id.String()] = []byte("one")
					for percent := range 5 {
						cut := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent * 25, RNG: rand.New(rand.NewPCG(1, uint64(percent)))})
						p.kept(t, data, cut)
					}
				}
				closeStore(t, s)
				CheckStore(t, dir, fsys)
			})
		}
	}
}

// The power is cut at every operation of a healing commit: the comment stays
// listed, and if the answer was given it can be read.
func TestHealCrash(t *testing.T) {
	for name, harm := range harms {
		t.Run(name, func(t *testing.T) {
			mem := newMem(t)
			f := &faultFS{FS: mem}
			s := open(t, data, store.Options{FS: f})
			id := add(t, s, news, "one")
			if err := s.Checkpoint(); err != nil {
				t.Fatal(err)
			}
			add(t, s, news, "two") // its sync makes the journal's end durable
			harm(t, mem, treePath(mem, data, news, id))
			type crash struct {
				op    string
				acked bool
				fs    *vfs.MemFS
			}
			var mu sync.Mutex
			var crashes []crash
			acked := false
			cut := func(n int, op string) error {
				mu.Lock()
				defer mu.Unlock()
				for _, percent := range []int{0, 50, 100} {
					clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(uint64(n), uint64(percent)))})
					crashes = append(crashes, crash{fmt.Sprint(op, " ", percent), acked, clone})
				}
				return nil
			}
			f.set(cut, nil)
			if created, err := s.Add(t.Context(), doc(t, news, "one"), ""); created || err != nil {
				t.Fatalf("Add: %v, %v", created, err)
			}
			mu.Lock()
			acked = true
			mu.Unlock()
			cut(-1, "answered")
			closeStore(t, s)
			cut(-2, "closed")
			placing := false
			for _, c := range crashes {
				s, err := store.Open(data, reddit, store.Options{FS: c.fs})
				if err != nil {
					t.Fatalf("%s: %v", c.op, err)
				}
				// From the first change of the tree on the journal is durable; files
				// under .ipfs/tmp are none.
				placing = placing || strings.HasPrefix(c.op, "rename ") && !inIndex(c.op)
				if c.acked || placing {
					if b, err := s.Read(news, id); err != nil || string(b) != "one" {
						t.Errorf("%s: Read: %q, %v", c.op, b, err)
					}
				} else if created, err := s.Add(t.Context(), doc(t, news, "one"), ""); err != nil || created && !strings.HasPrefix(name, "deleted") {
					t.Errorf("%s: Add: %v, %v", c.op, created, err)
				}
				closeStore(t, s)
				CheckStore(t, data, c.fs)
			}
			if !placing {
				t.Error("nothing was placed")
			}
		})
	}
}

// A healing that fails leaves the entry and the file as they were, whatever
// else its commit held, and the next Add heals.
func TestHealFails(t *testing.T) {
	for name, harm := range harms {
		for _, kind := range []string{"create ", "write ", "rename "} {
			for _, mode := range []string{"not persisted", "persisted"} {
				t.Run(name+" "+kind+mode, func(t *testing.T) {
					mem := newMem(t)
					disk := store.NewDisk(1 << 30)
					f := &faultFS{FS: mem, hidden: inIndex}
					s := open(t, data, store.Options{FS: f, Disk: disk})
					id := add(t, s, news, "one")
					if err := s.Checkpoint(); err != nil {
						t.Fatal(err)
					}
					stats, used := s.Stats(), disk.Used()
					harm(t, mem, treePath(mem, data, news, id))
					fail := func(_ int, op string) error {
						if strings.HasPrefix(op, kind) {
							return syscall.ENOSPC
						}
						return nil
					}
					if mode == "persisted" {
						f.set(nil, fail)
					} else {
						f.set(fail, nil)
					}
					docs := []*comntr.Document{doc(t, news, "one"), doc(t, news, "two")}
					if r := s.AddAll(t.Context(), docs, ""); !errors.Is(r[0].Err, store.ErrFull) || !errors.Is(r[1].Err, store.ErrFull) {
						t.Errorf("%+v", r)
					}
					if held, gone := s.Has(news, id); !held || gone {
						t.Error("the entry is lost")
					}
					if s.Stats() != stats || disk.Used() != used {
						t.Errorf("%+v, %d bytes; before %+v, %d", s.Stats(), disk.Used(), stats, used)
					}
					if _, err := mem.Stat(treePath(mem, data, news, id)); err != nil && !strings.HasPrefix(name, "deleted") {
						t.Errorf("the file was unlinked: %v", err)
					}
					if n := len(listing(t, s, news)); n != 1 {
						t.Errorf("%d are listed", n)
					}
					f.set(nil, nil)
					for i, r := range s.AddAll(t.Context(), docs, "") {
						if r.Err != nil || r.Created != (i == 1) {
							t.Errorf("with space again: %d: %+v", i, r)
						}
					}
					checkOpen(t, s, data, mem)
					// Though the file may have been right already, it was not durable.
					p := newPromise()
					for _, d := range docs {
						p.held[news.String()+"/"+d.ID().String()] = d.Bytes()
					}
					p.kept(t, data, mem.CrashClone(vfs.CrashCloneCfg{}))
					closeStore(t, s)
					CheckStore(t, data, mem)
				})
			}
		}
	}
}

// A healing shares its commit with a comment that cannot be written: it is
// taken back with it and done again, and is durable when it is answered.
func TestHealBesideABadFile(t *testing.T) {
	mem := newMem(t)
	f := &faultFS{FS: mem, hidden: inIndex}
	s := open(t, data, store.Options{FS: f})
	id := add(t, s, news, "one")
	if err := s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	overwrite(t, mem, treePath(mem, data, news, id), "ONE")
	bad := doc(t, gifs, "bad")
	f.set(func(_ int, op string) error {
		if strings.HasPrefix(op, "rename ") && strings.HasSuffix(op, bad.ID().String()) {
			return syscall.EIO
		}
		return nil
	}, nil)
	r := s.AddAll(t.Context(), []*comntr.Document{doc(t, news, "one"), bad}, "")
	if r[0].Created || r[0].Err != nil || !errors.Is(r[1].Err, syscall.EIO) {
		t.Errorf("%+v", r)
	}
	checkOpen(t, s, data, mem)
	p := newPromise()
	p.held[news.String()+"/"+id.String()] = []byte("one")
	p.kept(t, data, mem.CrashClone(vfs.CrashCloneCfg{}))
	closeStore(t, s)
}

// What is no regular file is not replaced, and not said to be held.
func TestHealRefuses(t *testing.T) {
	mem := newMem(t)
	s := open(t, data, store.Options{FS: mem})
	id := add(t, s, news, "one")
	path := treePath(mem, data, news, id)
	if err := errors.Join(mem.Remove(path), mem.MkdirAll(path, 0o755)); err != nil {
		t.Fatal(err)
	}
	if created, err := s.Add(t.Context(), doc(t, news, "one"), ""); created || err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("%v, %v", created, err)
	}
	if fi, err := mem.Stat(path); err != nil || !fi.IsDir() {
		t.Errorf("%v, %v", fi, err)
	}
	if err := mem.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if created, err := s.Add(t.Context(), doc(t, news, "one"), ""); created || err != nil {
		t.Errorf("%v, %v", created, err)
	}
	closeStore(t, s)
	CheckStore(t, data, mem)
}

// A comment that is healed and removed in one commit, or in two, is gone.
func TestHealAndRemove(t *testing.T) {
	mem := newMem(t)
	s := open(t, data, store.Options{FS: mem})
	id := add(t, s, news, "one")
	overwrite(t, mem, treePath(mem, data, news, id), "ONE")
	if _, err := s.Add(t.Context(), doc(t, news, "one"), ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), news, id); err != nil {
		t.Fatal(err)
	}
	p := newPromise()
	p.gone[news.String()+"/"+id.String()] = true
	p.kept(t, data, mem.CrashClone(vfs.CrashCloneCfg{}))
	closeStore(t, s)
	p.kept(t, data, mem)
}

// A delete names a comment whose file is not what it was: whose it is cannot be
// told then. It counts once the bytes are there again, however they come.
func TestDeleteOfWhatIsDamaged(t *testing.T) {
	for _, author := range []bool{true, false} {
		for _, again := range []string{"posted", "put back by other hands"} {
			t.Run(fmt.Sprintf("author=%v, %s", author, again), func(t *testing.T) {
				mem := newMem(t)
				s := open(t, data, store.Options{FS: mem})
				mine := sign(t, alice, news, comntr.KindComment, comntr.Hash{}, "mine")
				by := alice
				if !author {
					by = mallory
				}
				del := sign(t, by, news, comntr.KindDelete, mine.ID(), "")
				if _, err := s.Add(t.Context(), mine, ""); err != nil {
					t.Fatal(err)
				}
				path := treePath(mem, data, news, mine.ID())
				overwrite(t, mem, path, "damaged")
				if _, err := s.Add(t.Context(), del, ""); err != nil {
					t.Fatal(err)
				}
				if b, err := s.Read(news, mine.ID()); err == nil {
					t.Errorf("Read: %q", b)
				}
				if again == "posted" {
					created, err := s.Add(t.Context(), mine, "")
					if author && !errors.Is(err, store.ErrGone) || !author && (err != nil || !created) {
						t.Errorf("posted again: %v, %v", created, err)
					}
				}
				closeStore(t, s)
				if again != "posted" {
					overwrite(t, mem, path, string(mine.Bytes()))
				}
				held := CheckStore(t, data, mem)
				if held[news.String()+"/"+mine.ID().String()] == author {
					t.Errorf("held: %v", held)
				}
			})
		}
	}
}
